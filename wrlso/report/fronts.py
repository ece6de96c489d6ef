"""Pictures of the front of several goals; they need no torch."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from wrlso._state.merits import Standing
from wrlso.outcomes import Aims
from wrlso.plots.curves import front_scatter

__all__ = ["front_figures", "goal_label"]

_MOST = 6  # pairs of goals


def front_figures(aims: Aims, state: Standing) -> Iterator[tuple[str, Any, str]]:
    """Yield a name, a figure and its caption for each pair of goals."""
    signs = [sign for _, sign in aims.goals]
    for i, j in list(combinations(range(len(signs)), 2))[:_MOST]:
        names = [goal_label(aims, k) for k in (i, j)]
        values = state.goals[:, [i, j]] * [signs[i], signs[j]]
        figure = front_scatter(values, state.satisfies, state.on_front, names)
        yield f"{i}-{j}", figure, f"{names[0]} against {names[1]}; the front among all goals is marked."


def goal_label(aims: Aims, goal: int) -> str:
    """Return the name of a goal with its unit, and which side is better."""
    name, sign = aims.goals[goal]
    unit = f" ({aims.units[name]})" if aims.units[name] else ""
    return f"{name}{unit}, {'larger' if sign > 0 else 'smaller'} is better"
