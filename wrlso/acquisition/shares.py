"""How much each source of candidates makes, and whether a search has stalled or walks on a plateau."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wrlso.acquisition.state import Past

__all__ = ["on_plateau", "shares_of", "stalled"]

_HALF_LIFE = 40.0  # proposals after which what one brought counts half
_FLOOR = 0.1  # smallest share of a source, as a part of its share at the start
_PRIOR = 5.0  # proposals that stand for what is believed at first: that all sources are alike
_CHOSEN = 0.1  # what a proposal is worth that was chosen, and no more
_NEAR = 0.4  # one with a value among the best
_BETTER = 1.0  # one that improved on all before it
_AMONG = 0.02  # share of all values that are the best
_PATIENCE = 0.2  # queries without improvement after which a search has stalled, as a share of those before
_LEAST_PATIENCE = 15
_TIES = 5  # queries with exactly the best value that make a plateau


def shares_of(start: Mapping[str, float], past: Past, y: NDArray[np.float64]) -> dict[str, float]:
    """Return the share of each source, sum 1, by the success of its candidates so far.

    Every proposal earns its source a little for being chosen, more for a value among the best, most for an
    improvement. A source's rate is what it earned, by how many of the candidates it made: one that made many
    of which few were chosen has a low rate. What is long ago counts less. No share falls far below a tenth of
    that at the start, so that a source can come back.

    Parameters
    ----------
    start : mapping of str to float
        Shares at the start, of any sum.
    past : Past
        What was proposed so far.
    y : ndarray (N,)
        All values in the order in which they came, larger is better.
    """
    earned, effort = dict.fromkeys(start, 0.0), dict.fromkeys(start, 0.0)
    age = 0
    for ask in reversed(past.asks):
        counts: Mapping[str, Mapping[str, int]] = getattr(ask, "sources", {})
        total = sum(counts[name]["made"] for name in counts if name in start)
        chosen = sum(each["chosen"] for each in counts.values())
        for name in start:
            if total and name in counts:
                effort[name] += 0.5 ** (age / _HALF_LIFE) * chosen * counts[name]["made"] / total
        age += chosen
    n = len(past.sources)
    for i, (name, place) in enumerate(zip(past.sources, past.places, strict=True)):
        if name in earned and i not in past.failed:  # a failure earns nothing
            earned[name] += 0.5 ** ((n - 1 - i) / _HALF_LIFE) * _worth(place, y)
    mean = (sum(earned.values()) + _PRIOR * _CHOSEN) / (sum(effort.values()) + _PRIOR)
    total_start = sum(start.values())
    found = {
        name: share
        / total_start
        * max(_FLOOR, (earned[name] + _PRIOR * mean) / (effort[name] + _PRIOR) / mean)
        for name, share in start.items()
    }
    return {name: share / sum(found.values()) for name, share in found.items()}


def _worth(place: int | None, y: NDArray[np.float64]) -> float:
    """Return what a proposal with the value y[place] earned; None: it has no value."""
    if place is None:
        return _CHOSEN
    better = int(np.count_nonzero(y[:place] >= y[place]))
    if better == 0:
        return _BETTER
    return _NEAR if better < _AMONG * place else _CHOSEN


def stalled(past: Past, y: NDArray[np.float64]) -> int:
    """Return 0 while a search goes on as usual, and 1, 2, … in the times when it looks farther.

    A search has stalled when nothing has improved for a fifth of the queries that the last improvement took,
    15 at least. It then looks farther for as many queries, goes back to usual for as many, and so on.
    """
    queries = y[len(y) if past.n_start is None else past.n_start :]
    if len(queries) == 0:
        return 0
    start = float(y[: past.n_start].max()) if past.n_start else -np.inf
    peaks = np.maximum.accumulate(np.concatenate([[start], queries]))
    last = int(np.flatnonzero(np.diff(peaks) > 0)[-1]) + 1 if peaks[-1] > start else 0
    patience = max(_LEAST_PATIENCE, int(_PATIENCE * last))
    phase = (len(queries) - last) // patience
    return (phase + 1) // 2 if phase % 2 else 0


def on_plateau(past: Past, y: NDArray[np.float64]) -> bool:
    """Return whether the search keeps finding points that are exactly as good as the best, and no better.

    Objectives of few levels have plateaus. A surrogate is sure of what lies between points of equal value, so
    that expected improvement would stay there.
    """
    queries = y[len(y) if past.n_start is None else past.n_start :]
    return len(queries) > 0 and int(np.count_nonzero(queries == y.max())) >= _TIES
