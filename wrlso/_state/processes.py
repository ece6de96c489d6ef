"""The processes of all outcomes, and what they say of points that were told."""

import numpy as np

from wrlso._state.learned import Learned
from wrlso._state.observed import modelled
from wrlso.acquisition.state import Process
from wrlso.history import History
from wrlso.outcomes import Aims

__all__ = ["at_data", "completed", "processes"]


def processes(learned: Learned, aims: Aims) -> dict[str, Process]:
    """Return the process of each goal and limit that has one by now; none where outcomes have no names."""
    if not aims.are_named:
        return {}
    fitted = dict(learned.others)
    if len(aims.goals) == 1:
        fitted[aims.goals[0][0]] = learned.fitted
    surrogates = {name: found.surrogate for name, found in fitted.items()}
    return {
        name: Process(surrogate, sign)
        for name, sign in modelled(aims).items()
        if (surrogate := surrogates.get(name)) is not None
    }


def at_data(
    learned: Learned, history: History, aims: Aims, rows: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return mean and variance (n,) of each modelled outcome at rows (n,), larger is better.

    Of the noise-free outcome: what is left of a lucky measurement. By the processes of the last ask; those of
    an outcome without a name as well, under the name "".
    """
    found = processes(learned, aims)
    if not aims.are_named and learned.fitted.surrogate is not None:
        found = {"": Process(learned.fitted.surrogate, aims.goals[0][1])}
    moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, process in found.items():
        mean, variance = process.moments(learned.points(process.surrogate, history, rows))
        moments[name] = mean.numpy(), variance.numpy()
    return moments


def completed(
    goals: np.ndarray, learned: Learned, history: History, aims: Aims, rows: np.ndarray
) -> np.ndarray:
    """Return values of goals (n, m) at rows, larger is better, with what is expected where they are NaN.

    NaN stays where a goal has no process yet.
    """
    missing = np.isnan(goals)
    if not missing.any():
        return goals
    expected, places = goals.copy(), np.flatnonzero(missing.any(axis=1))
    moments = at_data(learned, history, aims, rows[places])
    for column, (name, _) in enumerate(aims.goals):
        if name in moments:
            there = missing[places, column]
            expected[places[there], column] = moments[name][0][there]
    return expected
