"""The surrogate of features, and what the search does with surrogates: scales, joint posteriors, turns."""

import numpy as np
import pytest
import torch
from conftest import count, make_optimizer, words
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso import (
    CandidatePool,
    FeatureGP,
    LatentSearch,
    LogExpectedImprovement,
    Mixture,
    SparseGP,
    ThompsonSampling,
    Trainer,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
)
from wrlso.acquisition import SearchState
from wrlso.acquisition.belief import Belief, FinitePosterior, for_turn
from wrlso.exceptions import DataError, NotFittedError, ParameterError, ParameterTypeError
from wrlso.tasks import Expressions

seeds = st.integers(0, 2**32 - 1)


def numbers(X):
    """Features of strings such as "3,-1": their numbers."""
    return np.array([[float(part) for part in x.split(",")] for x in X])


def strings(values):
    return [",".join(repr(float(v)) for v in row) for row in values]


def data(n=40, d=3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    return Z, torch.from_numpy(np.sin(Z[:, 0]) + Z[:, 1] + 0.01 * rng.normal(size=n))


def fitted(transform="standardize", ard=False, **options):
    Z, y = data()
    gp = SparseGP(60, transform=transform, ard=ard, **options)
    return FeatureGP(numbers, gp).fit(strings(Z), y, np.random.default_rng(0)), Z, y


# ---------------------------------------------------------------- equivalences


def test_it_is_the_process_over_the_features():
    surrogate, Z, y = fitted(ard=True)
    gp = SparseGP(60).fit(torch.from_numpy(Z), y, np.random.default_rng(0))
    new = np.random.default_rng(1).normal(size=(7, 3))
    for ours, theirs in zip(surrogate.predict(strings(new)), gp.predict(torch.from_numpy(new)), strict=True):
        torch.testing.assert_close(ours, theirs)
    ours = surrogate.condition_on(strings(new[:2]), y[:2]).predict(strings(new))[0]
    torch.testing.assert_close(
        ours, gp.condition_on(torch.from_numpy(new[:2]), y[:2]).predict(torch.from_numpy(new))[0]
    )
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    torch.testing.assert_close(
        surrogate.sample(strings(new), 4, generators[0]), gp.sample(torch.from_numpy(new), 4, generators[1])
    )
    assert surrogate.score(strings(Z), y) == pytest.approx(gp.score(torch.from_numpy(Z), y))


def test_one_lengthscale_is_the_best_of_equal_ones():
    """Without ARD all scales are equal, and the bound is at least that of any other equal lengthscale."""
    Z, y = data()
    gp = SparseGP(60, ard=False).fit(torch.from_numpy(Z), y, np.random.default_rng(0))
    assert np.ptp(gp.hyperparameters_.lengthscale) == 0
    assert float(np.abs(gp.lengthscales() / gp.lengthscales()[0] - 1).max()) < 1e-12
    other = SparseGP(60, ard=False, max_iter=0).fit(torch.from_numpy(Z), y, np.random.default_rng(0))
    assert gp.bound_ > other.bound_


def test_turning_features_around_changes_nothing_without_ard():
    Z, y = data()
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    new = np.random.default_rng(1).normal(size=(9, 3))
    plain, turned = (
        SparseGP(60, ard=False, kernel="rbf").fit(torch.from_numpy(A), y, np.random.default_rng(0))
        for A in (Z, Z @ turn)
    )
    torch.testing.assert_close(
        plain.predict(torch.from_numpy(new))[0],
        turned.predict(torch.from_numpy(new @ turn))[0],
        rtol=1e-4,
        atol=1e-4,
    )


@given(st.sampled_from(["standardize", "winsorize", "floor"]), seeds)
@settings(max_examples=20, deadline=None)
def test_the_working_scale_keeps_the_order_of_means(transform, seed):
    surrogate, _, y = fitted(transform)
    work, values = surrogate.working_scale(y)
    assert (values[y.argsort()].diff() >= 0).all()
    new = strings(np.random.default_rng(seed).normal(size=(20, 3)))
    mean, covariance, _ = surrogate.joint(new)
    torch.testing.assert_close(work.predict(new)[0], mean)
    torch.testing.assert_close(work.predict(new)[1], covariance.diagonal(), rtol=1e-6, atol=1e-9)
    if transform == "standardize":
        assert (surrogate.predict(new)[0].argsort() == mean.argsort()).all()


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_finite_posterior_says_what_the_process_says(seed):
    surrogate, _, y = fitted()
    work, _ = surrogate.working_scale(y)
    new = strings(np.random.default_rng(seed).normal(size=(12, 3)))
    finite = FinitePosterior(*surrogate.joint(new))
    rows = torch.arange(12)
    told, values = torch.tensor([3, 7]), torch.tensor([0.5, -1.0], dtype=torch.float64)
    ours = finite.condition_on(told, values).predict(rows)
    theirs = work.condition_on([new[3], new[7]], values).predict(new)
    for a, b in zip(ours, theirs, strict=True):
        # the process itself adds jitter, and takes what is explained to 1e-6 for known
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    samples = finite.sample(rows, 4000, torch.Generator().manual_seed(seed % 1000))
    deviation = finite.predict(rows)[1].sqrt()
    assert ((samples.mean(0) - finite.mean).abs() < 6 * deviation / 4000**0.5 + 1e-4).all()


def test_a_believed_value_leaves_the_other_means_alone():
    surrogate = fitted()[0]
    finite = FinitePosterior(*surrogate.joint(strings(np.random.default_rng(1).normal(size=(6, 3)))))
    belief = Belief(finite, 0.0).add(torch.tensor([2]))
    torch.testing.assert_close(belief.surrogate.predict(torch.arange(6))[0], finite.mean)
    assert float(belief.surrogate.predict(torch.tensor([2]))[1]) < float(finite.predict(torch.tensor([2]))[1])


# ---------------------------------------------------------------- turns


def test_parts_of_a_mixture_take_turns():
    ei, ts = LogExpectedImprovement(), ThompsonSampling()
    mixture = Mixture([ei, ts], [3, 2])
    assert [for_turn(mixture, i) for i in range(7)] == [ei, ei, ei, ts, ts, ei, ei]
    assert [for_turn(Mixture([ei, ts]), i) for i in range(3)] == [ei, ts, ei]
    assert for_turn(Mixture([ei, ts], [10**9, 1]), 10**9) is ts
    assert for_turn(ei, 4) is ei
    assert clone(mixture).get_params()["turns"] == [3, 2]


class Line:
    """A model of numbers on a line: decodes to the nearest of 200."""

    latent_dim = 1
    training = False

    def tensorize(self, X):
        return torch.tensor([[float(x)] for x in X])

    def encode(self, inputs):
        return inputs / 100

    def decode(self, Z, temperature=0.0, generator=None):
        return [round(float(z) * 100) for z in Z[:, 0]]

    def key(self, x):
        return x

    def parameters(self):
        return iter([torch.nn.Parameter(torch.zeros(1))])

    def train(self, mode=True):
        return self


def campaign(n_told=8):
    told = [-90, -60, -30, -10, 5, 30, 60, 90][:n_told]
    Z = torch.tensor([[x / 100] for x in told], dtype=torch.float64)
    y = -((Z[:, 0] - 0.5) ** 2)
    surrogate = SparseGP().fit(Z, y, np.random.default_rng(0))
    return SearchState(
        model=Line(),
        surrogate=surrogate,
        Z=Z,
        y=y,
        weights=torch.ones(n_told, dtype=torch.float64),
        pending=Z[:0],
        screen=lambda x: "known" if x in told or abs(x) > 100 else None,
    )


def test_a_mixture_of_one_is_that_one():
    state = campaign()
    alone = LogExpectedImprovement().propose(state, 4, np.random.default_rng(0))[0]
    mixed = Mixture([LogExpectedImprovement()]).propose(state, 4, np.random.default_rng(0))[0]
    assert [p.x for p in alone] == [p.x for p in mixed]
    assert [p.value for p in alone] == [p.value for p in mixed]


@pytest.mark.parametrize("search", [CandidatePool(50, generations=1), LatentSearch(2, 20, max_iter=1)])
def test_turns_go_on_where_the_last_ask_ended(search):
    seen = []

    class Spy(LogExpectedImprovement):
        def score(self, *args):
            seen.append(self.xi)
            return super().score(*args)

    state = campaign()  # 8 values told: turn 8 is the third of a cycle of three
    Mixture([Spy(xi=1.0), Spy(xi=2.0)], [2, 1], search=search).propose(state, 2, np.random.default_rng(0))
    assert list(dict.fromkeys(seen)) == [2.0, 1.0]
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("y", [1.0, None])
def test_turns_alternate_from_ask_to_ask_whatever_data_the_process_has(y):
    seen = []

    class Spy(UpperConfidenceBound):
        def score(self, *args):
            seen.append(self.beta)
            return super().score(*args)

    opt = make_optimizer(
        surrogate=SparseGP(n_best=10, n_random=10, max_iter=2, warm_iter=1),
        acquisition=Mixture([Spy(1.0), Spy(2.0)], search=CandidatePool(40, generations=1)),
        refit_every=1,
        retrain_every=None,
        trainer=Trainer(initial_epochs=0),
    )
    opt.fit(words(), [count(x) for x in words()])
    for turn in range(4):
        seen.clear()
        opt.tell(opt.ask(), y)
        assert set(seen) == {1.0 + turn % 2}


def test_another_process_for_features_takes_effect_at_the_next_fit():
    y = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    gp = FeatureGP(lambda X: np.array([[float(len(x))] for x in X]), SparseGP())
    gp.fit(["a", "bb", "ccc"], y, np.random.default_rng(0))
    gp.set_params(gp=SparseGP(kernel="matern52")).fit(["a", "bb", "ccc"], y, np.random.default_rng(0))
    assert gp.gp_.kernel == gp.gp_.hyperparameters_.kernel == "matern52"


@pytest.mark.parametrize(
    ("mixture", "error", "message"),
    [
        (Mixture([]), ParameterError, "parts must hold at least one"),
        (Mixture(3), ParameterTypeError, "parts must be a sequence"),
        (Mixture([LogExpectedImprovement(), 3]), ParameterTypeError, "parts\\[1\\] must be an acquisition"),
        (Mixture([ThompsonSampling()], [1, 2]), ParameterError, "turns must have one number for each"),
        (Mixture([ThompsonSampling()], 3), ParameterTypeError, "turns must be a list"),
        (Mixture([UpperConfidenceBound(-3.0)]), ParameterError, "beta must be"),
        (Mixture([LogExpectedImprovement(xi="a")]), ParameterTypeError, "xi must be"),
        (
            Mixture([Mixture([ThompsonSampling()])]),
            ParameterError,
            r"parts\[0\] must not be a mixture",
        ),
        (Mixture([ThompsonSampling]), ParameterTypeError, "parts\\[0\\] must be an acquisition"),
        (
            Mixture([ThompsonSampling()], search=CandidatePool),
            ParameterTypeError,
            "search must be a strategy",
        ),
        (Mixture([ThompsonSampling()], [0]), ParameterError, "turns\\[0\\] must be an integer of at least 1"),
        (LogExpectedImprovement(xi=-1.0), ParameterError, "xi must be"),
        (LogExpectedImprovement(CandidatePool(parents=(-1.0,))), ParameterError, "parents"),
    ],
)
def test_impossible_parameters_are_refused_before_the_search(mixture, error, message):
    with pytest.raises(error, match=message):
        mixture.propose(campaign(), 1, np.random.default_rng(0))


def test_a_larger_xi_explores_more():
    state = campaign()
    deviation = {}
    for xi in (0.0, 3.0):
        (proposal,), _ = LogExpectedImprovement(xi=xi).propose(state, 1, np.random.default_rng(0))
        deviation[xi] = float(state.surrogate.predict(proposal.z[None])[1])
    assert deviation[3.0] > deviation[0.0]


# ---------------------------------------------------------------- bad input


def test_what_is_missing_or_does_not_fit_is_named():
    with pytest.raises(NotFittedError, match="call fit"):
        FeatureGP(numbers).predict(["1.0"])
    with pytest.raises(ParameterTypeError, match="features must be callable"):
        FeatureGP(3).fit(["1.0"], torch.zeros(1, dtype=torch.float64), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda X: np.zeros((1, 2)), "must return shape \\(2, D\\), D ≥ 1, got \\(1, 2\\)"),
        (lambda X: np.zeros((2, 0)), "D ≥ 1, got \\(2, 0\\)"),
        (lambda X: np.zeros(2), "got \\(2,\\)"),
        (lambda X: [[1.0], [np.nan]], "finite numbers"),
        (lambda X: [[1.0], [1.0, 2.0]], "must return numbers"),
        (lambda X: [["a"], ["b"]], "must return numbers"),
        (lambda X: None, "must return numbers"),
        (lambda X: np.zeros((2, 1), dtype=complex), "must return numbers"),
    ],
)
def test_features_that_are_no_matrix_of_numbers_are_refused(features, message):
    y = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(DataError, match=message):
        FeatureGP(features).fit(["1", "2"], y, np.random.default_rng(0))


def test_features_that_change_their_number_are_refused():
    widths = iter([2, 3])
    surrogate = FeatureGP(lambda X: np.ones((len(X), next(widths))))
    surrogate.fit(["1", "2"], torch.zeros(2, dtype=torch.float64), np.random.default_rng(0))
    with pytest.raises(DataError, match="2 as in fit, got 3"):
        surrogate.predict(["1"])


def test_a_function_that_writes_to_its_objects_reaches_copies_only():
    def writing(X):
        features = np.stack(X).astype(float)
        for x in X:
            x[:] = 0
        X.clear()
        return features

    X = [np.arange(3.0), np.ones(3)]
    FeatureGP(writing).fit(X, torch.tensor([0.0, 1.0], dtype=torch.float64), np.random.default_rng(0))
    np.testing.assert_array_equal(X, [[0, 1, 2], [1, 1, 1]])


# ---------------------------------------------------------------- the whole, on the real task


@pytest.mark.parametrize("acquisition", [Mixture([LogExpectedImprovement(), ThompsonSampling()]), None])
def test_a_campaign_on_expressions_with_a_surrogate_of_features(acquisition):
    task = Expressions(n_start=300)
    X, y = task.initial_data(0)
    opt = WeightedRetrainingOptimizer(
        model=task.model(0, hidden=32),
        surrogate=task.surrogate(),
        acquisition=acquisition,
        retrain_every=10,
        random_state=0,
    )
    opt.fit(X, y)
    start = opt.best_y_
    for _ in range(5):
        batch = opt.ask(5)
        opt.tell(batch, task.objectives(batch))
    assert opt.best_y_ > start
    start_keys = set(task.keys(X))
    assert not start_keys & set(task.keys(opt.X_[300:]))
