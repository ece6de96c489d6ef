"""What a model finds plausible, and how plausible candidates must be beside the points with a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.acquisition.state import FEW_VALUES, SearchState
from wrlso.models.inference import Array, evaluating
from wrlso.models.protocol import CountsOddities, HasLikelihood, LatentModel, has_likelihood

__all__ = ["Plausible"]

_MOST = 300  # points with a value that set the bounds, evenly spread over the campaign
_SEEN = 2000  # points whose parts are known, as many of the last ones as of all together
_GOLDEN = 0.6180339887498949  # multiples of it spread evenly over [0, 1), however many there are


@dataclass(frozen=True)
class _Bound:
    """The largest oddity that each of a batch's turns allows."""

    oddity: Callable[[Sequence[Any]], Array]
    most: Array


class Plausible:
    """Bounds on how odd objects may be, one for each proposal of a batch.

    What a model counts as odd, such as unknown parts, is to be as rare among the proposals as in the data:
    each proposal has a level of its own, a multiple of the golden ratio modulo 1, and may have what this
    quantile of the data has.

    A model's likelihood gives one more bound, for all proposals. An object's score is its log-likelihood plus
    its length times the surprise per symbol that is usual in the data. So one odd part counts as much in a
    large object as in a small one, and size alone does not count.

    Parameters
    ----------
    model : LatentModel
    bounds : sequence of _Bound
        The fastest first.
    """

    def __init__(self, model: LatentModel, bounds: Sequence[_Bound]) -> None:
        self._model = model
        self._bounds = bounds

    @classmethod
    def of(cls, state: SearchState, quantile: float | None, n: int = 1) -> "Plausible | None":
        """Return the bounds for n proposals; None where there is nothing to compare with, or no quantile."""
        if quantile is None:
            return None
        model, measured = state.model, state.all_measured
        if measured.point is None or len(measured.y) < FEW_VALUES:
            data = _Data.of_few(state)
        else:
            data = _Data.of(measured.point, len(measured.y), state.past.n_start)
        if not data.points:
            return None
        bounds = []
        if isinstance(model, CountsOddities):
            levels = (1.0 - quantile) * ((0.5 + _GOLDEN * (state.turn + np.arange(n))) % 1.0)
            for count in model.oddities(data.seen):
                bounds.append(_Bound(count, data.quantiles(count(data.points), levels)))
        if has_likelihood(model):
            oddity, known = _unlikeliness(model, data.points)
            bounds.append(_Bound(oddity, data.quantiles(known, np.full(n, 1.0 - quantile))))
        return cls(model, bounds) if bounds else None

    def excess(self, X: Sequence[Any]) -> Array:
        """Return by how much each x is too odd in each turn (turns, q): below zero; 0 says plausible."""
        n = len(self._bounds[0].most)
        found = np.zeros((n, len(X)))
        with evaluating(self._model):
            for bound in self._bounds:
                rows = np.flatnonzero((found >= 0).any(axis=0))
                if not len(rows):
                    break
                oddity = bound.oddity([X[int(i)] for i in rows])
                found[:, rows] = np.minimum(found[:, rows], bound.most[:, None] - oddity)
        return found


@dataclass(frozen=True)
class _Data:
    """The points with a value that others are compared with.

    Attributes
    ----------
    points : list
    started : ndarray of bool
        Which of them a campaign started with. Proposals that had to be plausible are no reason to demand more
        of later ones: a bound is the looser one of those that the starting data and all points together give.
    seen : list
        Those whose parts are known.
    """

    points: list[Any]
    started: NDArray[np.bool_]
    seen: list[Any]

    @classmethod
    def of(cls, point: Callable[[int], Any], n: int, n_start: int | None) -> "_Data":
        """Take an even spread of n points, of which the first ones are the starting data."""
        first = n if n_start is None else min(max(n_start, 1), n)
        places = np.union1d(_spread(first, _MOST), _spread(n, _MOST))
        seen = np.union1d(_spread(n, _SEEN), np.arange(max(n - _SEEN, 0), n))
        points, known = ([point(int(place)) for place in rows] for rows in (places, seen))
        return cls(points, places < first, known)

    @classmethod
    def of_few(cls, state: SearchState) -> "_Data":
        """Take all that a user supplied, beside the few points with a value."""
        points, n_start = state.examples, state.past.n_start
        n = len(points) - len(state.candidates) - len(state.failed_X)
        first = n if n_start is None else min(n_start, n)
        order = [*points[:first], *points[n:], *points[first:n]]
        return cls.of(order.__getitem__, len(order), len(order) - (n - first))

    def quantiles(self, oddity: Array, levels: NDArray[np.floating]) -> Array:
        """Return quantiles of the points' oddities at levels (n,)."""
        found = [np.quantile(rows, levels, method="inverted_cdf") for rows in (oddity, oddity[self.started])]
        return np.asarray(np.maximum(found[0], found[1]), dtype=np.float64)


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Return at most so many places of n, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _unlikeliness(
    model: HasLikelihood, known: Sequence[Any]
) -> tuple[Callable[[Sequence[Any]], Array], Array]:
    """Return how unlikely objects are, beside what is usual for their length, and that of the known ones."""
    with evaluating(model):  # type: ignore[arg-type]  # a model of the search
        likelihood, length = model.likelihood(known)
    usual = -float(likelihood.sum() / length.sum())

    def oddity(X: Sequence[Any]) -> Array:
        likelihood, length = model.likelihood(X)
        return np.asarray(-likelihood - usual * length, dtype=np.float64)

    return oddity, np.asarray(-likelihood - usual * length, dtype=np.float64)
