"""What a model finds plausible, and how plausible candidates must be beside the points with a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.acquisition.state import SearchState
from wrlso.models.inference import Array, evaluating
from wrlso.models.protocol import CountsOddities, HasLikelihood, LatentModel

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
        model, measured = state.model, state.all_measured
        if quantile is None or measured.point is None or not len(measured.y):
            return None
        last = len(measured.y)
        known = [measured.point(int(place)) for place in _spread(last, _MOST)]
        bounds = []
        if isinstance(model, CountsOddities):
            places = np.union1d(_spread(last, _SEEN), np.arange(max(last - _SEEN, 0), last))
            levels = (0.5 + _GOLDEN * (state.turn + np.arange(n))) % 1.0
            for count in model.oddities([measured.point(int(place)) for place in places]):
                most = np.quantile(count(known), levels * (1.0 - quantile), method="inverted_cdf")
                bounds.append(_Bound(count, most))
        if isinstance(model, HasLikelihood):
            bounds.append(_least_likely(model, known, quantile, n))
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
                oddity = bound.oddity([X[i] for i in rows])
                found[:, rows] = np.minimum(found[:, rows], bound.most[:, None] - oddity)
        return found


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Return at most so many places of n, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _least_likely(model: HasLikelihood, known: Sequence[Any], quantile: float, n: int) -> _Bound:
    with evaluating(model):  # type: ignore[arg-type]  # a model of the search
        likelihood, length = model.likelihood(known)
    usual = -float(likelihood.sum() / length.sum())

    def oddity(X: Sequence[Any]) -> Array:
        likelihood, length = model.likelihood(X)
        return np.asarray(-likelihood - usual * length, dtype=np.float64)

    return _Bound(oddity, np.full(n, np.quantile(-likelihood - usual * length, 1.0 - quantile)))
