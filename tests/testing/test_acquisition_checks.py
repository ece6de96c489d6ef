"""check_acquisition: all acquisitions and searches of this library pass, broken ones fail by name."""

import random
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from wrlso import (
    CandidatePool,
    LatentSearch,
    LogExpectedImprovement,
    Mixture,
    PriorSampling,
    TanimotoGP,
    ThompsonSampling,
    UpperConfidenceBound,
)
from wrlso.acquisition import Acquisition, AskRecord, Mutate, Proposal
from wrlso.exceptions import NoCandidateError, ParameterError, ParameterTypeError
from wrlso.testing import CheckFailedError, check_acquisition, check_latent_model
from wrlso.testing.checks import global_random_state
from wrlso.testing.grid import grid_state


def latent(**parameters):
    return LatentSearch(4, 32, max_iter=3, max_attempts=200, **parameters)


SEARCHES = [
    CandidatePool(100),
    CandidatePool(100, generations=1, parents=(0.1, 10.0)),
    CandidatePool(100, sources=["near", Mutate(2.0), "cross"]),
    latent(),
]
FUNCTIONS = [
    LogExpectedImprovement(),
    UpperConfidenceBound(1.0),
    ThompsonSampling(),
    Mixture([LogExpectedImprovement(), ThompsonSampling()], turns=[2, 1]),
]


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: type(function).__name__)
def test_functions_pass_with_all_searches(function, search):
    if isinstance(function, ThompsonSampling) and isinstance(search, LatentSearch):
        search = LatentSearch(4, 32, max_attempts=200)  # a sample is not climbed
    check_acquisition(type(function)(**function.get_params(deep=False) | {"search": search}))


@pytest.mark.parametrize("acquisition", [PriorSampling(max_attempts=50), LogExpectedImprovement()], ids=repr)
def test_acquisitions_pass(acquisition):
    check_acquisition(acquisition, n=2)


def test_surrogates_of_features_pass_in_a_state_of_their_own():
    state = grid_state()
    surrogate = TanimotoGP(lambda X: np.array(X) + 20)
    X = [state.point(i) for i in range(len(state.y))]
    state = replace(state, surrogate=surrogate.fit(X, state.y, np.random.default_rng(0)))
    check_acquisition(ThompsonSampling(CandidatePool(60)), state)


def test_the_grid_is_a_model():
    state = grid_state()
    check_latent_model(state.model, [state.point(i) for i in range(5)])


class First:
    """Proposes the first points of the grid that the screen lets pass; each broken one changes a little."""

    uses_surrogate = False

    def points(self, state, rng):
        yield from (tuple(x) for x in rng.integers(-8, 9, size=(2000, 4)).tolist())

    def z(self, x):
        return torch.tensor(x, dtype=torch.float64) / 4.0

    def passes(self, state, x, chosen):
        return state.screen(x) is None and x not in chosen

    def propose(self, state, n, rng):
        chosen, record = [], AskRecord(strategy="First")
        for x in self.points(state, rng):
            record.n_decoded += 1
            if self.passes(state, x, chosen):
                chosen.append(x)
            if len(chosen) == n:
                return [Proposal(x, self.z(x), 0.0) for x in chosen], record
        raise NoCandidateError("nothing is left")


class Believing(First):
    """Takes in what is pending, which changes nothing here."""

    uses_surrogate = True

    def propose(self, state, n, rng):
        mean, _ = state.surrogate.predict(state.pending)
        state.surrogate.condition_on(state.pending, mean.detach())
        return super().propose(state, n, rng)


class IgnoresPending(First):
    uses_surrogate = True


class UsesItselfOnly(First):
    uses_surrogate = "no"


class CannotBeCopied(First):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


class Raises(First):
    def propose(self, state, n, rng):
        raise ValueError("no idea")


class RaisesForBatches(First):
    def propose(self, state, n, rng):
        if n > 1:
            raise NotImplementedError("one at a time")
        return super().propose(state, n, rng)


class NoRecord(First):
    def propose(self, state, n, rng):
        return super().propose(state, n, rng)[0]


class OneTooFew(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        return proposals[1:], record


class PointsOnly(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        return [proposal.x for proposal in proposals], record


class SinglePrecision(First):
    def z(self, x):
        return super().z(x).float()


class ZOfAnotherSize(First):
    def z(self, x):
        return super().z(x)[:3]


class ZIsNaN(First):
    def z(self, x):
        return super().z(x) * torch.nan


class ValueIsATensor(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        return [replace(proposal, value=torch.tensor(0.0)) for proposal in proposals], record


class Invalid(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        return [replace(proposals[0], x=None), *proposals[1:]], record


class Known(First):
    def points(self, state, rng):
        yield state.point(0)
        yield from super().points(state, rng)

    def passes(self, state, x, chosen):
        return x not in chosen


class Infeasible(First):
    """Screens for what is known only."""

    def points(self, state, rng):
        return iter([(9, 9, 9, i) for i in range(9)])

    def passes(self, state, x, chosen):
        return state.screen(x) in (None, "infeasible") and x not in chosen


class Twice(First):
    def passes(self, state, x, chosen):
        return state.screen(x) is None

    def points(self, state, rng):
        for x in super().points(state, rng):
            yield from (x, x)


class GlobalState(First):
    def points(self, state, rng):
        random.random()
        yield from super().points(state, rng)


class OwnState(First):
    own = np.random.default_rng(0)

    def points(self, state, rng):
        return super().points(state, self.own)


class OtherZ(First):
    own = np.random.default_rng(0)

    def z(self, x):
        return super().z(x) + self.own.uniform()


class ChangesWeights(First):
    def propose(self, state, n, rng):
        state.weights.mul_(2.0)
        return super().propose(state, n, rng)


class ChangesTheModel(First):
    def propose(self, state, n, rng):
        with torch.no_grad():
            next(state.model.parameters()).add_(1.0)
        return super().propose(state, n, rng)


class ChangesTheSurrogate(Believing):
    def propose(self, state, n, rng):
        state.surrogate.fit(state.Z, -state.y, rng)
        return super().propose(state, n, rng)


class CountsByHalves(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        record.rejected["half"] = 0.5
        return proposals, record


class SecondsGoBackwards(First):
    def propose(self, state, n, rng):
        proposals, record = super().propose(state, n, rng)
        record.seconds["acquire"] = -1.0
        return proposals, record


class GivesUpWithAnotherError(First):
    def propose(self, state, n, rng):
        try:
            return super().propose(state, n, rng)
        except NoCandidateError:
            raise RuntimeError("stuck") from None


class NeedsValues(First):
    def propose(self, state, n, rng):
        state.y.max()
        return super().propose(state, n, rng)


class PrefersTheUsersOwn(First):
    def points(self, state, rng):
        for x in state.candidates:
            yield from (x, x)
        yield from super().points(state, rng)

    def passes(self, state, x, chosen):
        return state.screen(x) is None and (x in state.candidates or x not in chosen)


class NeverEnds(First):
    released = threading.Event()

    def propose(self, state, n, rng):
        try:
            return super().propose(state, n, rng)
        except NoCandidateError:
            self.released.wait()


@pytest.mark.parametrize("acquisition", [First(), Believing()])
def test_correct_ones_pass(acquisition):
    assert isinstance(acquisition, Acquisition)
    check_acquisition(acquisition)


BROKEN = [
    (UsesItselfOnly, "have uses_surrogate, a bool: it is 'no'"),
    (CannotBeCopied, "be copied by copy.deepcopy: it raised TypeError: no copies"),
    (Raises, "propose n points and a record: it raised ValueError: no idea; input: 'n=1'"),
    (RaisesForBatches, "propose n points and a record: it raised NotImplementedError: .*; input: 'n=3'"),
    (NoRecord, "propose n points and a record: it returned list of length 1"),
    (OneTooFew, "propose n points and a record: it proposed list of length 0; input: 'n=1'"),
    (PointsOnly, r"propose points x with their z .*: one is tuple of length 4; input: \("),
    (SinglePrecision, r"propose points x with their z .*: z is torch.float32 of shape \(4,\)"),
    (ZOfAnotherSize, r"propose points x with their z .*: z is torch.float64 of shape \(3,\)"),
    (ZIsNaN, r"propose points x with their z .*: z is \[nan"),
    (ValueIsATensor, r"propose points x with their z .*: z is .*, the value tensor\(0.\)"),
    (Invalid, "propose what is valid and passes state.screen only: one x is None"),
    (Known, r"propose what is valid and passes state.screen only: one is 'known'; input: \("),
    (
        Infeasible,
        r"propose what is valid and passes state.screen only: one is 'infeasible'; input: \(9, 9",
    ),
    (Twice, r"propose distinct points: their keys are \["),
    (GlobalState, "propose without global random state: it changed that state"),
    (OwnState, r"propose the same from one state of rng: two copies proposed \["),
    (OtherZ, "propose the same from one state of rng: two copies found other z for the same points"),
    (ChangesWeights, "leave the search state as it is: it changed weights"),
    (ChangesTheModel, "leave the search state as it is: it changed the model's weights"),
    (ChangesTheSurrogate, "leave the search state as it is: it changed what the surrogate predicts"),
    (CountsByHalves, r"return a record of .*: counts must be integers >= 0, got \[.*0.5\]"),
    (SecondsGoBackwards, r"return a record of .*: seconds must be finite and >= 0, got \[-1.0\]"),
    (
        IgnoresPending,
        "condition the surrogate on .* pending: 5 are pending, 0 were taken in",
    ),
    (PrefersTheUsersOwn, "propose distinct points"),
    (
        GivesUpWithAnotherError,
        "raise NoCandidateError when nothing .*: it raised RuntimeError: stuck",
    ),
    (NeedsValues, "propose n points and a record: it raised RuntimeError: max"),
]


@pytest.mark.parametrize(("acquisition", "message"), BROKEN)
def test_broken_acquisitions_fail(acquisition, message):
    state = global_random_state()
    with pytest.raises(CheckFailedError, match=f"^{acquisition.__name__} must {message}"):
        check_acquisition(acquisition())
    assert global_random_state() == state


def test_a_search_without_end_is_noticed():
    message = "raise NoCandidateError when nothing may be .* or give up .*: it took more than 0.3"
    try:
        with pytest.raises(CheckFailedError, match=message):
            check_acquisition(NeverEnds(), seconds=0.3)
    finally:
        NeverEnds.released.set()


def test_what_is_missing_is_named():
    with pytest.raises(CheckFailedError, match="the methods of Acquisition: propose missing"):
        check_acquisition(object())


def test_arguments_are_checked():
    with pytest.raises(ParameterError, match="n must be an integer of at least 1, got 0"):
        check_acquisition(First(), n=0)
    with pytest.raises(ParameterTypeError, match="seconds must be a finite number > 0, got None"):
        check_acquisition(First(), seconds=None)
