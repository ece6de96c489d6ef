"""Acquisition functions against closed forms, search strategies on small models, and their refusals."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from grid_model import GridModel
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso import Trainer
from wrlso.acquisition import (
    Acquisition,
    CandidatePool,
    LatentSearch,
    LogExpectedImprovement,
    Measured,
    Mixture,
    Near,
    PriorSampling,
    SearchState,
    ThompsonSampling,
    UpperConfidenceBound,
    log_h,
)
from wrlso.acquisition.belief import Belief
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.recombination import Parents, rewritten, some_blocks, spliced
from wrlso.exceptions import (
    ModelError,
    NoCandidateError,
    NotFittedError,
    ParameterError,
    ParameterTypeError,
)
from wrlso.surrogate import SparseGP
from wrlso.weighting import rank_weights


class PriorModel(GridModel):
    def sample_prior(self, n, generator=None):
        return 4.0 + 0.2 * torch.randn(n, self.latent_dim, generator=generator)


class FeatureSurrogate:
    """Predicts minus the distance of x to the origin; only takes lists of x."""

    space = "features"

    def __init__(self, seen=0):
        self.seen = seen

    def predict(self, X):
        assert isinstance(X, list)
        mean = torch.tensor([-float(np.hypot(*x)) for x in X], dtype=torch.float64)
        return mean, torch.full_like(mean, 0.01)

    def condition_on(self, X, y):
        assert len(X) == len(y)
        return FeatureSurrogate(self.seen + len(X))

    def sample(self, X, n, generator):
        return self.predict(X)[0].expand(n, -1)


def objective(x):
    return -float((x[0] - 12) ** 2 + (x[1] - 9) ** 2) / 25.0


def campaign(n=40, d=2, seed=0, model=None, screen=None, fit=True, **more):
    """A search state over n random grid points and a screen that knows them."""
    rng = np.random.default_rng(seed)
    cells = {tuple(cell) for cell in rng.integers(-8, 9, size=(n, d)).tolist()}
    X = sorted(cells)
    Z = torch.tensor(X, dtype=torch.float64) / 5.0
    y = torch.tensor([objective(x) for x in X], dtype=torch.float64)
    surrogate = SparseGP(max_iter=15).fit(Z, y, np.random.default_rng(0)) if fit else None
    state = SearchState(
        model=model or GridModel(d),
        surrogate=surrogate,
        Z=Z,
        y=y,
        weights=torch.ones(len(y), dtype=torch.float64),
        pending=more.pop("pending", torch.empty(0, d, dtype=torch.float64)),
        screen=screen or (lambda x: "known" if x in cells else None),
        **more,
    )
    return state, cells


SEARCHES = [
    CandidatePool(n_candidates=200),
    LatentSearch(n_starts=4, n_raw=64, max_iter=20),
]
FUNCTIONS = [LogExpectedImprovement, UpperConfidenceBound, ThompsonSampling]
BOTH = [function(search=search) for search in SEARCHES for function in FUNCTIONS[:2]]
SAMPLING = [ThompsonSampling(SEARCHES[0]), ThompsonSampling(LatentSearch(n_starts=4, n_raw=64))]
ALL = [*BOTH, *SAMPLING, PriorSampling()]


def rng(seed=0):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------ log h


def exact_log_h(u):
    with mpmath.workdps(80):
        u = mpmath.mpf(u)
        # u Φ(u) + φ(u), with Φ from erfc so that the far tail keeps its digits
        value = mpmath.npdf(u) + u * mpmath.erfc(-u / mpmath.sqrt(2)) / 2
        return float(mpmath.log(value))


@pytest.mark.parametrize(
    "u", [-1e6, -1e4, -300.0, -60.0, -50.1, -49.9, -20.0, -5.0, -1.01, -1.0, -0.99, -0.3, 0.0, 0.7, 5.0, 1e3]
)
def test_log_h_is_exact_to_ten_digits(u):
    if u < -1000:  # the closed form of the tail: h(u) = φ(u) / u² (1 - 3/u² + …)
        expected = -0.5 * u * u - 0.5 * np.log(2 * np.pi) - 2 * np.log(-u) + np.log1p(-3 / u**2)
    else:
        with mpmath.workdps(80):
            expected = exact_log_h(u)
    assert float(log_h(torch.tensor(u, dtype=torch.float64))) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.floats(-200, 50))
def test_log_h_is_exact_everywhere(u):
    assert float(log_h(torch.tensor(u, dtype=torch.float64))) == pytest.approx(
        exact_log_h(u), rel=1e-10, abs=1e-11
    )


def test_log_h_increases_with_finite_gradients():
    u = torch.cat([-torch.logspace(9, -3, 4000), torch.logspace(-3, 6, 4000)]).double().requires_grad_(True)
    value = log_h(u)
    assert (value.diff() > 0).all()
    (gradient,) = torch.autograd.grad(value.sum(), u)
    assert torch.isfinite(gradient).all()
    assert (gradient > 0).all()
    # d log h / du = Φ / h
    moderate = u.detach()[(u.detach() > -30) & (u.detach() < 30)]
    expected = torch.exp(torch.special.log_ndtr(moderate) - log_h(moderate))
    torch.testing.assert_close(gradient[(u > -30) & (u < 30)], expected, rtol=1e-9, atol=0.0)


class Normal:
    """A surrogate that returns fixed moments."""

    space = "latent"

    def __init__(self, mean, variance):
        self.moments = torch.from_numpy(np.array([[mean], [variance]], dtype=np.float64))

    def predict(self, Z):
        return self.moments


def test_expected_improvement_agrees_with_a_monte_carlo_mean():
    draws = torch.from_numpy(rng().normal(1.0, 2.0, size=1_000_000))
    found = LogExpectedImprovement().score(Normal(1.0, 4.0), None, 2.5, torch.Generator())
    assert float(found.exp()) == pytest.approx(float((draws - 2.5).clamp_min(0).mean()), rel=0.01)


@pytest.mark.parametrize("mean", [-1e300, 0.0, 1e300])
@pytest.mark.parametrize("variance", [0.0, 1e-300, 1e300])
def test_acquisition_values_are_always_finite(mean, variance):
    for function in (LogExpectedImprovement(), UpperConfidenceBound()):
        assert torch.isfinite(function.score(Normal(mean, variance), None, 1.0, torch.Generator())).all()


def test_upper_confidence_bound_adds_deviations():
    assert float(UpperConfidenceBound(3.0).score(Normal(1.0, 4.0), None, 0.0, torch.Generator())) == 7.0


# ------------------------------------------------------------------ where the data lies


def test_box_contains_the_quantiles_of_the_data():
    Z = rng().normal(size=(5000, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 0.0]
    state = SearchState(GridModel(3), None, torch.from_numpy(Z), torch.zeros(5000), torch.ones(5000),
                        torch.empty(0, 3), lambda x: None)  # fmt: skip
    box = Landscape.of(state, rng(), 1.1, 0.999).half_width
    np.testing.assert_allclose(box, 1.1 * np.quantile(np.abs(Z), 0.999, axis=0))


def test_cost_of_the_landscape_does_not_follow_the_number_of_points():
    class Rows:
        """So many that no array of all of them fits into memory; can do nothing but hand out some."""

        n_read = 0

        def __len__(self):
            return 10**14

        def __getitem__(self, rows):
            self.n_read += len(rows)
            return torch.zeros(len(rows), 4, dtype=torch.float64)

    Z, none = Rows(), torch.empty(0, 4, dtype=torch.float64)
    state = SearchState(GridModel(4), None, Z, none[:, 0], none[:, 0], none, lambda x: None)
    landscape = Landscape.of(state, rng(), 1.1, 0.999)
    assert Z.n_read == len(landscape.rows) == 10_000
    assert (landscape.spread > 0).all()


def test_prior_draws_follow_the_model_that_knows_its_prior():
    state, _ = campaign(model=PriorModel())
    proposals, _ = PriorSampling().propose(state, 10, rng())
    assert np.linalg.norm(np.mean([p.x for p in proposals], axis=0) / 5.0 - 4.0) < 0.5


def test_no_draws_need_no_model():
    state, _ = campaign(n=10, d=3)
    model = PriorModel(3)
    model.sample_prior = None  # is not called
    assert Landscape.of(state, rng(), 1.1, 0.999).sample(model, 0, rng()).shape == (0, 3)


def test_prior_draws_lie_where_the_data_lies():
    state, _ = campaign(fit=False)
    proposals, _ = PriorSampling().propose(state, 20, rng())
    assert np.abs([p.x for p in proposals]).max() < 25
    assert all(np.isnan(p.value) for p in proposals)


def test_half_of_the_prior_sampling_are_the_users_own_points_as_long_as_there_are_any():
    own = [(float(i), 90.0) for i in range(60)]  # far from where the data lies
    Z = torch.tensor(own, dtype=torch.float64) / 5.0
    state, _ = campaign(fit=False, candidates=own, candidates_Z=Z)
    proposals, _ = PriorSampling().propose(state, 80, rng())
    chosen = [p for p in proposals if p.x in own]
    assert 25 <= len(chosen) == len({p.x for p in chosen}) <= 55
    assert all(p.z.equal(Z[own.index(p.x)]) and np.isnan(p.value) for p in chosen)
    one, _ = campaign(fit=False, candidates=own[:1], candidates_Z=Z[:1])
    assert sum(p.x in own for p in PriorSampling().propose(one, 20, rng())[0]) == 1
    refused, _ = campaign(fit=False, candidates=own, candidates_Z=Z)
    refused = replace(refused, screen=lambda x: "infeasible" if x in own else None)
    assert not any(p.x in own for p in PriorSampling().propose(refused, 20, rng())[0])


def test_prior_sampling_takes_the_users_points_where_nothing_else_comes_out():
    own = [(float(i), 90.0) for i in range(5)]
    state, _ = campaign(fit=False, candidates=own, candidates_Z=torch.zeros(5, 2, dtype=torch.float64))
    state.model.decode = lambda Z, *_: [None] * len(Z)
    for seed in range(5):
        proposals, record = PriorSampling(max_attempts=2).propose(state, 4, rng(seed))
        assert len({p.x for p in proposals} & set(own)) == 4
        assert record.rejected == ({"undecodable": record.n_decoded} if record.n_decoded else {})
    with pytest.raises(NoCandidateError, match="found 5 of 6"):
        PriorSampling(max_attempts=2).propose(state, 6, rng())


def test_prior_sampling_needs_no_data_at_all():
    empty = torch.empty(0, 2, dtype=torch.float64)
    state = SearchState(GridModel(), None, empty, empty[:, 0], empty[:, 0], empty, lambda x: None)
    proposals, record = PriorSampling().propose(state, 30, rng())
    assert len({p.x for p in proposals}) == 30
    assert 0.3 < np.std([p.z.numpy() for p in proposals]) < 3.0
    assert record.n_decoded >= 30


# ------------------------------------------------------------------ proposals


@pytest.mark.parametrize("acquisition", ALL, ids=repr)
def test_proposals_are_distinct_screened_and_deterministic(acquisition):
    state, cells = campaign(pending=torch.tensor([[1.0, 1.0]]).double())
    assert isinstance(acquisition, Acquisition)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first, record = acquisition.propose(state, 4, rng(1))
    again, _ = acquisition.propose(state, 4, rng(1))
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())
    assert [p.x for p in first] == [p.x for p in again]
    assert all(torch.equal(a.z, b.z) for a, b in zip(first, again, strict=True))
    assert len({p.x for p in first}) == 4
    assert not {p.x for p in first} & cells
    for proposal in first:
        assert proposal.z.shape == (2,)
        assert proposal.z.dtype == torch.float64
        assert np.isfinite(proposal.value) == acquisition.uses_surrogate
    assert record.n_decoded >= 4
    assert set(record.seconds) == {"acquire", "decode"}
    assert all(value >= 0 for value in record.seconds.values())
    assert record.strategy in {"CandidatePool", "LatentSearch", "PriorSampling"}


@pytest.mark.parametrize("acquisition", ALL, ids=repr)
def test_arguments_are_kept_and_the_model_is_only_evaluated(acquisition):
    state, _ = campaign(n=10)
    state.model.train()
    clone(acquisition).propose(state, 1, rng())
    assert state.model.training
    assert set(state.model.modes) == {(False, False)}


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_search_finds_the_best_of_all_candidates(search):
    state, cells = campaign(n=60)
    (proposal,), _ = LogExpectedImprovement(search=search).propose(state, 1, rng())
    grid = [(a, b) for a in range(-9, 10) for b in range(-9, 10) if (a, b) not in cells]
    Z = torch.tensor(grid, dtype=torch.float64) / 5.0
    values = LogExpectedImprovement().score(state.surrogate, Z, float(state.y.max()), torch.Generator())
    found = torch.tensor(proposal.x, dtype=torch.float64)[None] / 5.0
    value = LogExpectedImprovement().score(state.surrogate, found, float(state.y.max()), torch.Generator())
    inside = (Z.abs() <= 1.76).all(1)
    assert float(value) >= float(values[inside].quantile(0.97))


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_pending_points_and_batch_members_repel(search):
    state, _ = campaign(n=60)
    acquisition = LogExpectedImprovement(search=search)
    (alone,), _ = acquisition.propose(state, 1, rng())
    pending = torch.tensor([alone.x], dtype=torch.float64) / 5.0
    state2, _ = campaign(n=60, pending=pending)
    belief = Belief.of(state2)
    value = acquisition.score(belief.surrogate, pending, belief.best, torch.Generator())
    assert float(value) < alone.value - 0.1
    batch, _ = acquisition.propose(state, 5, rng())
    assert batch[0].x == alone.x
    points = np.array([p.x for p in batch]) / 5.0
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(5)
    assert distance.min() > 0.0


def test_pool_value_is_that_of_the_encoding():
    state, _ = campaign()
    (proposal,), _ = LogExpectedImprovement().propose(state, 1, rng())
    np.testing.assert_allclose(proposal.z, np.array(proposal.x) / 5.0, rtol=1e-6)
    surrogate, y = state.surrogate.working_scale(state.y)
    value = LogExpectedImprovement().score(surrogate, proposal.z[None], float(y.max()), torch.Generator())
    assert proposal.value == pytest.approx(float(value), rel=1e-9)


def test_supplied_candidates_compete():
    best = (12, 9)
    state, _ = campaign(n=60, candidates=[best], candidates_Z=torch.tensor([best]).double() / 5.0)
    acquisition = UpperConfidenceBound(
        0.0, search=CandidatePool(12, generations=1, sources=[Near(sigma=(0.01, 0.02))])
    )
    (proposal,), _ = acquisition.propose(state, 1, rng())
    assert proposal.x == best


def test_features_of_x_work_with_the_pool_only():
    state, cells = campaign(fit=False)
    state = SearchState(**(vars(state) | {"surrogate": FeatureSurrogate(), "pending_X": [(1, 1)]}))
    proposals, _ = UpperConfidenceBound(search=CandidatePool(n_candidates=300)).propose(state, 3, rng())
    norms = [np.hypot(*p.x) for p in proposals]
    free = sorted(np.hypot(a, b) for a in range(-9, 10) for b in range(-9, 10) if (a, b) not in cells)
    assert norms[0] <= free[3]
    with pytest.raises(ParameterError, match="use CandidatePool"):
        LogExpectedImprovement(search=LatentSearch()).propose(state, 1, rng())


# ------------------------------------------------------------------ when little is new


@pytest.mark.parametrize("acquisition", ALL, ids=repr)
def test_a_model_that_decodes_only_known_points_is_given_up(acquisition):
    state, cells = campaign(n=10)
    state.model.only = [*sorted(cells), None]
    state.model.most = 2000  # a search that does not give up after 1000 for each of the two fails here
    with pytest.raises(
        NoCandidateError, match=r"0 of 2 .* among \d+ candidates.* known \d+, undecodable \d+"
    ) as caught:
        acquisition.propose(state, 2, rng())
    assert f"among {state.model.n_decoded} candidates" in str(caught.value)


@pytest.mark.parametrize("acquisition", ALL, ids=repr)
def test_the_only_new_point_is_found_and_a_second_is_not_invented(acquisition):
    state, cells = campaign(n=10)
    state.model.only = [*sorted(cells), None, (30, 30)]
    (proposal,), record = acquisition.propose(state, 1, rng())
    assert proposal.x == (30, 30)
    assert record.rejected["known"] > 0
    with pytest.raises(NoCandidateError, match="1 of 2"):
        acquisition.propose(state, 2, rng())


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_what_is_blocked_is_replaced(search):
    state, _ = campaign(n=60)
    acquisition = LogExpectedImprovement(search=search)
    (best,), _ = acquisition.propose(state, 1, rng())
    blocked = {(best.x[0] + a, best.x[1] + b) for a in range(-3, 4) for b in range(-3, 4)}
    state2, _ = campaign(n=60, screen=lambda x: "infeasible" if x in blocked else None)
    (other,), record = acquisition.propose(state2, 1, rng())
    assert other.x not in blocked
    assert record.rejected["infeasible"] > 0


@pytest.mark.parametrize(
    "search", [CandidatePool(100, generations=1), LatentSearch(4, 32, max_iter=2)], ids=repr
)
def test_every_ask_leaves_a_record_of_attempts_and_reasons(search):
    X = words()
    banned = X[0, 0]
    opt = make_optimizer(
        acquisition=LogExpectedImprovement(search=search),
        trainer=Trainer(initial_epochs=1),
        feasible=lambda x: x[0] == banned,
    ).fit(X, X.sum(axis=1))
    for i in range(1, 5):
        opt.ask(4)  # nothing is told, so that all of it stays pending
        assert len(opt.history_.asks) == i
    for record in opt.history_.asks:
        assert record.n_decoded >= 4
        assert record.strategy == type(search).__name__
        assert set(record.seconds) == {"fit", "acquire", "decode"}
        assert sum(record.rejected.values()) < record.n_decoded
    reasons = set().union(*(record.rejected for record in opt.history_.asks))
    # what is decoded at a maximum of Z is often what is out already; a pool has others to choose from
    expected = {"infeasible", "pending"} if isinstance(search, LatentSearch) else {"infeasible"}
    assert expected <= reasons <= {"pending", "infeasible", "known", "duplicate", "chosen"}


def test_objects_the_model_cannot_encode_are_left_out():
    state, _ = campaign(n=10)
    state.model.only = ["alien", (30, 30)]
    (proposal,), record = LogExpectedImprovement().propose(state, 1, rng())
    assert proposal.x == (30, 30)
    assert record.rejected["unencodable"] == 1


@pytest.mark.parametrize("kind", ["one", "same"])
def test_degenerate_data_are_searched(kind):
    Z = torch.zeros(1 if kind == "one" else 6, 2, dtype=torch.float64)
    y = torch.ones(len(Z), dtype=torch.float64)
    surrogate = SparseGP().fit(Z, y, rng())
    state = SearchState(GridModel(), surrogate, Z, y, y, Z[:0], lambda x: "known" if x == (0, 0) else None)
    for acquisition in ALL:
        proposals, _ = acquisition.propose(state, 2, rng())
        assert len({p.x for p in proposals} - {(0, 0)}) == 2


# ------------------------------------------------------------------ blocks of coordinates


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_splicing_takes_the_head_of_one_parent_and_a_tail_of_the_other(n_blocks, size, used, seed):
    used = min(used, n_blocks)
    a = 1.0 + np.arange(n_blocks * size)[None].repeat(50, axis=0)
    a[:, used * size :] = 0.0
    b = -1.0 - np.arange(n_blocks * size)[None].repeat(50, axis=0)
    children = spliced(a, b, size, rng(seed)).reshape(50, n_blocks, size)
    a, b = (parent.reshape(50, n_blocks, size) for parent in (a, b))
    for child in children:
        # at least one block of the first parent, and not its last one where it has several
        assert np.array_equal(child[0], a[0, 0])
        assert (child[max(used - 1, 1) :] <= 0).all()
        sources = {tuple(block): place for place, block in enumerate(b[0])}
        moves = {
            sources[tuple(block)] - place for place, block in enumerate(child) if tuple(block) in sources
        }
        # one block after the other, all moved by the same number of places, nothing in between
        assert len(moves) <= 1
        assert all(-2 <= move <= 2 for move in moves)
        own = {tuple(block) for block in a[0]}
        assert all(tuple(block) in own | set(sources) or not block.any() for block in child)


def test_splicing_moves_tails_both_ways_and_often_not_at_all():
    a, b = np.ones((4000, 6)), -np.arange(1.0, 7.0)[None].repeat(4000, axis=0)
    children = spliced(a, b, 1, rng())
    kept = (children == b)[:, -1].mean()
    longer = (children[:, -1] < 0).mean() - kept
    shorter = (children[:, -1] == 0).mean()
    assert 0.4 < kept < 0.6
    assert 0.2 < longer < 0.3
    assert 0.2 < shorter < 0.3


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_rewriting_hides_one_to_three_neighbouring_blocks_in_use(n_blocks, size, seed):
    draw = rng(seed)
    rows = draw.standard_normal((50, n_blocks, size))
    used = draw.integers(1, n_blocks + 1, size=50)
    rows[np.arange(n_blocks)[None] >= used[:, None]] = 0.0
    found = rewritten(rows.reshape(50, -1), size, draw).reshape(rows.shape)
    for row, out, n_used in zip(rows, found, used, strict=True):
        hidden = np.flatnonzero((out[:n_used] == 0).all(axis=1))
        assert 1 <= len(hidden) <= 3
        assert hidden[-1] - hidden[0] == len(hidden) - 1
        kept = np.setdiff1d(np.arange(n_blocks), hidden)
        np.testing.assert_array_equal(out[kept], row[kept])


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_one_or_two_whole_blocks_in_use_are_chosen(n_blocks, size, seed):
    draw = rng(seed)
    rows = draw.standard_normal((50, n_blocks, size))
    used = draw.integers(0, n_blocks + 1, size=50)
    rows[np.arange(n_blocks)[None] >= used[:, None]] = 0.0
    chosen = some_blocks(rows.reshape(50, -1), size, draw).reshape(rows.shape)
    assert set(np.unique(chosen)) <= {0.0, 1.0}
    assert (chosen == chosen[:, :, :1]).all()
    assert set(chosen[:, :, 0].sum(axis=1)) <= {1.0, 2.0}
    behind = np.arange(n_blocks)[None] >= np.maximum(used, 1)[:, None]
    assert not chosen[behind].any()


class Blocky(GridModel):
    block = 2


@pytest.mark.parametrize("sources", [["splice"], ["rewrite"], ["splice", "rewrite", "near"]])
def test_spliced_and_rewritten_candidates_are_proposed(sources):
    state, cells = campaign(n=40, d=4, model=Blocky(4))
    search = CandidatePool(n_candidates=100, generations=2, sources=sources)
    proposals, record = LogExpectedImprovement(search=search).propose(state, 3, rng())
    assert not {p.x for p in proposals} & cells
    assert {p.source for p in proposals} <= set(sources)
    assert sum(record.sources[name]["made"] for name in sources) == record.n_decoded >= 100


class Mutant(GridModel):
    """Decodes nothing valid, and cannot decode no points; mutates by one step of the first coordinate."""

    def decode(self, Z, temperature=0.0, generator=None):
        assert len(Z) > 0
        return [None] * len(Z)

    def mutate(self, X, generator=None):
        assert not self.training
        assert not torch.is_grad_enabled()
        steps = 2 * torch.randint(2, (len(X),), generator=generator) - 1
        return [(x[0] + step, *x[1:]) for x, step in zip(X, steps.tolist(), strict=True)]


def test_mutants_are_made_of_incumbents_and_of_the_best_candidates():
    state, cells = campaign(n=40, model=Mutant())
    X = sorted(cells)
    state = SearchState(**(vars(state) | {"point": X.__getitem__}))

    def steps(generations):
        search = CandidatePool(60, generations=generations, sources=["mutate"])
        proposals, record = LogExpectedImprovement(search=search).propose(state, 20, rng())
        found = [p.x for p in proposals]
        assert not set(found) & cells
        assert {p.source for p in proposals} == {"mutate"}
        assert record.sources["mutate"]["made"] == record.n_decoded
        for proposal in proposals:
            np.testing.assert_allclose(proposal.z.numpy(), np.array(proposal.x) / 5.0, rtol=1e-6)
        return [min(abs(x[0] - cell[0]) for cell in cells if cell[1:] == x[1:]) for x in found]

    assert set(steps(1)) == {1}
    assert max(steps(4)) > 1


def test_half_of_the_candidates_can_be_mutants_and_none_are_without_data():
    cells = [(i, 0) for i in range(8)]
    parents = Parents(np.arange(16.0).reshape(8, 2), np.arange(8), cells.__getitem__)
    assert set(parents.objects(500, rng())) == set(cells)
    parents.best_X, parents.best_Z = ["best"], np.full((1, 2), -1.0)
    assert parents.objects(100, rng()).count("best") == 50
    assert (parents.latent(100, rng())[:, 0] == -1.0).sum() == 50
    assert Parents(np.zeros((3, 2)), np.empty(0, dtype=np.int64), None).objects(5, rng()) == []


class Crosser(Mutant):
    """Takes the first coordinate of one and the others of another."""

    def cross(self, X, Y, generator=None):
        return [(x[0], *y[1:]) for x, y in zip(X, Y, strict=True)]


def test_crossed_candidates_are_made_of_two_incumbents():
    state, cells = campaign(n=40, model=Crosser())
    state = SearchState(**(vars(state) | {"point": sorted(cells).__getitem__}))
    search = CandidatePool(200, generations=1, sources=["cross"])
    proposals, record = LogExpectedImprovement(search=search).propose(state, 20, rng())
    assert record.sources["cross"] == {
        "made": record.n_decoded,
        "new": record.n_decoded - sum(record.rejected.values()),
        "chosen": 20,
    }
    found = {p.x for p in proposals}
    assert not found & cells
    assert {x[0] for x in found} <= {x[0] for x in cells}
    assert {x[1:] for x in found} <= {x[1:] for x in cells}


class Loses(Mutant):
    def mutate(self, X, generator=None):
        return super().mutate(X, generator)[1:]


def test_sources_that_a_model_cannot_serve_are_refused_by_name_and_left_out_else():
    def propose(model, sources=None):
        state, cells = campaign(n=10, model=model)
        state = SearchState(**(vars(state) | {"point": sorted(cells).__getitem__}))
        search = CandidatePool(300, generations=1, sources=sources)
        return LogExpectedImprovement(search=search).propose(state, 1, rng())[1]

    with pytest.raises(ParameterError, match="the source 'mutate' needs a model with a method mutate, which"):
        propose(GridModel(), ["mutate"])
    with pytest.raises(ParameterError, match="'cross' needs a model with a method cross, which Mutant"):
        propose(Mutant(), ["cross"])
    with pytest.raises(ParameterError, match="'splice' needs a model whose z has blocks"):
        propose(GridModel(), ["splice"])
    with pytest.raises(ModelError, match="as many objects as it gets, 300, got 299"):
        propose(Loses(), ["mutate"])
    state, _ = campaign(n=10, model=Mutant())
    with pytest.raises(ParameterError, match="'mutate' needs a search state with its points"):
        LogExpectedImprovement(CandidatePool(sources=["mutate"])).propose(state, 1, rng())
    assert set(propose(GridModel()).sources) == {"near", "prior"}


def test_without_variance_it_is_the_improvement_itself():
    class Sure:
        def predict(self, Z):
            return Z[:, 0], torch.zeros(len(Z), dtype=torch.float64)

    improvement = torch.tensor([0.1, 1.0, 5.0, 50.0, -1.0, -2.0], dtype=torch.float64, requires_grad=True)
    found = LogExpectedImprovement().score(Sure(), improvement[:, None], 0.0, torch.Generator())
    torch.testing.assert_close(found[:4], improvement[:4].log())
    assert sorted(found.tolist(), reverse=True) == [found[i].item() for i in (3, 2, 1, 0, 4, 5)]
    assert bool(torch.isfinite(found).all())
    (slope,) = torch.autograd.grad(found[:4].sum(), improvement)
    torch.testing.assert_close(slope[:4], 1.0 / improvement[:4].detach())


# ------------------------------------------------------------------ when the search collapses


class NearestModel(GridModel):
    """Decodes to the nearest of few known cells, unless a point lies far from all of them."""

    def __init__(self, cells, reach):
        super().__init__()
        self.cells = np.array(sorted(cells))
        self.reach = reach

    def decode(self, Z, temperature=0.0, generator=None):
        points = 5.0 * Z.numpy()
        distance = np.linalg.norm(points[:, None] - self.cells[None], axis=2)
        near = distance.min(axis=1) < self.reach
        nearest = self.cells[distance.argmin(axis=1)]
        return [tuple(x) for x in np.where(near[:, None], nearest, np.round(points).astype(int)).tolist()]


@pytest.mark.parametrize("generations", [1, 3])
def test_a_collapsed_search_is_noticed_and_widened(generations, caplog):
    state, cells = campaign(n=40)
    state = SearchState(**(vars(state) | {"model": NearestModel(cells, 1.5)}))
    search = CandidatePool(300, generations=generations, sources=[Near(sigma=(0.05, 0.1))])
    with caplog.at_level("INFO", logger="wrlso"):
        proposals, record = LogExpectedImprovement(search=search).propose(state, 1, rng())
    assert proposals[0].x not in cells
    assert 300 < record.n_decoded <= 5 * 300
    assert [entry.getMessage().split(":")[1] for entry in caplog.records] == [" widening"]


@pytest.mark.parametrize("sources", [["near"], ["prior"], None])
def test_a_collapsed_search_widens_whatever_its_sources(sources):
    _, cells = campaign()
    state, _ = campaign(model=GridModel(2, only=sorted(cells)[:5] + [(30, i) for i in range(6)]))
    proposals, _ = LogExpectedImprovement(CandidatePool(200, sources=sources)).propose(state, 2, rng())
    assert len({p.x for p in proposals}) == 2


@pytest.mark.parametrize(("n", "limit"), [(20_000, None), (4000, None), (3000, 600)])
def test_all_candidates_are_made_in_their_generations(n, limit, monkeypatch):
    sizes, plain = [], CandidatePool._make

    def make(self, size, *arguments):
        sizes.append(size)
        return plain(self, size, *arguments)

    monkeypatch.setattr(CandidatePool, "_make", make)
    state, _ = campaign(n=40, d=8)
    pool = CandidatePool(n, generations=4, max_attempts=limit, sources=[Near(sigma=(1.0, 2.0))])
    _, record = LogExpectedImprovement(pool).propose(state, 1, rng())
    assert sizes == [(limit or n) // 4] * 4
    assert record.n_decoded >= (limit or n)


def test_a_search_that_finds_enough_is_not_widened(caplog):
    state, _ = campaign()
    with caplog.at_level("INFO", logger="wrlso"):
        _, record = LogExpectedImprovement(search=CandidatePool(n_candidates=200)).propose(state, 1, rng())
    assert record.n_decoded < 600
    assert not caplog.records


# ------------------------------------------------------------------ the point of it all


@pytest.mark.parametrize("search", SEARCHES[:2], ids=repr)
def test_search_beats_random_at_the_same_budget(search):
    def run(guided):
        generator = rng(3)
        cells = {tuple(c) for c in generator.integers(-8, 9, size=(10, 2)).tolist()}
        gp = SparseGP(max_iter=10, warm_iter=3)
        for _ in range(15):
            X = sorted(cells)
            Z = torch.tensor(X, dtype=torch.float64) / 5.0
            y = torch.tensor([objective(x) for x in X], dtype=torch.float64)
            if guided:
                gp.fit(Z, y, generator)
            state = SearchState(
                GridModel(),
                gp if guided else None,
                Z,
                y,
                torch.ones_like(y),
                Z[:0],
                lambda x, known=frozenset(cells): "known" if x in known else None,
            )
            acquisition = LogExpectedImprovement(search=search) if guided else PriorSampling()
            cells.add(acquisition.propose(state, 1, generator)[0][0].x)
        return max(objective(x) for x in cells)

    best = run(True)
    assert best > run(False) + 0.1
    assert best > -0.1


# ------------------------------------------------------------------ misuse


def of_near(**parameters):
    return LogExpectedImprovement(search=CandidatePool(sources=[Near(**parameters)]))


@pytest.mark.parametrize(
    ("acquisition", "error", "message"),
    [
        (LogExpectedImprovement(search=CandidatePool(0)), ParameterError, "n_candidates"),
        (LogExpectedImprovement(search=CandidatePool(parents=(0.0,))), ParameterError, r"parents\[0\]"),
        (LogExpectedImprovement(search=CandidatePool(parents=())), ParameterError, "parents must hold"),
        (LogExpectedImprovement(search=CandidatePool(parents=1.0)), ParameterTypeError, "parents must be"),
        (LogExpectedImprovement(search=CandidatePool(sources=())), ParameterError, "sources must hold"),
        (LogExpectedImprovement(search=CandidatePool(sources="near")), ParameterTypeError, "sequence"),
        (LogExpectedImprovement(search=CandidatePool(sources=["far"])), ParameterError, "among near, prior"),
        (
            LogExpectedImprovement(search=CandidatePool(sources=[Near])),
            ParameterTypeError,
            "a source must be",
        ),
        (LogExpectedImprovement(search=CandidatePool(sources=["near", Near()])), ParameterError, "once"),
        (of_near(sigma=(0.0, 1.0)), ParameterError, r"sigma\[0\]"),
        (of_near(sigma=(2.0, 1.0)), ParameterError, r"sigma\[1\]"),
        (of_near(sigma=1.0), ParameterError, "pair"),
        (of_near(temperature=-1.0), ParameterError, "temperature"),
        (of_near(share=0.0), ParameterError, "share"),
        (LogExpectedImprovement(search=LatentSearch(0)), ParameterError, "n_starts"),
        (LogExpectedImprovement(search=LatentSearch(quantile=1.5)), ParameterError, "quantile"),
        (LogExpectedImprovement(search="pool"), ParameterTypeError, "search must be a strategy"),
        (UpperConfidenceBound(-1.0), ParameterError, "beta"),
        (PriorSampling(max_attempts=0), ParameterError, "max_attempts"),
        (
            ThompsonSampling(LatentSearch(max_iter=5)),
            ParameterError,
            "max_iter of the LatentSearch must be 30",
        ),
        (
            Mixture([ThompsonSampling(LatentSearch(step=1.0))]),
            ParameterError,
            "step of the LatentSearch must be 0.1",
        ),
        (PriorSampling(temperature=float("nan")), ParameterError, "temperature"),
    ],
)
def test_bad_parameters_are_refused(acquisition, error, message):
    state, _ = campaign(n=6)
    with pytest.raises(error, match=message):
        acquisition.propose(state, 1, rng())


def test_a_surrogate_is_needed():
    state, _ = campaign(n=6, fit=False)
    with pytest.raises(NotFittedError, match="needs a fitted surrogate"):
        LogExpectedImprovement().propose(state, 1, rng())
    with pytest.raises(ParameterError, match="n must be"):
        PriorSampling().propose(state, 0, rng())


# ------------------------------------------------------------------ whose search, whose turn


class Noted(LogExpectedImprovement):
    """Notes how many points it scores at once."""

    def __init__(self, search=None, *, xi=0.0, sizes=None):
        super().__init__(search, xi=xi)
        self.sizes = sizes

    def score(self, surrogate, points, *rest):
        self.sizes.append(len(points))
        return super().score(surrogate, points, *rest)


@given(st.integers(1, 6), st.lists(st.integers(1, 3), min_size=2, max_size=2), st.booleans())
def test_every_part_of_a_mixture_uses_its_own_search_when_it_is_its_turn(n, turns, shared):
    state, cells = campaign(n=20)
    sizes = [], []
    searches = [CandidatePool(40, generations=1), CandidatePool(90, generations=1)]
    parts = [Noted(search, sizes=seen) for search, seen in zip(searches, sizes, strict=True)]
    if shared:  # the second takes the mixture's
        parts[1].search = None
    mixture = Mixture(parts, turns, search=searches[1] if shared else None)
    proposals, record = mixture.propose(state, n, rng())
    turn = [mixture.pick(state.turn + i) is parts[1] for i in range(n)]
    assert bool(sizes[0]) == (not all(turn))
    assert bool(sizes[1]) == any(turn)
    assert max(sizes[0], default=0) <= 40
    assert len({p.x for p in proposals} - cells) == n
    assert record.strategy == "CandidatePool"
    if n == 1 and not shared:
        alone, _ = parts[turn[0]].propose(state, 1, rng())
        assert [p.x for p in alone] == [p.x for p in proposals]


def test_a_search_that_no_part_would_use_is_refused():
    state, _ = campaign(n=10)
    pool = CandidatePool(50)
    parts = [LogExpectedImprovement(pool), ThompsonSampling(pool)]
    with pytest.raises(ParameterError, match="search must be None where every part has a search of its own"):
        Mixture(parts, search=pool).propose(state, 1, rng())
    Mixture([parts[0], ThompsonSampling()], search=pool).propose(state, 1, rng())


@pytest.mark.parametrize("pending", [0, 1])
def test_the_part_whose_turn_it_is_drives_all_generations(pending):
    state, _ = campaign(n=40, pending=torch.ones(pending, 2, dtype=torch.float64))
    turn = state.turn % 2
    sizes = [], []
    parts = [Noted(sizes=seen) for seen in sizes]
    Mixture(parts, search=CandidatePool(90, generations=3)).propose(state, 1, rng())
    assert len(sizes[turn]) == 3
    assert sizes[1 - turn] == []


# ------------------------------------------------------------------ ranks among all data


def of_all(n, subset, seed=0):
    """A state that holds a part of n values, and knows them all."""
    Z = torch.from_numpy(rng(seed).normal(size=(n, 2)))
    y = torch.from_numpy(rng(seed).permutation(n).astype(float))
    rows = torch.argsort(-y)[:subset].sort().values
    weights = torch.from_numpy(rank_weights(y.numpy(), 1e-3))
    measured = Measured(y, weights, lambda places: Z[torch.from_numpy(places)], lambda place: ("x", place))
    none = torch.empty(0, 2, dtype=torch.float64)
    return SearchState(
        GridModel(2), None, Z[rows], y[rows], weights[rows], none, lambda x: None, measured=measured
    )


@settings(max_examples=25)
@given(
    st.integers(50, 3000),
    st.integers(5, 50),
    st.sampled_from([(0.02,), (100.0,), (0.02, 2.0)]),
    st.integers(0, 99),
)
def test_incumbents_do_not_depend_on_how_much_the_surrogate_was_fitted_to(n, subset, spread, seed):
    found = []
    for size in (subset, n):
        state = of_all(n, size, seed)
        found.append(Parents.sample(state, Landscape.of(state, rng(), 1.1, 0.999), rng(seed), spread))
    np.testing.assert_array_equal(found[0].rows, found[1].rows)
    np.testing.assert_array_equal(found[0].incumbents, found[1].incumbents)
    assert found[0].objects(3, rng())[0][0] == "x"


@pytest.mark.parametrize("n_left_out", [0, 3])
@pytest.mark.parametrize("n", [20, 1000, 50_000])
def test_incumbents_are_sampled_by_rank_weights_whatever_n(n, n_left_out):
    state = of_all(n, 20)
    order = state.all_measured.y.argsort(descending=True).numpy()
    landscape = Landscape.of(state, rng(), 1.1, 0.999)
    rows = Parents.sample(state, landscape, rng(), (0.02, 2.0), n_left_out).rows
    assert not set(rows) & set(order[:n_left_out])
    left = n - n_left_out
    weights = [rank_weights(-np.arange(left), each / left) / left for each in (0.02, 2.0)]
    for place in (0, 1, 3):
        share = (rows == order[n_left_out + place]).mean()
        assert share == pytest.approx(np.mean(weights, axis=0)[place], abs=0.06)


def test_starts_near_the_best_fifth_are_near_that_of_all_values():
    few, all_ = (
        LatentSearch(2, 40)._raw_points(state, Landscape.of(of_all(500, 500), rng(), 1.1, 0.999), rng(3))
        for state in (of_all(500, 20), of_all(500, 500))
    )
    np.testing.assert_array_equal(few, all_)


# ------------------------------------------------------------------ many candidates


class Many:
    """A surrogate of independent points that counts how many are sampled at once."""

    space = "latent"

    def __init__(self):
        self.sampled = []

    def predict(self, Z):
        return Z[:, 0], torch.ones(len(Z), dtype=torch.float64)

    def sample(self, Z, n, generator):
        self.sampled.append(len(Z))
        return torch.randn(n, len(Z), dtype=torch.float64, generator=generator) + Z[:, 0]


@pytest.mark.parametrize("n", [10, 3000, 3001, 8000])
def test_a_thompson_draw_compares_no_more_than_the_3000_most_promising_points(n):
    surrogate, Z = Many(), torch.from_numpy(3 * rng().normal(size=(n, 1)))
    score = ThompsonSampling().score(surrogate, Z, 3.0, torch.Generator().manual_seed(0))
    assert surrogate.sampled == [min(n, 3000)]
    compared = torch.isfinite(score)
    assert int(compared.sum()) == min(n, 3000)
    if n <= 3000:  # as before
        assert torch.equal(score, Many().sample(Z, 1, torch.Generator().manual_seed(0))[0])
    else:
        assert Z[compared].min() >= Z[~compared].max()
