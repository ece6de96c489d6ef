"""Pictures: what is drawn is what was given."""

import sys

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb

from wrlso import coordinate_vae, plots
from wrlso.exceptions import DataError


class Tiles:
    """Decodes a latent point to a 4 × 4 image that is lit where the point's first coordinate is positive."""

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim
        self.seen = None

    def decode(self, Z, temperature=0.0, generator=None):
        self.seen = Z
        return [np.full((4, 4), float(z[0] > 0)) if z[0] > -5 else None for z in Z]


def test_progress_curve_shows_the_best_so_far():
    figure = plots.progress_curve([3.0, np.nan, 1.0, 5.0], start=2.0, retrained_at=[2, 3], optimum=6.0)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["best so far"].get_ydata(), [3.0, 3.0, 3.0, 5.0])
    np.testing.assert_array_equal(lines["value of a query"].get_ydata(), [3.0, np.nan, 1.0, 5.0])
    assert lines["optimum"].get_ydata()[0] == 6.0
    assert [line.get_xdata()[0] for line in axes.lines[:2]] == [2, 3]


def test_progress_curve_of_a_minimization():
    (axes,) = plots.progress_curve([3.0, 1.0, 2.0], maximize=False).axes
    best = next(line for line in axes.lines if line.get_label() == "best so far")
    np.testing.assert_array_equal(best.get_ydata(), [3.0, 1.0, 1.0])


def test_image_timeline_in_reading_order():
    images = [np.full((5, 5), i / 10) for i in range(7)]
    figure = plots.image_timeline(images, [str(i) for i in range(7)], n_columns=3)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == [str(i) for i in range(7)]
    np.testing.assert_array_equal(drawn[4].images[0].get_array(), images[4])
    with pytest.raises(DataError, match="as many labels as images"):
        plots.image_timeline(images, ["one"])
    with pytest.raises(DataError, match="at least one"):
        plots.image_timeline([], [])


def test_latent_manifold_is_oriented_as_its_axes():
    Z = np.random.default_rng(0).normal(size=(50, 2))
    figure = plots.latent_manifold(Tiles(2), Z, n_per_axis=6, values=Z[:, 0])
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (36, 36)
    assert picture[:, -2].max() == 1.0  # right: first coordinate positive
    assert set(np.unique(picture[:, 1:5])) == {0.0, 0.5}
    assert len(figure.axes) == 2  # the picture and its colour bar


def test_latent_manifold_of_many_dimensions_is_the_principal_plane():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(500, 5)) * [0.1, 3.0, 0.1, 1.0, 0.1] + [4.0, 1.0, 0.0, -2.0, 0.0]
    model = Tiles(5)
    plots.latent_manifold(model, torch.from_numpy(Z), n_per_axis=5)
    seen = model.seen.numpy()
    np.testing.assert_allclose(seen.mean(axis=0), Z.mean(axis=0), atol=1e-9)
    spread = np.ptp(seen, axis=0)
    assert spread[1] > 12
    assert spread[3] > 4
    assert spread[[0, 2, 4]].max() < 1.5
    assert np.linalg.matrix_rank(seen - seen.mean(axis=0), tol=1e-6) == 2


def test_latent_manifold_of_a_real_model():
    model = coordinate_vae(image_size=16, latent_dim=3, random_state=0)
    Z = model.encode(model.tensorize(np.eye(16, dtype=np.uint8)[None].repeat(4, 0)))
    figure = plots.latent_manifold(model, Z + torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    figure.canvas.draw()


@pytest.mark.parametrize("Z", [np.zeros((5, 1)), np.zeros((1, 2)), np.zeros(4)])
def test_latent_manifold_needs_a_plane(Z):
    with pytest.raises(DataError, match="n and d of at least 2"):
        plots.latent_manifold(Tiles(2), Z)


def test_latent_manifold_needs_images():
    class Numbers(Tiles):
        def decode(self, Z, temperature=0.0, generator=None):
            return [1.0] * len(Z)

    with pytest.raises(DataError, match="must decode to images"):
        plots.latent_manifold(Numbers(2), np.random.default_rng(0).normal(size=(9, 2)))


def test_weight_distributions_have_unit_area():
    y = np.arange(100.0)
    (axes,) = plots.weight_distribution(y, {"uniform": np.ones(100), "best": y >= 90}, bins=10).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["uniform", "best"]
    for stairs in axes.patches:
        values, edges, _ = stairs.get_data()
        np.testing.assert_allclose((values * np.diff(edges)).sum(), 1.0)
    assert axes.patches[1].get_data().values[:-2].sum() == 0.0


def test_topk_curves_with_published_ones_in_the_same_colour():
    curves = {name: (np.arange(4.0) + i, np.full(4, 0.5)) for i, name in enumerate(["neither", "both"])}
    released = {"both": ([2, 4], np.array([1.0, 2.0]), np.array([0.1, 0.1]))}
    (axes,) = plots.topk_curves(curves, title="Top1", released=released, optimum=9.0).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["both"].get_ydata(), [1.0, 2.0, 3.0, 4.0])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["neither", "both", "optimum", "both (released)"]
    (published,) = axes.containers
    assert to_rgb(published.lines[0].get_color()) == to_rgb(lines["both"].get_color())
    assert to_rgb(lines["both"].get_color()) != to_rgb(lines["neither"].get_color())
    assert lines["both"].get_linestyle() != lines["neither"].get_linestyle()  # not by colour alone


def test_score_distributions_mark_the_medians():
    (axes,) = plots.score_distributions({"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0]}, bins=8).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [line.get_xdata()[0] for line in axes.lines] == [2.0, 5.0]
    # each histogram stands on its own line and covers its values, the extreme ones too
    for row, (patch, values) in enumerate(zip(axes.patches, ([1.0, 2.0, 3.0], [5.0, 5.0]), strict=True)):
        heights, edges, baseline = patch.get_data()
        assert baseline == row
        assert edges[:-1][heights > row][0] <= min(values)
        assert edges[1:][heights > row][-1] >= max(values)


def test_figures_can_be_composed_and_pyplot_stays_out():
    figure = plots.new_figure(6.0, 3.0)
    left, right = figure.subfigures(1, 2)
    assert plots.progress_curve([1.0, 2.0], figure=left) is left
    assert plots.score_distributions({"a": [1.0, 2.0]}, figure=right) is right
    figure.canvas.draw()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
