"""``check_acquisition``: one method per property of an Acquisition."""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.protocol import Acquisition
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.exceptions import NoCandidateError
from wrlso.surrogate.points import points_for
from wrlso.surrogate.protocol import Surrogate
from wrlso.testing.checks import Checks, describe, global_random_state, isolated_global_rng, short_repr
from wrlso.testing.grid import grid_state

__all__ = ["check_acquisition"]


def check_acquisition(
    acquisition: Acquisition, state: SearchState | None = None, *, n: int = 3, seconds: float = 60.0
) -> None:
    """Check that an acquisition keeps the contract of :class:`wrlso.acquisition.Acquisition`.

    It proposes n distinct, new, valid points with a record, the same ones from the same random state; it
    conditions the surrogate on what is pending, changes nothing but itself, and gives up with
    :class:`wrlso.exceptions.NoCandidateError` where nothing is possible. A strategy of your own is checked as
    the ``search`` of an acquisition function. The checks run on copies, so the acquisition stays as it is,
    and so does all global random state.

    Parameters
    ----------
    acquisition : Acquisition
        The acquisition.
    state : SearchState, default=None
        Where to search, with at least five values and a model that can make 2 n points that ``screen`` lets
        pass. By default tuples of four integers, with a model that also mutates and crosses them, and a
        :class:`wrlso.SparseGP`; give one if another surrogate or model is needed.
    n : int, default=3
        How many points to ask for.
    seconds : float, default=60
        How long one call may take, > 0.

    Raises
    ------
    CheckFailedError
        If a property does not hold; the message names it and the input.
    ParameterError, ParameterTypeError
        If n is not an integer ≥ 1, or seconds not a finite number > 0.

    Examples
    --------
    >>> from wrlso import CandidatePool, UpperConfidenceBound
    >>> from wrlso.testing import check_acquisition
    >>> check_acquisition(UpperConfidenceBound(search=CandidatePool(50)))
    """
    check_count("n", n)
    check_real("seconds", seconds, above=0)
    with isolated_global_rng():
        checks = AcquisitionChecks(acquisition, grid_state() if state is None else state, n, seconds)
        checks.check_proposals()
        checks.check_reproducibility()
        checks.check_screen()
        checks.check_pending()
        checks.check_supplied()
        checks.check_nothing_possible()
        checks.check_no_values()


class AcquisitionChecks(Checks):
    """One acquisition under check. The methods run in the order in which check_acquisition calls them."""

    def __init__(self, acquisition: Acquisition, state: SearchState, n: int, seconds: float) -> None:
        super().__init__(acquisition)
        self.need_methods(acquisition, "Acquisition", ["propose"])
        uses = getattr(acquisition, "uses_surrogate", None)
        if not isinstance(uses, bool):
            self.fail("have uses_surrogate, a bool", f"it is {uses!r}", acquisition)
        self.acquisition: Acquisition = self.copied(acquisition)
        self.state: SearchState = state if uses else replace(state, surrogate=None)
        self.n, self.seconds = n, seconds

    def check_proposals(self) -> None:
        model, weights = self.state.model, copy.deepcopy(self.state.model.state_dict())
        tensors = {name: getattr(self.state, name).clone() for name in ("Z", "y", "weights", "pending")}
        before = self.predictions()
        for count in (1, self.n):
            self.proposals(self.state, count)
        must = "leave the search state as it is"
        for name, tensor in tensors.items():
            if not torch.equal(tensor, getattr(self.state, name)):
                self.fail(must, f"it changed {name}", tensor)
        after = model.state_dict()
        if not all(torch.equal(value, after[name]) for name, value in weights.items()):
            self.fail(must, "it changed the model's weights", "the model")
        if not all(torch.equal(mine, now) for mine, now in zip(before, self.predictions(), strict=True)):
            self.fail(must, "it changed what the surrogate predicts", self.state.Z)

    def predictions(self) -> tuple[Tensor, ...]:
        """Return what the state's surrogate predicts at the data."""
        surrogate, state = self.state.surrogate, self.state
        point = state.point
        if surrogate is None or (surrogate.space != "latent" and point is None):
            return ()
        n = min(len(state.y), 5)
        points = points_for(
            surrogate, state.model, lambda: [point(i) for i in range(n)] if point else [], lambda: state.Z[:n]
        )
        with torch.no_grad():
            return surrogate.predict(points)

    def proposals(self, state: SearchState, n: int, seed: int = 0) -> list[Proposal]:
        """Return what a copy proposes, checked."""
        must = "propose n points and a record"
        random_state = global_random_state()
        found = self.ask(must, state, n, seed)
        if random_state != global_random_state():
            self.fail("propose without global random state", "it changed that state", f"n={n}")
        if isinstance(found, Exception):
            self.fail(must, f"it raised {type(found).__name__}: {found}", f"n={n}", cause=found)
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], AskRecord):
            self.fail(must, f"it returned {describe(found)}", f"n={n}")
        proposals, record = found
        if not isinstance(proposals, list) or len(proposals) != n:
            self.fail(must, f"it proposed {describe(proposals)}", f"n={n}")
        for proposal in proposals:
            self.check_one(state, proposal)
        keys = [state.model.key(proposal.x) for proposal in proposals]
        if len(set(keys)) != n:
            self.fail("propose distinct points", f"their keys are {short_repr(keys)}", f"n={n}")
        self.check_record(record)
        return proposals

    def ask(self, must: str, state: SearchState, n: int, seed: int = 0) -> Any:
        """Return what a copy proposes or raises."""
        acquisition, rng = copy.deepcopy(self.acquisition), np.random.default_rng(seed)
        must = f"{must} or give up in time"
        return self.within(self.seconds, must, lambda: acquisition.propose(state, n, rng), f"n={n}")

    def check_one(self, state: SearchState, proposal: Any) -> None:
        must = "propose points x with their z (d,) float64, finite, and a value"
        if not isinstance(proposal, Proposal):
            self.fail(must, f"one is {describe(proposal)}", proposal)
        x, z = proposal.x, proposal.z
        if not isinstance(z, Tensor) or z.shape != (state.model.latent_dim,) or z.dtype != torch.float64:
            self.fail(must, f"z is {describe(z)}", proposal)
        if not bool(torch.isfinite(z).all()) or not isinstance(proposal.value, float):
            self.fail(must, f"z is {short_repr(z)}, the value {proposal.value!r}", proposal)
        must = "propose what is valid and passes state.screen only"
        if x is None:
            self.fail(must, "one x is None", proposal)
        if (reason := state.screen(x)) is not None:
            self.fail(must, f"one is {reason!r}", x)

    def check_record(self, record: AskRecord) -> None:
        must = "return a record of counts, reasons and seconds"
        counts = [record.n_decoded, *record.rejected.values()]
        seconds = list(record.seconds.values())
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            self.fail(must, f"counts must be integers >= 0, got {counts}", record)
        if not all(isinstance(value, float) and 0 <= value < np.inf for value in seconds):
            self.fail(must, f"seconds must be finite and >= 0, got {seconds}", record)

    def keys(self, proposals: Sequence[Proposal]) -> list[Hashable]:
        return [self.state.model.key(proposal.x) for proposal in proposals]

    def check_reproducibility(self) -> None:
        must = "propose the same from one state of rng"
        first = self.proposals(self.state, self.n, seed=1)
        with isolated_global_rng(seed=1):
            again = self.proposals(self.state, self.n, seed=1)
        if self.keys(first) != self.keys(again):
            self.fail(must, f"two copies proposed {self.keys(first)} and {self.keys(again)}", f"n={self.n}")
        if not all(torch.equal(a.z, b.z) for a, b in zip(first, again, strict=True)):
            self.fail(must, "two copies found other z for the same points", f"n={self.n}")

    def without(self, refused: Callable[[Hashable], bool], reason: str) -> SearchState:
        """Return a state whose screen refuses more."""
        model, screen = self.state.model, self.state.screen
        return replace(self.state, screen=lambda x: reason if refused(model.key(x)) else screen(x))

    def check_screen(self) -> None:
        """Ask again where the screen refuses what was proposed before."""
        taken = set(self.keys(self.proposals(self.state, self.n)))
        self.proposals(self.without(taken.__contains__, "infeasible"), self.n)

    def check_pending(self) -> None:
        out = self.proposals(self.state, self.n)
        taken = set(self.keys(out))
        state = self.without(taken.__contains__, "pending")
        pending = torch.cat([state.pending, torch.stack([proposal.z for proposal in out])])
        pending_X = [*state.pending_X, *(proposal.x for proposal in out)]
        state = replace(state, pending=pending, pending_X=pending_X)
        taken_in: list[int] = []
        if state.surrogate is not None:
            state = replace(state, surrogate=_spied(state.surrogate, taken_in))
        self.proposals(state, 1)
        if state.surrogate is not None and sum(taken_in) < len(pending):
            must = "condition the surrogate on the points that are pending"
            self.fail(must, f"{len(pending)} are pending, {sum(taken_in)} were taken in", pending)

    def check_supplied(self) -> None:
        """Let points compete that the user supplied without a value."""
        supplied = self.proposals(self.state, self.n, seed=2)
        Z = torch.stack([proposal.z for proposal in supplied])
        state = replace(self.state, candidates=[proposal.x for proposal in supplied], candidates_Z=Z)
        self.proposals(state, self.n)

    def check_nothing_possible(self) -> None:
        must = "raise NoCandidateError when nothing may be proposed,"
        state = self.without(lambda key: True, "infeasible")
        found = self.ask(must, state, self.n)
        if not isinstance(found, NoCandidateError):
            detail = f"raised {type(found).__name__}: {found}" if isinstance(found, Exception) else "returned"
            cause = found if isinstance(found, Exception) else None
            self.fail(must.rstrip(","), f"it {detail}", f"n={self.n}", cause=cause)

    def check_no_values(self) -> None:
        """Ask without any data where no surrogate is needed."""
        if not self.acquisition.uses_surrogate:
            none = torch.empty(0, self.state.model.latent_dim, dtype=torch.float64)
            values = torch.empty(0, dtype=torch.float64)
            state = SearchState(self.state.model, None, none, values, values, none, self.state.screen)
            self.proposals(state, self.n)


def _spied(surrogate: Surrogate, taken_in: list[int]) -> Surrogate:
    """Return a copy of a surrogate that notes on how many points it and its successors are conditioned."""
    cls: Any = type(surrogate)

    class Spied(cls):
        def condition_on(self, Z: Any, y: Tensor) -> Any:
            taken_in.append(len(Z))
            return super().condition_on(Z, y)

    spied = copy.copy(surrogate)
    spied.__class__ = Spied  # its own copies stay spied
    return spied
