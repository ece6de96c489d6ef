"""Pictures: what is drawn is what was given."""

import sys

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from scipy.special import ndtri

from wrlso import coordinate_vae, plots
from wrlso.exceptions import DataError
from wrlso.surrogate.predictions import interval_coverage


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
    with pytest.raises(DataError, match="expected as many labels as images, at least one"):
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


@pytest.mark.parametrize("y", [[2.0, 2.0], [0.0, 0.0], [1.0, np.nextafter(1.0, 2.0)], [-3.0, -3.0 - 1e-12]])
def test_values_that_hardly_differ_can_be_distributed(y):
    figure = plots.weight_distribution(y, {"uniform": np.ones(2)}, bins=40)
    share, edges, _ = figure.axes[0].patches[0].get_data()
    np.testing.assert_allclose((share * np.diff(edges)).sum(), 1.0)
    figure.canvas.draw()


def scatter_of(figure):
    """Return {kind: (points, values or None)} of what is drawn."""
    drawn = {c.get_label().partition(" (")[0]: c for c in figure.axes[0].collections}
    return {kind: (np.asarray(c.get_offsets()), c.get_array()) for kind, c in drawn.items()}


def test_latent_scatter_of_a_plane_is_the_plane():
    Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, -1.0], [1.0, 1.0], [0.5, 0.5]])
    kinds = ["starting data", "asked and told", "starting data", "pending", "no value"]
    figure = plots.latent_scatter(Z, [5.0, 7.0, 2.0, np.nan, np.nan], kinds)
    drawn = scatter_of(figure)
    assert set(drawn) == set(kinds)
    points, values = drawn["starting data"]
    np.testing.assert_array_equal(points, Z[[2, 0]])  # better ones on top
    np.testing.assert_array_equal(values, [2.0, 5.0])
    np.testing.assert_array_equal(drawn["pending"][0], Z[[3]])
    assert drawn["pending"][1] is None
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["no value (1)", "starting data (2)", "asked and told (1)", "pending (1)"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("$z_1$", "$z_2$")


def test_every_kind_of_point_is_drawn():
    kinds = list(plots.KINDS)
    figure = plots.latent_scatter(np.eye(len(kinds), 2), np.full(len(kinds), np.nan), kinds)
    assert set(scatter_of(figure)) == set(kinds)
    assert "KINDS" in plots.__all__


def test_latent_scatter_of_a_minimization_has_the_small_values_on_top():
    figure = plots.latent_scatter(np.eye(2), [1.0, 2.0], ["told"] * 2, maximize=False)
    np.testing.assert_array_equal(scatter_of(figure)["told"][1], [2.0, 1.0])
    low, high = (figure.axes[0].collections[0].cmap(v)[:3] for v in (0.0, 1.0))
    assert sum(low) > sum(high)  # the better, the brighter


def test_latent_scatter_of_one_dimension_is_against_the_value():
    figure = plots.latent_scatter([[3.0], [4.0], [5.0]], [1.0, 2.0, np.nan], ["told", "told", "pending"])
    drawn = scatter_of(figure)
    np.testing.assert_array_equal(drawn["told"][0], [[3.0, 1.0], [4.0, 2.0]])
    across, up = drawn["pending"][0][0]
    assert across == 5.0
    assert up < 1.0  # below all that have a value


@settings(max_examples=30)  # each draws a figure
@given(st.integers(1, 6), st.integers(3, 6), st.integers(0, 2**32 - 1))
def test_latent_scatter_of_many_dimensions_keeps_the_largest_variance(n, d, seed):
    Z = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    figure = plots.latent_scatter(Z, np.arange(n), ["told"] * n)
    points, _ = scatter_of(figure)["told"]
    singular = np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False)
    spread = np.linalg.svd(points, compute_uv=False)
    largest = np.zeros(2)
    largest[: min(2, len(singular))] = singular[:2]
    np.testing.assert_allclose(np.pad(spread, (0, 2 - len(spread))), largest, atol=1e-6)
    share = largest[0] ** 2 / max((singular**2).sum(), 1e-300)
    if n > 1:
        assert f"({share:.0%} of variance)" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("Z", "y", "kinds"),
    [
        (np.zeros(3), np.zeros(3), ["told"] * 3),
        (np.zeros((0, 2)), [], []),
        (np.zeros((2, 2)), [1.0], ["told"] * 2),
        (np.zeros((2, 2)), [1.0, 2.0], ["told"]),
        (np.zeros((2, 0)), [1.0, 2.0], ["told"] * 2),
    ],
)
def test_latent_scatter_needs_as_many_of_each(Z, y, kinds):
    with pytest.raises(DataError, match=r"Z must be \(n, d\), with n values and n kinds"):
        plots.latent_scatter(Z, y, kinds)


def test_prediction_scatter_puts_predictions_over_measurements():
    (axes,) = plots.prediction_scatter([1.0, 4.0], [0.5, 1.0], [2.0, 3.0]).axes
    dots = next(line for line in axes.lines if line.get_marker() == ".")
    np.testing.assert_array_equal(dots.get_xydata(), [[2.0, 1.0], [3.0, 4.0]])
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose([np.ptp(bar[:, 1]) for bar in bars], [1.96, 3.92])
    diagonal = next(line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_array_equal(diagonal.get_xydata(), [[1.0, 1.0], [4.0, 4.0]])


@given(st.integers(10, 400), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_coverage_of_normal_quantiles_is_the_level(n, mean, deviation):
    measured = mean + deviation * ndtri((np.arange(n) + 0.5) / n)
    levels = np.array([0.1, 0.5, 0.9, 0.99])
    share = interval_coverage(np.full(n, mean), np.full(n, deviation), measured, levels)
    np.testing.assert_allclose(share, levels, atol=2.0 / n)
    assert (interval_coverage(np.full(n, mean), np.zeros(n), np.full(n, mean), levels) == 1).all()
    assert (interval_coverage(np.full(n, mean), np.zeros(n), np.full(n, mean + 1), levels) == 0).all()


def test_calibration_curve_of_calibrated_predictions_stays_in_the_band():
    measured = ndtri((np.arange(200) + 0.5) / 200)
    (axes,) = plots.calibration_curve(np.zeros(200), np.ones(200), measured).axes
    curve = next(line for line in axes.lines if line.get_label() == "share of 200 measurements")
    levels, share = curve.get_xdata(), curve.get_ydata()
    np.testing.assert_allclose(share, levels, atol=0.011)
    band = axes.collections[0].get_paths()[0].vertices
    for level, value in zip(levels, share, strict=True):
        edges = band[np.isclose(band[:, 0], level), 1]
        assert edges.min() <= value <= edges.max()
    (sure,) = plots.calibration_curve(np.zeros(200), np.full(200, 0.1), measured).axes
    curve = next(line for line in sure.lines if line.get_label() == "share of 200 measurements")
    assert (curve.get_ydata()[20:] < levels[20:] - 0.1).all()


def test_before_after_marks_both_and_leaves_out_the_unknown():
    figure = plots.before_after([0.1, np.nan, 0.3], [0.2, 0.5, 0.1], ylabel="share", ylim=(0, 1))
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["before"].get_xydata(), [[1, 0.1], [2, np.nan], [3, 0.3]])
    np.testing.assert_array_equal(lines["after"].get_ydata(), [0.2, 0.5, 0.1])
    assert axes.get_ylim() == (0, 1)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("share", "training")
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("before", "after", "scale"),
    [([200.0, 4.0], [5.0, 3.0], "log"), ([9.0], [3.0], "linear"), ([-1.0], [90.0], "linear"),
     ([0.0], [90.0], "linear"), ([np.nan], [np.nan], "linear")],
)  # fmt: skip
def test_before_after_of_very_different_losses_is_logarithmic(before, after, scale):
    (axes,) = plots.before_after(before, after, ylabel="loss").axes
    assert axes.get_yscale() == scale
    np.testing.assert_array_equal(axes.get_xticks(), np.arange(1, len(before) + 1))


@pytest.mark.parametrize("front", [[True, False, True], [0, 2], np.array([2, 0])])
def test_a_front_is_given_by_bools_or_by_rows(front):
    figure = plots.front_scatter([[1, 3], [1, 2], [2, 1]], [True, True, True], front, ["a", "b"])
    (marked,) = [line for line in figure.axes[0].lines if line.get_label() == "front"]
    assert sorted(zip(*marked.get_data(), strict=True)) == [(1, 3), (2, 1)]


def test_figures_can_be_composed_and_pyplot_stays_out():
    pyplot = sys.modules.get("matplotlib.pyplot")  # another test may have loaded it
    before = [] if pyplot is None else pyplot.get_fignums()
    figure = plots.new_figure(6.0, 3.0)
    left, right = figure.subfigures(1, 2)
    assert plots.progress_curve([1.0, 2.0], figure=left) is left
    assert plots.score_distributions({"a": [1.0, 2.0]}, figure=right) is right
    figure.canvas.draw()
    assert sys.modules.get("matplotlib.pyplot") is pyplot
    assert pyplot is None or pyplot.get_fignums() == before


def test_any_number_of_curves_is_drawn():
    curves = {f"setting {i}": (np.arange(3.0) + i, np.zeros(3)) for i in range(10)}
    released = {"published": ([1, 2], np.zeros(2), np.zeros(2))}
    figure = plots.topk_curves(curves, released=released, figure=plots.new_figure(4, 3))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [label for label in labels if label.startswith("setting")] == list(curves)
    assert "published (released)" in labels
