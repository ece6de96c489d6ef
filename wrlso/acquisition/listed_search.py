"""A search strategy that proposes only what the user has listed."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._utils.validation import check_count
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.belief import Belief
from wrlso.acquisition.goals import belief_of, choosers
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.selection import choose, foremost
from wrlso.acquisition.sources import SUPPLIED
from wrlso.acquisition.state import Bounds, Listed, Proposal, SearchState
from wrlso.exceptions import NoCandidateError
from wrlso.surrogate.points import points_for

__all__ = ["ListedSearch", "give_up", "lists_of"]

_LEAST, _EACH, _MOST = 1000, 10, 3000  # objects that are compared jointly: at least, more for each of a batch


class ListedSearch:
    """Takes the best of the user's candidates: those of a list, and x without a value.

    All objects of the list are judged one by one, the best thousand of them jointly, so that the points of a
    batch differ. Its objects are proposed without a latent point.
    """

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.SearchStrategy`."""
        check_count("n", n)
        belief, turns = Belief.of(state), choosers(criterion, state, n)
        screener = Screener(state, type(self).__name__, rng)
        size = min(_MOST, _LEAST + _EACH * n)
        X: list[Any] = []
        for listed in lists_of(state):
            rows = foremost(
                listed, criterion, belief, state.turn, n, size, lambda x: screener.admit(x, "duplicate"),
                screener.generator,
            )  # fmt: skip
            X += [listed.x(int(row)) for row in rows]
            screener.count(SUPPLIED, len(listed.rows), len(rows))
        Z = np.full((len(X), state.model.latent_dim), np.nan)
        if belief.surrogate.space != "features" or state.success is not None:
            X, Z = screener.encode(X)
        if len(X) < n:
            raise give_up(screener, len(X), n)
        success = None if state.success is None else state.success.probability(X, torch.from_numpy(Z))
        judge = belief_of(state, turns[0], screener.generator)
        chosen = choose(turns, judge, judge.points(X, Z), screener.generator, success)
        screener.record.sources[SUPPLIED]["chosen"] += n
        return [
            Proposal(
                X[i], torch.from_numpy(Z[i].copy()), value, SUPPLIED,
                None if success is None else float(success[i]),
            )
            for i, value in chosen
        ], screener.finish()  # fmt: skip


@dataclass(frozen=True)
class _Supplied:
    """x without a value, whose encodings are known, as a list."""

    state: SearchState

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(len(self.state.candidates))

    def x(self, row: int) -> Any:
        return self.state.candidates[row]

    def z(self, row: int) -> Tensor:
        return cast(Tensor, self.state.candidates_Z)[row].double()

    def __contains__(self, x: Any) -> bool:
        return x in self.state.candidates

    def points(self, surrogate: Any, rows: NDArray[np.int64]) -> Any:
        state = self.state
        return points_for(
            surrogate,
            state.model,
            lambda: [state.candidates[int(row)] for row in rows],
            lambda: cast(Tensor, state.candidates_Z)[torch.from_numpy(rows)],
        )

    def bounds(self, surrogate: Any) -> Bounds | None:
        return None


def lists_of(state: SearchState) -> list[Listed]:
    """Return the user's candidates: x without a value, and the list, where they are."""
    supplied: list[Listed] = [_Supplied(state)] if state.candidates_Z is not None else []
    return supplied + ([] if state.listed is None else [state.listed])


def give_up(screener: Screener, found: int, wanted: int) -> NoCandidateError:
    """Return the error that says how many of the user's candidates are left."""
    record = screener.finish()
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(record.rejected.items()))
    return NoCandidateError(
        f"{found} of the candidates can still be asked for, {wanted} wanted (rejected: {counts or 'none'}): "
        "generate=False proposes x without a value and candidates only; ask for fewer, or give more"
    )
