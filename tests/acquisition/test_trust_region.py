"""The trust region: grows, shrinks, restarts, follows the best point's present encoding, survives a file."""

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from grid_model import GridModel
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso import LatentSearch, LogExpectedImprovement, Mixture, SparseGP, ThompsonSampling, TrustRegion
from wrlso.acquisition import SearchState
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.trust_region import Region
from wrlso.exceptions import NoCandidateError, ParameterError, ParameterTypeError
from wrlso.optimizer import WeightedRetrainingOptimizer


def rng(seed=0):
    return np.random.default_rng(seed)


class Straight:
    """A surrogate without lengthscales, or with those that are given."""

    space = "latent"

    def __init__(self, lengthscale=None):
        if lengthscale is not None:
            self.lengthscales = lambda: np.array(lengthscale, dtype=np.float64)


def search_state(Z, y, *, told=None, rows=None, n_rows=None, model=None, screen=lambda x: None, **more):
    Z, y = torch.as_tensor(Z, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64)
    return SearchState(
        model or GridModel(Z.shape[1]),
        more.get("surrogate"),
        Z,
        y,
        torch.ones_like(y),
        Z[:0],
        screen,
        rows=rows,
        n_rows=n_rows,
        n_told=told,
    )


def follow(region, state, surrogate=None, seed=0):
    landscape = Landscape.of(state, rng(), 1.1, 0.999)
    return region.follow(state, landscape, surrogate or Straight(), rng(seed))


def grown(state, y, told=None):
    """The state after more values, at other places."""
    more = torch.from_numpy(rng(len(state.y)).normal(size=(len(y), state.Z.shape[1])))
    y = torch.cat([state.y, torch.tensor(y, dtype=torch.float64)])
    return search_state(torch.cat([state.Z, more]), y, told=told)


def start(n=30, d=3, seed=0):
    return search_state(rng(seed).normal(size=(n, d)), rng(seed + 1).normal(size=n))


# ------------------------------------------------------------------ growing and shrinking


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=40),
    st.integers(1, 4),
    st.integers(1, 9),
    st.floats(0.1, 10.0),
    st.floats(-5.0, 5.0),
)
def test_length_follows_successes_and_failures(asks, n_successes, n_failures, scale, shift):
    region = TrustRegion(n_successes=n_successes, n_failures=n_failures, length_min=1e-9)
    moved = clone(region)  # sees the same values on another scale
    state = start()
    follow(region, state)
    follow(moved, search_state(state.Z, scale * state.y + shift))
    length, successes, failures = 0.8, 0, 0
    for better, n in asks:
        best = float(state.y.max())
        state = grown(state, [best + 1.0] * n if better else [best - 1.0] * n)
        follow(region, state)
        follow(moved, search_state(state.Z, scale * state.y + shift))
        successes, failures = (successes + 1, 0) if better else (0, failures + n)
        if successes == n_successes:
            length, successes = min(1.6, 2 * length), 0
        elif failures >= n_failures:
            length, failures = length / 2, 0
        assert region.length_ == moved.length_ == length


def test_successes_double_and_failures_halve():
    region = TrustRegion()
    state = start(d=6)
    assert follow(region, state).high[0] > 0
    lengths = []
    for value in [5.0, 6.0, 7.0, 8.0, 9.0, 10.0] + 12 * [0.0]:
        state = grown(state, [value])
        follow(region, state)
        lengths.append(region.length_)
    assert lengths == 2 * [0.8] + 9 * [1.6] + 6 * [0.8] + [0.4]


def test_a_negligible_improvement_is_none():
    state = start()
    for gain, grows in [(1e-6, False), (1e-2, True)]:
        region = TrustRegion(n_successes=1, length_max=3.0)
        follow(region, state)
        follow(region, grown(state, [float(state.y.max()) + gain]))
        assert (region.length_ > 0.8) == grows


def test_failed_experiments_are_failures_and_nothing_new_is_neither():
    region = TrustRegion(n_failures=3)
    state = start()
    first = follow(region, state)
    for seed in range(5):
        again = follow(region, state, seed=seed)
        np.testing.assert_array_equal([again.low, again.high], [first.low, first.high])
    assert region.length_ == 0.8
    follow(region, search_state(state.Z, state.y, told=len(state.y) + 3))
    assert region.length_ == 0.4


# ------------------------------------------------------------------ where it is


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.floats(0.01, 1.6), st.integers(0, 2**32 - 1))
def test_the_centre_is_the_best_points_present_encoding_and_all_draws_lie_inside(d, length, seed):
    state = start(d=d, seed=seed % 1000)
    lengthscales = np.exp(rng(seed).normal(size=d)).tolist()
    region = TrustRegion(length, length_min=1e-3)
    follow(region, state)
    # the model was retrained: everything lies elsewhere
    moved = search_state(rng(seed).normal(size=state.Z.shape), state.y)
    place = follow(region, moved, Straight(lengthscales))
    best = moved.Z[int(state.y.argmax())].numpy()
    np.testing.assert_array_equal(place.center, best)
    np.testing.assert_array_equal(region.center_, best)
    Z = place.sample(50, rng(seed))
    assert (np.clip(Z, place.low, place.high) == Z).all()
    assert not (best == Z).all(axis=1).any()
    projected = place.project(torch.from_numpy(10.0 * rng(seed).normal(size=(50, d)))).numpy()
    assert (np.clip(projected, place.low, place.high) == projected).all()
    half_width = Landscape.of(moved, rng(), 1.1, 0.999).half_width
    assert (place.high <= np.maximum(half_width, best)).all()
    assert (place.low >= np.minimum(-half_width, best)).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 3.0), min_size=2, max_size=20), st.floats(0.01, 0.05))
def test_sides_follow_the_lengthscales_with_a_mean_of_the_length(lengthscales, length):
    d = len(lengthscales)
    Z = np.concatenate([np.eye(d), -np.eye(d), np.zeros((1, d))])  # a box of the same width everywhere
    state = search_state(Z, [*np.zeros(2 * d), 1.0])
    whole = 2 * Landscape.of(state, rng(), 1.1, 0.999).half_width
    place = follow(TrustRegion(length, length_min=1e-3), state, Straight(lengthscales))
    sides = (place.high - place.low) / whole
    assert np.exp(np.log(sides).mean()) == pytest.approx(length)
    np.testing.assert_allclose(sides / sides[0], np.array(lengthscales) / lengthscales[0])


def test_draws_leave_the_centre_in_few_of_many_coordinates():
    place = Region(-np.ones(200), np.ones(200), np.ones(200), np.zeros(200))
    moved = (place.sample(500, rng()) != 0).sum(axis=1)
    assert 15 < moved.mean() < 25
    assert moved.min() >= 1
    few = Region(-np.ones(5), np.ones(5), np.ones(5), np.zeros(5))
    assert (few.sample(100, rng()) != 0).all()


def test_a_surrogate_of_the_librarys_own_shapes_the_region():
    Z = rng().uniform(-1, 1, size=(60, 2))
    state = search_state(Z, np.sin(5 * Z[:, 0]))
    gp = SparseGP().fit(state.Z, state.y, rng())
    place = follow(TrustRegion(0.2), state, gp)
    assert (place.high - place.low)[1] > 2 * (place.high - place.low)[0]


def shrunk(region, state):
    """Shrink the region to its end; return the state in which the next ask restarts."""
    for _ in range(100):
        state = grown(state, [-9.0] * region.n_failures)
        if region.length_ / 2 < region.length_min:
            return state
        follow(region, state)
    raise AssertionError("it does not shrink")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_region_that_is_too_small_starts_again_elsewhere(seed):
    region = TrustRegion(0.4, length_min=0.1, n_failures=4)
    state = start(seed=seed)
    old = follow(region, state)
    state = shrunk(region, state)
    place = follow(region, state, seed=seed)
    assert (region.n_restarts_, region.length_) == (1, 0.4)
    assert (state.Z.numpy() == place.center).all(axis=1).any()
    assert not ((place.center >= old.low) & (place.center <= old.high)).all()
    again = follow(region, state, seed=seed + 1)
    np.testing.assert_array_equal(again.center, place.center)
    # from now on it follows what is new, though the best of all lies elsewhere
    anchor = float(state.y[(state.Z.numpy() == place.center).all(axis=1)][0])
    state = grown(state, [anchor + 0.5, anchor - 0.5])
    np.testing.assert_array_equal(follow(region, state).center, state.Z[-2].numpy())
    assert region.successes_ == 1
    # points keep their numbers though the search sees a part of them in another order
    rows = np.arange(len(state.y))[::-1][: len(state.y) - 5].copy()
    part = search_state(state.Z[rows], state.y[rows], rows=rows, n_rows=len(state.y), told=len(state.y))
    np.testing.assert_array_equal(follow(region, part).center, state.Z[-2].numpy())


def test_a_region_whose_points_were_all_withdrawn_moves_on():
    region = TrustRegion(0.4, length_min=0.3, n_failures=4)
    state = start()
    follow(region, state)
    state = shrunk(region, state)
    center = follow(region, state).center
    kept = np.flatnonzero((state.Z.numpy() != center).any(axis=1))
    part = search_state(state.Z[kept], state.y[kept], rows=kept, n_rows=len(state.y), told=len(state.y))
    place = follow(region, part)
    assert (part.Z.numpy() == place.center).all(axis=1).any()
    assert region.n_restarts_ == 1


def test_without_any_value_it_lies_where_the_data_does():
    state = search_state(np.empty((0, 3)), np.empty(0))
    place = follow(TrustRegion(), state)
    np.testing.assert_array_equal(place.center, np.zeros(3))


# ------------------------------------------------------------------ in a search


def grid_state(screen=lambda x: None, model=None):
    X = rng().integers(-8, 9, size=(60, 2))
    state = search_state(X / 5.0, -((X - 3.0) ** 2).sum(axis=1) / 25.0, screen=screen, model=model)
    gp = SparseGP(max_iter=15).fit(state.Z, state.y, rng())
    return SearchState(**(vars(state) | {"surrogate": gp}))


def mixture(search):
    return Mixture([LogExpectedImprovement(), ThompsonSampling()], search=search)


@pytest.mark.parametrize("acquisition", [LogExpectedImprovement, ThompsonSampling, mixture])
def test_candidates_lie_inside(acquisition):
    region = TrustRegion(0.25)
    search = LatentSearch(n_starts=4, n_raw=64, max_iter=5, bounds=region)
    proposals, record = acquisition(search=search).propose(grid_state(), 5, rng())
    place = follow(region, grid_state(), grid_state().surrogate)
    for proposal in proposals:
        assert (np.clip(proposal.z.numpy(), place.low, place.high) == proposal.z.numpy()).all()
    assert record.strategy == "LatentSearch"


def test_where_nothing_new_decodes_the_search_leaves_the_region_and_restarts():
    def screen(x):
        return "known" if max(abs(x[0] - 3), abs(x[1] - 3)) < 4 else None

    region = TrustRegion(0.1)
    acquisition = LogExpectedImprovement(LatentSearch(4, 64, max_iter=2, bounds=region))
    (proposal,), record = acquisition.propose(grid_state(screen), 1, rng())
    assert screen(proposal.x) is None
    assert record.rejected["known"] > 50
    acquisition.propose(grid_state(screen), 1, rng())
    assert region.n_restarts_ >= 1
    known = "known"
    region = TrustRegion()
    acquisition = LogExpectedImprovement(LatentSearch(4, 64, max_iter=2, max_attempts=30, bounds=region))
    with pytest.raises(NoCandidateError, match="0 of 1"):
        acquisition.propose(grid_state(lambda x: known), 1, rng())
    known = None
    acquisition.propose(grid_state(lambda x: known), 1, rng())
    assert region.n_restarts_ == 1


@pytest.mark.parametrize(
    ("region", "error", "message"),
    [
        (TrustRegion(length=2.0), ParameterError, "length_max must be"),
        (TrustRegion(length=1e-3), ParameterError, "length must be"),
        (TrustRegion(length_min=0.0), ParameterError, "length_min must be"),
        (TrustRegion(n_successes=0), ParameterError, "n_successes must be"),
        (TrustRegion(n_failures=0), ParameterError, "n_failures must be"),
        (TrustRegion(improvement=-1.0), ParameterError, "improvement must be"),
        (TrustRegion(improvement="big"), ParameterTypeError, "improvement must be"),
        (TrustRegion, ParameterError, "bounds must be 'quantile', 'ball' or a TrustRegion"),
    ],
)
def test_impossible_regions_are_refused(region, error, message):
    with pytest.raises(error, match=message):
        LogExpectedImprovement(LatentSearch(bounds=region)).propose(grid_state(), 1, rng())


# ------------------------------------------------------------------ in a campaign


def region_of(opt):
    return opt._session.learned.acquisition.search.bounds


def step(opt):
    x = opt.ask()
    opt.tell(x, float(np.sum(x)))
    return x


def test_the_region_is_part_of_a_campaign(tmp_path):
    region = TrustRegion(n_successes=1, n_failures=2, length_min=0.3)
    acquisition = LogExpectedImprovement(LatentSearch(4, 32, max_iter=3, bounds=region))
    X = words()
    opt = make_optimizer(acquisition=acquisition, retrain_every=4).fit(X, X.sum(axis=1))
    lengths = []
    for i in range(10):
        step(opt)
        lengths.append(region_of(opt).length_)
        if i == 5:
            opt.save(tmp_path / "campaign")
            saved = vars(region_of(opt)).copy()
            loaded = WeightedRetrainingOptimizer.load(
                tmp_path / "campaign", encoder=opt.encoder, decoder=opt.decoder, autosave=False
            )
            for name, value in vars(region_of(loaded)).items():
                np.testing.assert_array_equal(value, saved[name])
        if i > 5:
            np.testing.assert_array_equal(step(loaded), opt.X_[-1])
            assert region_of(loaded).length_ == lengths[-1]
    assert len(set(lengths)) > 1
    assert not hasattr(region, "length_")  # the user's own is a template
    opt.fit(X, X.sum(axis=1)).ask()
    assert region_of(opt).length_ == 0.8
