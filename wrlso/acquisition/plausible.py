"""What a model finds plausible, and how plausible candidates must be beside the points with a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.acquisition.state import SearchState
from wrlso.models.inference import evaluating
from wrlso.models.protocol import HasLikelihood, has_likelihood

__all__ = ["Plausible"]

_MOST = 300  # points with a value that set the bound, evenly spread over the campaign


@dataclass(frozen=True)
class Plausible:
    """A bound on how surprising an object may be to the model.

    An object's score is its log-likelihood plus its length times the surprise per symbol that is usual in the
    data. So one odd part counts as much in a large object as in a small one, and size alone does not count.

    Attributes
    ----------
    model : HasLikelihood
    usual : float
        The data's mean surprise per symbol, in nats.
    least : float
        The smallest score of a plausible object.
    """

    model: HasLikelihood
    usual: float
    least: float

    @classmethod
    def of(cls, state: SearchState, quantile: float | None) -> "Plausible | None":
        """Return the bound at a quantile of the data's scores; None without one, a likelihood or data."""
        measured, model = state.all_measured, state.model
        if quantile is None or measured.point is None or not has_likelihood(model):
            return None
        n = len(measured.y)
        places = np.unique(np.linspace(0, n - 1, min(n, _MOST)).astype(np.int64))
        known = [measured.point(int(place)) for place in places]
        if not known:
            return None
        with evaluating(state.model):
            likelihood, length = model.likelihood(known)
        usual = -float(likelihood.sum() / length.sum())
        return cls(model, usual, float(np.quantile(likelihood + usual * length, quantile)))

    def excess(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """Return by how much each x exceeds the bound (n,): below zero it is not plausible."""
        if len(X) == 0:
            return np.empty(0)
        with evaluating(self.model):  # type: ignore[arg-type]  # a model of the search
            likelihood, length = self.model.likelihood(X)
        return np.asarray(likelihood + self.usual * length - self.least, dtype=np.float64)
