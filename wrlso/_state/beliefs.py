"""What the processes believe of the values at the data: merits follow it where values are noisy or missing.

A goal that was not measured is taken to be what its process expects. With standard errors or replicates a
measured value is not the value, and the largest of many is a lucky one. A process has seen the neighbours,
too: the mean and deviation of its posterior at a point are what is known of the value there. Values that it
has not seen yet are combined with what it predicts.
"""

from typing import NamedTuple

import numpy as np

from wrlso._state.learned import Learned
from wrlso._state.merits import Standing, merits
from wrlso._state.processes import at_data, completed
from wrlso._state.weights import Beliefs
from wrlso.history import History
from wrlso.outcomes import Aims
from wrlso.surrogate.protocol import KnowsNoise

__all__ = ["Believed", "believed", "noise_is_known"]

_CHUNK = 2000


class Believed(NamedTuple):
    """What weights follow.

    Attributes
    ----------
    merit : ndarray (n,)
        Of the points with a value, larger is better.
    noisy : tuple of two ndarray (n,), or None
        Mean and standard deviation of the merit where there is one goal and its noise is known.
    """

    merit: np.ndarray
    noisy: Beliefs | None


def believed(learned: Learned, history: History, aims: Aims, state: Standing) -> Believed:
    """Return the merits as they are believed by the processes of the last ask, else as they were measured."""
    if learned.fitted.rows is None or learned.fitted.surrogate is None:
        return Believed(state.merit, None)  # points have moved since, or there is no process yet
    noisy = [goal for goal in aims.goals if noise_is_known(history, goal[0], state.rows)]
    if len(aims.goals) == 1:
        return Believed(state.merit, _one_goal(learned, history, aims, state) if noisy else None)
    goals = completed(state.goals, learned, history, aims, state.rows)
    if noisy:
        means = _moments(learned, history, aims, state.rows)
        goals = goals.copy()
        for column, goal in enumerate(aims.goals):
            if goal in noisy and goal[0] in means:
                goals[:, column] = means[goal[0]][0]
    changed = noisy or np.isnan(state.goals).any()
    return Believed(merits(goals, state.violation, aims) if changed else state.merit, None)


def noise_is_known(history: History, outcome: str, rows: np.ndarray) -> bool:
    """Whether standard errors or replicates of an outcome were told."""
    seen = history.observations(outcome, rows)
    return bool((seen.n > 1).any() or not np.isnan(seen.sd).all())


def _one_goal(learned: Learned, history: History, aims: Aims, state: Standing) -> Beliefs | None:
    """Return what is believed of the one goal; what violates limits stays behind all others, as measured."""
    (name, sign), *_ = aims.goals
    rows, seen = state.rows, learned.fitted.rows
    found = _moments(learned, history, aims, rows).get(name)
    if found is None or seen is None:
        return None
    mean, variance = found
    unseen = ~np.isnan(state.goals[:, 0]) & ~np.isin(rows, seen)
    if unseen.any():
        told = history.observations(name, rows[unseen])
        surrogate = learned.fitted.surrogate
        noise = surrogate.noise_variance() if isinstance(surrogate, KnowsNoise) else 0.0
        error = np.where(np.isnan(told.sd), noise / np.maximum(told.n, 1), told.sd**2)
        share = variance[unseen] / np.maximum(variance[unseen] + error, 1e-300)
        mean[unseen] += share * (sign * told.y - mean[unseen])
        variance[unseen] *= 1 - share
    deviation = np.sqrt(np.maximum(variance, 0.0))
    violates = state.violation > 0
    if violates.any():
        places = np.unique(state.violation[violates], return_inverse=True)[1]
        mean[violates] = np.min(mean - 10 * deviation) - 1 - places
        deviation[violates] = 0.0
    return mean, deviation


def _moments(
    learned: Learned, history: History, aims: Aims, rows: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return mean and variance (n,) by outcome, computed for some rows after the others."""
    parts = [
        at_data(learned, history, aims, rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)
    ]
    return {
        name: (np.concatenate([part[name][0] for part in parts]), np.concatenate([p[name][1] for p in parts]))
        for name in (parts[0] if parts else ())
    }
