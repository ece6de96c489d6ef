"""What the processes of several goals say of candidates, jointly.

Symbols: Q points are compared, of which the first are points with values and pending ones; m goals, larger is
better; S joint samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.acquisition.belief import Belief, for_turn
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.state import Process, SearchState
from wrlso.exceptions import ParameterError
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.points import points_for

__all__ = ["Compared", "GoalsBelief", "belief_of", "choosers"]

_MOST_ON_FRONT = 40  # points with a value that may be on the front, which are compared with candidates
_N_SAMPLES = 64


@dataclass(frozen=True)
class Compared:
    """Points with their joint samples, on a scale where the reference is 0 and the best value of each goal 1.

    Attributes
    ----------
    mean : Tensor (Q, m)
    draws : Tensor (S, Q, m)
    known : Tensor (k,) int64
        Numbers of the points that have values, are pending, or were chosen by this ask.
    """

    mean: Tensor
    draws: Tensor
    known: Tensor


@dataclass(frozen=True)
class GoalsBelief:
    """What the processes of all goals say of points; it does for several goals what a Belief does for one."""

    state: SearchState
    processes: Sequence[Process]
    places: NDArray[np.int64]  # of the points with a value that are compared
    surrogate: Compared | None = None
    best: float = 0.0
    generator: torch.Generator | None = None

    @classmethod
    def of(cls, state: SearchState, generator: torch.Generator) -> "GoalsBelief":
        """Return the belief of a search that has goals."""
        if state.goals is None:
            raise ParameterError(
                "this acquisition function needs several goals: give outcomes=[Maximize(…), …]"
            )
        processes = [state.outcomes[name] for name in state.goals.names]
        return cls(state, processes, state.goals.places[:_MOST_ON_FRONT], generator=generator)

    def points(self, X: Sequence[Any], Z: NDArray[np.float64]) -> tuple[Sequence[Any], NDArray[np.float64]]:
        """Return q candidates and their encodings Z (q, d) together."""
        return X, Z

    def over(self, points: Any) -> tuple["GoalsBelief", Tensor]:
        """Return a belief about these points only, and their numbers in it."""
        X, Z = points
        state, data = self.state, self.state.all_measured
        known: list[Any] = [] if data.point is None else [data.point(int(i)) for i in self.places]
        all_X = [*known, *state.pending_X, *X]
        all_Z = torch.cat(
            [
                torch.from_numpy(data.encoded(self.places)),
                state.pending.to("cpu", torch.float64),
                torch.from_numpy(Z),
            ]
        )
        k = len(all_Z) - len(Z)
        compared = self._compared(all_X, all_Z, k)
        return replace(self, surrogate=compared), torch.arange(k, len(all_Z))

    def add(self, points: Tensor) -> "GoalsBelief":
        """Return a belief in which these points, by number, are chosen."""
        if self.surrogate is None:
            raise ParameterError("points have numbers only in a belief over them")
        known = torch.cat([self.surrogate.known, points])
        return replace(self, surrogate=replace(self.surrogate, known=known))

    def _compared(self, X: Sequence[Any], Z: Tensor, n_known: int) -> Compared:
        means, draws = [], []
        for process in self.processes:
            points = points_for(process.surrogate, self.state.model, lambda: X, lambda: Z)
            mean, covariance = process.joint(points)
            root = covariance_root(covariance, float(covariance.diagonal().max().clamp_min(1e-300)))
            noise = torch.randn(_N_SAMPLES, len(mean), dtype=torch.float64, generator=self.generator)
            means.append(mean)
            draws.append(mean + noise @ root.T)
        mean, drawn = torch.stack(means, dim=-1), torch.stack(draws, dim=-1)
        reference = torch.from_numpy(self.state.goals.reference) if self.state.goals else mean.amin(dim=0)
        best = mean[:n_known].amax(dim=0) if n_known else mean.amax(dim=0)
        unit = torch.where(best > reference, best - reference, mean.std(dim=0).clamp_min(1e-12))
        known = torch.arange(n_known)
        return Compared((mean - reference) / unit, (drawn - reference) / unit, known)


def belief_of(state: SearchState, criterion: Criterion, generator: torch.Generator) -> "Belief | GoalsBelief":
    """Return what a search believes of the goals, for a criterion for several, or else of the one."""
    return GoalsBelief.of(state, generator) if getattr(criterion, "several", False) else Belief.of(state)


def choosers(criterion: Criterion, state: SearchState, n: int) -> list[Criterion]:
    """Return the criterion that chooses each of n points; in a search for several goals those for several.

    Raises
    ------
    ParameterError
        Where some are for several goals and others for one.
    """
    found = [for_turn(criterion, state.turn + i) for i in range(n)]
    if state.goals is not None:
        several = {id(each): _counterpart(each, len(state.goals.names)) for each in found}
        found = [several[id(each)] for each in found]
    kinds = {getattr(each, "several", False) for each in found}
    if len(kinds) > 1:
        raise ParameterError(
            "with several goals all parts of a mixture must be for several, or none, got "
            + ", ".join(dict.fromkeys(type(each).__name__ for each in found))
        )
    return found


def _counterpart(criterion: Criterion, n_goals: int) -> Criterion:
    """Return what takes the place of a criterion where there are several goals; or itself."""
    make = getattr(criterion, "for_goals", None)
    return criterion if make is None else cast(Criterion, make(n_goals))
