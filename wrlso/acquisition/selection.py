"""Choosing a batch among candidates, and the best of a long list of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from wrlso.acquisition.apart import Apart
from wrlso.acquisition.belief import Belief, for_turn, safe_scores
from wrlso.acquisition.goals import GoalsBelief
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.state import Listed
from wrlso.surrogate.protocol import Surrogate

__all__ = ["CHOICE", "choose", "foremost", "least_excess"]

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]

_CHUNK = 4096  # objects whose values are computed at once
CHOICE = 10  # candidates that each proposal is chosen from, plausible or not
_PROVEN = 100  # best rows, beside those that are wanted, that bounds must not hide


def choose(
    turns: Sequence[Criterion],
    belief: Belief | GoalsBelief,
    points: Any,
    generator: torch.Generator,
    success: Scores | None = None,
    apart: Apart | None = None,
    excess: Scores | None = None,
) -> list[tuple[int, float]]:
    """Return distinct places among points, each with its value, one for each criterion whose turn it is.

    A point that was chosen counts as observed, with its predicted value, for the next ones, which keep the
    distance from it that ``apart`` asks for. With ``success`` (q,) values are those times the probability
    that an experiment succeeds. With ``excess`` (n, q) each criterion chooses among points where its own row
    is not negative; where there are fewer than ten, among the ten where it is the least below zero.
    """
    belief, points = belief.over(points)
    free = np.ones(len(points), dtype=bool)
    chosen: list[tuple[int, float]] = []
    for turn, criterion in enumerate(turns):
        scores = safe_scores(criterion, belief, points, generator, success)
        fitting = free if excess is None else free & (excess[turn] >= least_excess(excess[turn][free]))
        open_places = np.flatnonzero(fitting) if apart is None else apart.among(fitting)
        i = int(open_places[scores[open_places].argmax()])
        free[i] = False
        chosen.append((i, float(scores[i])))
        if len(chosen) < len(turns):
            belief = belief.add(points[i : i + 1])
            if apart is not None:
                apart.add(apart.X[i])
    return chosen


def least_excess(excess: Scores) -> float:
    """Return the least excess with which a point is plausible enough to be chosen."""
    return float(min(0.0, np.sort(excess)[-min(CHOICE, len(excess))]))


def foremost(
    listed: Listed,
    criterion: Criterion,
    belief: Belief,
    turn: int,
    n: int,
    size: int,
    admit: Callable[[Any], bool],
    generator: torch.Generator,
) -> Rows:
    """Return the ``size`` best rows of a list for a batch of n, fewer where fewer are admitted.

    Those who have a turn in the batch share the places. A criterion of joint samples, or for several goals,
    is represented by the one that it names as its ``promise``.
    """
    choosers = [for_turn(criterion, turn + i) for i in range(n)]
    judges = {repr(judge): judge for judge in (getattr(c, "promise", c) for c in choosers)}
    orders = [
        np.argsort(-_scores(listed, judge, belief, n + _PROVEN, generator), kind="stable")
        for judge in judges.values()
    ]
    found: list[int] = []
    seen: set[int] = set()
    for place in (int(place) for places in zip(*orders, strict=True) for place in places):
        if place not in seen and admit(listed.x(int(listed.rows[place]))):
            found.append(int(listed.rows[place]))
        seen.add(place)
        if len(found) == size:
            break
    return np.array(found, dtype=np.int64)


def _scores(
    listed: Listed, criterion: Criterion, belief: Belief, enough: int, generator: torch.Generator
) -> Scores:
    """Return the values (m,) of all rows; -inf for those that a bound shows to be none of the best."""
    rows = listed.rows

    def exact(places: Rows) -> Scores:
        parts = [
            safe_scores(criterion, belief, listed.points(belief.surrogate, rows[part]), generator)
            for part in _chunks(places)
        ]
        return np.concatenate([np.empty(0), *parts])

    bounds = listed.bounds(belief.surrogate) if getattr(criterion, "increasing", False) else None
    every = np.arange(len(rows))
    if bounds is None or len(rows) <= 4 * enough:
        return exact(every)
    upper = np.concatenate(
        [_optimistic(criterion, belief, *bounds(rows[c]), generator) for c in _chunks(every)]
    )
    order = np.argsort(-upper, kind="stable")
    scores = np.full(len(rows), -np.inf)
    done, step = 0, max(4 * enough, _CHUNK)
    while done < len(rows):
        part = order[done : done + step]
        scores[part] = exact(part)
        done += len(part)
        if done < len(rows) and upper[order[done]] <= np.partition(scores, len(scores) - enough)[-enough]:
            break
        step *= 2
    return scores


class _Marginals:
    """Predictions of objects that are named by their places."""

    def __init__(self, mean: Scores, variance: Scores) -> None:
        self._moments = torch.from_numpy(mean), torch.from_numpy(variance)

    def predict(self, Z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and variance at places Z (k,)."""
        return self._moments[0][Z], self._moments[1][Z]


def _optimistic(
    criterion: Criterion, belief: Belief, mean: Scores, variance: Scores, generator: torch.Generator
) -> Scores:
    """Return the values (q,) of objects with these means and variances."""
    bound = replace(belief, surrogate=cast(Surrogate, _Marginals(mean, variance)))
    return safe_scores(criterion, bound, torch.arange(len(mean)), generator)


def _chunks(places: Rows) -> Sequence[Rows]:
    return [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]
