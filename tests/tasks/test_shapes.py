"""The shapes task: data by count and area, objective, the oracle grid, weights of copied data."""

import itertools
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso.acquisition import SearchState
from wrlso.exceptions import DataError, DataTypeError, NoCandidateError, ParameterError, ParameterTypeError
from wrlso.tasks import CopiedRankWeighting, OracleGrid, Shapes
from wrlso.tasks.shapes import N_SPRITES, POSITIONS, ROTATIONS, SCALES, SPRITE_SIDE, draw_squares
from wrlso.testing import check_latent_model, check_weighting
from wrlso.weighting import rank_weights

# ------------------------------------------------------------------------------------------------ data


def test_released_data_are_the_distinct_squares():
    X, y = Shapes().initial_data()
    assert X.shape == (1090, 64, 64)
    assert X.dtype == np.uint8
    assert y.dtype == np.float64
    assert len(np.unique(X.reshape(len(X), -1), axis=0)) == 1090
    # 65 - s rows for each side s, and only columns 32 to 51 are ever lit: 20 × 64 pixels
    np.testing.assert_array_equal(np.sort(y), np.repeat(np.arange(1, 21) ** 2, 65 - np.arange(1, 21)))
    lit = X.any(axis=0)
    assert lit[:, 32:52].all()
    assert lit.sum() == 1280
    for x, area in zip(X[::50], y[::50], strict=True):
        rows, columns = np.nonzero(x)
        side = round(area**0.5)
        assert columns.min() == 32
        assert np.ptp(columns) == np.ptp(rows) == side - 1


def test_copies_repeat_every_image():
    X, y = Shapes(copies=10).initial_data()
    assert len(X) == len(y) == 10_900
    np.testing.assert_array_equal(X[::10], Shapes().initial_data()[0])


@pytest.fixture(scope="module")
def sprites():
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    tracemalloc.start()
    sys.settrace(trace)
    try:
        X, y = Shapes("dsprites").initial_data()
    finally:
        sys.settrace(before)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return SimpleNamespace(X=X, y=y, lines=lines, peak=peak)


def test_sprites_by_count_and_area(sprites):
    assert sprites.X.shape == (245_760, 64, 64)
    assert N_SPRITES == 245_760 == 6 * 40 * 32 * 32
    by_scale = sprites.y.reshape(6, -1)
    area = (SPRITE_SIDE * SCALES) ** 2
    # a pixel is lit by its centre, so that the area is right on average over positions and rotations ...
    np.testing.assert_allclose(by_scale.mean(axis=1), area, rtol=1e-3)
    # ... and each one is off by no more than a row and a column of border pixels
    assert (np.abs(by_scale - area[:, None]) <= 2 * np.sqrt(area)[:, None] + 1).all()


def test_sprites_stay_inside_the_image(sprites):
    # the images at the extreme positions equal those drawn 16 pixels further in, moved back
    table = sprites.X.reshape(6, 40, 32, 32, 64, 64)
    for (scale, rotation), (x, y) in itertools.product(
        [(5, r) for r in range(0, 40, 3)], [(0, 0), (31, 31), (0, 31), (31, 7)]
    ):
        centre = [13 + 38 * POSITIONS[x], 13 + 38 * POSITIONS[y]]
        moves = [16 if c < 32 else -16 for c in centre]
        (inner,) = draw_squares(18.0, ROTATIONS[rotation], centre[0] + moves[0], centre[1] + moves[1])
        moved = np.roll(inner, (-moves[1], -moves[0]), axis=(0, 1))
        np.testing.assert_array_equal(table[scale, rotation, x, y], moved)


def test_a_full_turn_draws_the_same_images(sprites):
    table = sprites.X.reshape(6, 40, -1)
    np.testing.assert_array_equal(table[:, 0], table[:, -1])


def test_sprites_are_drawn_in_seconds_and_within_memory(sprites):
    # in blocks of 64, a dozen lines of Python each: one by one the images would take more lines than they are
    assert sprites.lines < N_SPRITES
    # the images, and while their pixels are counted one truth value for each; 2.0 GB
    assert sprites.peak < 2.1 * sprites.X.nbytes


def test_subset_is_drawn_by_the_random_state(sprites):
    task = Shapes("dsprites", subset=300)
    X, y = task.initial_data(0)
    assert X.shape == (300, 64, 64)
    np.testing.assert_array_equal(X, task.initial_data(0)[0])
    assert not np.array_equal(X, task.initial_data(1)[0])
    assert np.isin(y, sprites.y).all()


@given(
    side=st.integers(1, 20),
    column=st.integers(0, 44),
    row=st.integers(0, 44),
    quarter_turns=st.integers(-8, 8),
)
def test_whole_squares_have_exactly_their_area(side, column, row, quarter_turns):
    (x,) = draw_squares(side, quarter_turns * np.pi / 2, column + side / 2, row + side / 2)
    assert x[row : row + side, column : column + side].all()
    assert x.sum() == side**2


@given(
    side=st.floats(1, 20),
    angle=st.floats(0, 7),
    centre=st.tuples(st.floats(16, 48), st.floats(16, 48)),
)
def test_turned_squares_against_the_definition(side, angle, centre):
    (x,) = draw_squares(side, angle, *centre)
    v, u = np.mgrid[0:64, 0:64] + 0.5
    along = (u - centre[0]) * np.cos(angle) + (v - centre[1]) * np.sin(angle)
    across = (v - centre[1]) * np.cos(angle) - (u - centre[0]) * np.sin(angle)
    distance = np.maximum(np.abs(along), np.abs(across)) - side / 2
    assert x[distance < -1e-3].all()
    assert not x[distance > 1e-3].any()


def test_factors_are_those_of_dsprites():
    np.testing.assert_allclose(SCALES, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert (len(ROTATIONS), ROTATIONS[0], ROTATIONS[-1]) == (40, 0.0, 2 * np.pi)
    assert (len(POSITIONS), POSITIONS[0], POSITIONS[-1]) == (32, 0.0, 1.0)


# ------------------------------------------------------------------------------------- objective, model


def test_objective_counts_pixels_up_to_the_optimum():
    task = Shapes()
    X, y = task.initial_data()
    assert [task.objective(x) for x in X[::100]] == list(y[::100])
    assert task.objective(np.ones((64, 64), dtype=bool)) == task.optimum == 4096.0
    assert task.objective(torch.zeros(64, 64)) == 0.0


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((64, 63)), DataError, r"shape \(64, 64\), got \(64, 63\)"),
        (np.full((64, 64), 0.5), DataError, "only the values 0 and 1"),
        (np.full((64, 64), np.nan), DataError, "only the values 0 and 1"),
        (np.full((64, 64), -1), DataError, "only the values 0 and 1"),
        (np.full((64, 64), 256), DataError, "only the values 0 and 1"),
        ("square", DataTypeError, "holds numbers"),
    ],
)
def test_objective_refuses_what_is_no_image(x, error, message):
    with pytest.raises(error, match=message):
        Shapes().objective(x)
    assert not Shapes().is_novel_and_valid(x)


def test_novel_means_outside_the_starting_data():
    task = Shapes()
    X, _ = task.initial_data()
    assert not any(task.is_novel_and_valid(x) for x in X[::50])
    assert task.is_novel_and_valid(np.roll(X[0], 1, axis=1))
    assert not task.is_novel_and_valid(X[5].astype(float))
    # known as a member of the family, also when another subset was drawn
    assert not Shapes(subset=3).is_novel_and_valid(X[17])


@pytest.mark.parametrize("network", ["coordinate", "small", "released"])
def test_models_fulfil_the_contract(network):
    task = Shapes(network=network, latent_dim=3)
    state = torch.get_rng_state()
    model = task.model(0)
    assert torch.equal(torch.get_rng_state(), state)
    X, _ = task.initial_data()
    check_latent_model(model, list(X[::200]))
    assert model.latent_dim == 3
    again = task.model(0).state_dict()
    assert all(torch.equal(weights, again[name]) for name, weights in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data": "circles"}, ParameterError, "data must be one of 'released', 'dsprites'"),
        ({"copies": 0}, ParameterError, "copies must be an integer of at least 1"),
        ({"copies": 1.5}, ParameterTypeError, "copies must be an integer"),
        ({"subset": 1091}, ParameterError, "subset must be at most the 1090 images"),
        ({"subset": 0}, ParameterError, "subset must be an integer of at least 1"),
    ],
)
def test_impossible_data(options, error, message):
    with pytest.raises(error, match=message):
        Shapes(**options).initial_data()


def test_unknown_network():
    with pytest.raises(ParameterError, match="network must be one of 'coordinate'"):
        Shapes(network="deep").model()


def test_task_is_a_scikit_learn_estimator():
    task = Shapes("dsprites", subset=5)
    assert clone(task).get_params() == task.get_params()


# ----------------------------------------------------------------------------------------- oracle grid


class Rounding:
    """A model whose objects are the latent points, rounded: many points decode to one object."""

    def __init__(self, latent_dim=2, step=0.5):
        self.latent_dim = latent_dim
        self.step = step
        self.batches = []

    def decode(self, Z, temperature=0.0, generator=None):
        self.batches.append(len(Z))
        cells = torch.round(Z / self.step).int().tolist()
        return [None if cell[0] == 0 else tuple(cell) for cell in cells]

    def key(self, x):
        return x


def state_of(model, known=(), n=50):
    Z = torch.from_numpy(np.random.default_rng(0).normal(size=(n, model.latent_dim)))
    return SearchState(
        model=model, surrogate=None, Z=Z, y=torch.zeros(n), weights=torch.ones(n),
        pending=torch.empty(0, model.latent_dim), screen=lambda x: "known" if x in known else None,
    )  # fmt: skip


def height(x):
    return float(x[0] - 0.01 * x[1])


@pytest.mark.parametrize("chunk_size", [1, 7, 100, 10_000])
def test_oracle_finds_the_best_new_points_whatever_the_chunks(chunk_size):
    known = {(6, -6), (6, 2)}
    model = Rounding()
    grid = OracleGrid(height, bounds=3.0, n_per_axis=25, chunk_size=chunk_size)
    proposals, record = grid.propose(state_of(model, known), 40, np.random.default_rng(0))
    everything = [x for x in itertools.product(range(-6, 7), repeat=2) if x[0] != 0 and x not in known]
    expected = sorted((height(x) for x in everything), reverse=True)[:40]
    assert [proposal.value for proposal in proposals] == expected
    assert [height(proposal.x) for proposal in proposals] == expected
    assert len({proposal.x for proposal in proposals}) == 40
    for proposal in proposals:
        assert proposal.z.dtype == torch.float64
        assert model.decode(proposal.z[None]) == [proposal.x]
    assert record.n_decoded == 625
    assert record.rejected["known"] > 0
    assert max(model.batches) <= chunk_size


def test_the_preprints_grid_has_its_number_of_points():
    rng = np.random.default_rng(0)
    grid = OracleGrid(height, bounds=5.0, n_per_axis=21, radius=5.0)
    points = np.concatenate(list(grid.points(torch.zeros(1, 3), rng)))
    expected = sum(i**2 + j**2 + k**2 <= 100 for i, j, k in itertools.product(range(-10, 11), repeat=3))
    assert len(points) == expected
    np.testing.assert_allclose(points * 2, np.round(points * 2), atol=1e-12)


def test_data_bounds_scale_with_the_encodings():
    grid = OracleGrid(height, bounds="data", margin=2.0, n_per_axis=3)
    Z = torch.tensor([[1.0, -3.0]] * 5, dtype=torch.float64)
    (points,) = grid.points(Z, np.random.default_rng(0))
    np.testing.assert_allclose(points.max(axis=0), [6.0, 6.0])
    np.testing.assert_allclose(points.min(axis=0), [-6.0, -6.0])


def test_quasi_random_points_follow_the_generator():
    grid = OracleGrid(height, n_points=1000, chunk_size=300)
    draw = [np.concatenate(list(grid.points(torch.zeros(1, 4), np.random.default_rng(s)))) for s in (0, 0, 1)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    assert draw[0].shape == (1000, 4)
    assert np.abs(draw[0]).max() <= 3.0
    # low discrepancy: every sixteenth of the box gets its share
    counts = np.unique((draw[0] > 0) @ [1, 2, 4, 8], return_counts=True)[1]
    np.testing.assert_allclose(counts, 1000 / 16, rtol=0.1)


def test_random_points_follow_when_the_grid_is_exhausted():
    state = state_of(Rounding(step=0.25))
    grid = OracleGrid(height, n_per_axis=2, max_rounds=200)
    proposals, record = grid.propose(state, 20, np.random.default_rng(0))
    assert len({proposal.x for proposal in proposals}) == 20
    assert record.n_decoded > 4


def test_oracle_gives_up():
    everything = set(itertools.product(range(-6, 7), repeat=2))
    with pytest.raises(NoCandidateError, match=r"found 0 of 1 new points .* 3 rounds .*known.*undecodable"):
        OracleGrid(height, max_rounds=3).propose(
            state_of(Rounding(), everything), 1, np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"objective": None}, ParameterTypeError, "objective must be callable"),
        ({"bounds": 0}, ParameterError, "bounds must be a finite number > 0"),
        ({"bounds": "wide"}, ParameterTypeError, "bounds must be"),
        ({"n_per_axis": 1}, ParameterError, "n_per_axis must be an integer of at least 2"),
        ({"radius": -1.0}, ParameterError, "radius must be"),
        ({"n_points": 0}, ParameterError, "n_points must be"),
        ({"max_rounds": 0}, ParameterError, "max_rounds must be"),
        ({"chunk_size": 0}, ParameterError, "chunk_size must be"),
        ({"margin": 0.0}, ParameterError, "margin must be"),
    ],
)
def test_impossible_grids(options, error, message):
    grid = OracleGrid(**{"objective": height, **options})
    with pytest.raises(error, match=message):
        grid.propose(state_of(Rounding()), 1, np.random.default_rng(0))


# -------------------------------------------------------------------------------------- copied weights


@settings(max_examples=200)
@given(
    y=st.lists(st.integers(-3, 5).map(float), min_size=1, max_size=30),
    n_start=st.integers(1, 40),
    copies=st.integers(1, 12),
    k=st.one_of(st.floats(1e-6, 1e3), st.just(float("inf"))),
)
def test_copied_weights_are_rank_weights_of_the_copied_data(y, n_start, copies, k):
    count = np.where(np.arange(len(y)) < n_start, copies, 1)
    expanded = rank_weights(np.repeat(y, count), k)
    summed = np.add.reduceat(expanded, np.concatenate([[0], np.cumsum(count)[:-1]]))
    weights = CopiedRankWeighting(k, n_start, copies)(y)
    np.testing.assert_allclose(weights, summed * (len(y) / summed.sum()), rtol=1e-10)
    np.testing.assert_allclose(weights.mean(), 1.0)


def test_one_copy_is_plain_rank_weighting():
    y = np.random.default_rng(0).normal(size=50).round(1)
    np.testing.assert_allclose(CopiedRankWeighting(1e-2, n_start=30, copies=1)(y), rank_weights(y, 1e-2))
    check_weighting(CopiedRankWeighting(1e-2, n_start=1, copies=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"k": 0.0}, "k must be"), ({"k": float("nan")}, "k must be"), ({"n_start": 0}, "n_start must be"),
     ({"copies": 0}, "copies must be")],
)  # fmt: skip
def test_impossible_copied_weights(options, message):
    with pytest.raises(ParameterError, match=message):
        CopiedRankWeighting(**options)([1.0, 2.0])
