"""What is better when an experiment has several outcomes: merits, fronts, and what satisfies the limits.

The merit of a point is what its weight and the search's order follow, larger is better. With one goal and no
limit it is the value; else minus the number of its front under constrained domination. First come the fronts
of the points that satisfy all limits; behind them what violates limits, by the sum of scaled violations. A
violation is scaled to the share of points that violate this limit no more: so merits stay the same under any
increasing transformation of an outcome and its limit.

A goal that was not measured is taken to be in the middle: in the median of the measured, or in the front that
the median point of those with all goals has. A limit whose outcome was not measured is taken to hold.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wrlso._utils.domination import fronts, hypervolume, reference_point
from wrlso.exceptions import ParameterError
from wrlso.history import History
from wrlso.outcomes import Aims

__all__ = [
    "Standing", "best_position", "check_names", "goal_values", "hypervolumes", "merits", "reference_of",
    "standing", "told_values",
]  # fmt: skip

_FEWEST_FOR_REFERENCE = 10  # points with all goals


class Standing(NamedTuple):
    """How the n points with a value stand, in the order of ``history.observed_rows``.

    Attributes
    ----------
    rows : ndarray (n,) of int64
        Their rows in the history.
    merit : ndarray (n,)
        Larger is better.
    satisfies : ndarray (n,) of bool
        Whether all goals and limits were measured, and all limits hold.
    goals : ndarray (n, m)
        Values of the goals, larger is better; NaN: not measured.
    violation : ndarray (n,)
        Sum of scaled violations; 0: none is known.
    """

    rows: np.ndarray
    merit: np.ndarray
    satisfies: np.ndarray
    goals: np.ndarray
    violation: np.ndarray

    @property
    def on_front(self) -> np.ndarray:
        """Positions of the points that satisfy the limits, and that none of these dominates."""
        places = np.flatnonzero(self.satisfies)
        return np.asarray(places[fronts(self.goals[places]) == 0])


def check_names(history: History, aims: Aims) -> None:
    """Raise ParameterError where outcomes have other units than a history, or names where it has none."""
    known = history.outcomes
    if aims.are_named and "" in known:
        raise ParameterError(
            f"outcomes must be None, because the values told so far have no names, got "
            f"{', '.join(map(repr, aims.names))}: begin anew with fit, and tell values by name"
        )
    if not aims.are_named and known and "" not in known:
        raise ParameterError(
            f"outcomes must name {', '.join(map(repr, known))}, because values of these were told, got None"
        )
    for name, unit in aims.units.items():
        if (before := history.units.get(name)) and before != unit:
            raise ParameterError(
                f"the unit of {name!r} must be {before!r}, in which its values were told, got {unit!r}: "
                "convert new values, or begin anew with fit and all values in the new unit"
            )


def goal_values(history: History, aims: Aims, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the values (n, m) of the goals at rows, larger is better; NaN: not measured."""
    return np.stack([sign * history.observations(name, rows).y for name, sign in aims.goals], axis=1)


def told_values(history: History, aims: Aims) -> np.ndarray:
    """Return the values of all outcomes (n, m) in the user's sign; (n,) of one without a name."""
    if not aims.are_named:
        return history.y
    return np.stack([history.observations(name).y for name in aims.names], axis=1)


def standing(history: History, aims: Aims) -> Standing:
    """Return how all points with a value stand.

    Raises ParameterError where the outcomes are not those of which values were told.
    """
    check_names(history, aims)
    rows = history.observed_rows
    goals = goal_values(history, aims, rows)
    limited = [(sign * history.observations(name, rows).y, sign * limit) for name, sign, limit in aims.limits]
    violation = _violation(limited, len(goals))
    satisfies = ~np.isnan(goals).any(axis=1) & (violation == 0)
    for values, _ in limited:
        satisfies &= ~np.isnan(values)
    return Standing(rows, merits(goals, violation, aims), satisfies, goals, violation)


def _violation(limited: Sequence[tuple[np.ndarray, float]], n: int) -> np.ndarray:
    """Return the sum (n,) of scaled violations of limits: shares of points that violate each no more."""
    total = np.zeros(n)
    for values, limit in limited:
        ascending = np.sort(-values[values < limit])
        share = np.searchsorted(ascending, -values, side="right") / max(n, 1)
        total += np.where(values < limit, share, 0.0)
    return total


def merits(goals: np.ndarray, violation: np.ndarray, aims: Aims) -> np.ndarray:
    """Return merits (n,) of values of goals (n, m), larger is better, and violations (n,)."""
    known = ~np.isnan(goals).any(axis=1)
    if aims.is_one_number:
        return np.where(known, goals[:, 0], _median(goals[known, 0]))
    merit, holds = np.zeros(len(goals)), violation == 0
    ranked = known & holds
    merit[ranked] = -fronts(goals[ranked])
    merit[holds & ~known] = _median(merit[ranked])
    _, places = np.unique(violation[~holds], return_inverse=True)
    merit[~holds] = merit[holds].min(initial=0.0) - 1.0 - places
    return merit


def _median(values: np.ndarray) -> float:
    """Return the lower median, which is one of the values; 0 without any."""
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else 0.0


def best_position(history: History, aims: Aims) -> int:
    """Return the position of the best point among ``history.observed_rows``: the first of the best.

    Raises NotFittedError while there is none, and ParameterError for several goals.
    """
    if len(aims.goals) > 1:
        names = " and ".join(repr(name) for name, _ in aims.goals)
        raise ParameterError(f"best_x_ and best_y_ need one goal, but there are {names}: see pareto_X_")
    state = standing(history, aims)
    places = np.flatnonzero(state.satisfies)
    if len(places) == 0:
        some = len(state.merit) > 0 and not np.isnan(state.goals).all()
        why = "no point is known to satisfy the limits" if some else "no value has been given by fit or tell"
        raise _nothing_yet(f"there is no best point yet: {why}")
    return int(places[np.argmax(state.goals[places, 0])])


def _nothing_yet(text: str) -> Exception:
    from wrlso.exceptions import NotFittedError  # takes a second: its base class is scikit-learn's

    return NotFittedError(text)


def reference_of(history: History, aims: Aims) -> np.ndarray:
    """Return the reference point (m,) of the hypervolume, larger is better.

    It is made of the starting data, or of the first ten points with all goals where these are fewer, so that
    it stays the same from then on; the outcomes' own ``reference`` comes first.

    Raises NotFittedError while there is nothing to make it of.
    """
    given = np.array([sign * aims.references.get(name, np.nan) for name, sign in aims.goals])
    if not np.isnan(given).any():
        return given
    goals = goal_values(history, aims)
    known = np.flatnonzero(~np.isnan(goals).any(axis=1))
    n_first = max(np.count_nonzero(known < history.n_start), _FEWEST_FOR_REFERENCE)
    if len(known) == 0:
        raise _nothing_yet("there is no hypervolume yet: no point has a value of every goal")
    return np.where(np.isnan(given), reference_point(goals[known[:n_first]]), given)


def hypervolumes(history: History, aims: Aims) -> np.ndarray:
    """Return the hypervolume (n,) after each point with a value, in the order of their first value."""
    state, reference = standing(history, aims), reference_of(history, aims)
    found = np.zeros(len(state.merit))
    front = np.empty((0, len(aims.goals)))
    volume = 0.0
    for place, satisfies in enumerate(state.satisfies):
        point = state.goals[place]
        if satisfies and not (front >= point).all(axis=1).any():
            front = np.concatenate([front[~(front <= point).all(axis=1)], point[None]])
            volume = hypervolume(front, reference)
        found[place] = volume
    return found
