"""What a search with outcomes by name knows beyond one with a number: processes, limits, and the front."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from wrlso._state.learned import Learned
from wrlso._state.merits import Standing, hypervolumes, reference_of, standing
from wrlso._state.processes import processes
from wrlso.acquisition.state import Goals, SearchState
from wrlso.exceptions import NotFittedError
from wrlso.history import History
from wrlso.outcomes import Aims

__all__ = ["progress_of", "with_outcomes"]


def with_outcomes(
    state: SearchState, learned: Learned, history: History, aims: Aims, rows: NDArray[np.int64]
) -> SearchState:
    """Return a search's state with the processes of its outcomes, its goals, and what satisfies the limits.

    Parameters
    ----------
    state : SearchState
    learned : Learned
    history : History
    aims : Aims
    rows : ndarray (n,)
        The rows of the state's Z and y.
    """
    found, stands = processes(learned, aims), standing(history, aims)
    holds = np.zeros(len(history), dtype=bool)
    holds[history.observed_rows[stands.violation == 0]] = True
    return replace(
        state,
        outcomes=found,
        satisfies=torch.from_numpy(holds[rows]) if aims.limits and len(aims.goals) == 1 else None,
        goals=_goals(history, aims, stands) if all(name in found for name, _ in aims.goals) else None,
    )


def _goals(history: History, aims: Aims, stands: Standing) -> Goals | None:
    if len(aims.goals) == 1:
        return None
    try:
        reference = reference_of(history, aims)
    except NotFittedError:  # no point has a value of every goal
        return None
    # with several goals the search sees all points with a value: their places are those among the observed
    order = np.argsort(-stands.merit, kind="stable")
    return Goals(tuple(name for name, _ in aims.goals), reference, order[stands.violation[order] == 0])


def progress_of(history: History, aims: Aims, stands: Standing) -> NDArray[np.float64] | None:
    """Return what grows with progress (n,): the hypervolume, or the goal of what satisfies the limits.

    None where the value itself says it.
    """
    if aims.is_one_number:
        return None
    if len(aims.goals) == 1:
        goal = stands.goals[:, 0]
        return np.where(stands.satisfies, goal, np.nanmin(goal, initial=0.0) - 1.0)
    try:
        return hypervolumes(history, aims)
    except NotFittedError:
        return np.zeros(len(stands.merit))
