"""What an expression does, as features: its values on a grid of the variable."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, DataTypeError
from wrlso.tasks.expressions.arithmetic import evaluate

__all__ = ["Behaviour", "check_vector"]

_FARTHEST = 1000.0  # scales from zero at which values are cut
_CACHE = 20_000  # expressions whose features are kept in memory: 40 MB for 250 points


class Behaviour(BaseEstimator):
    """Map expressions to their values on a grid, for :class:`wrlso.FeatureGP`.

    Spellings of one function have the same features, and functions with similar values have similar ones. The
    values need no call of the objective. Close to zero the features are proportional to the values, far from
    it to their logarithms, so that a few huge values do not drown the others.

    Parameters
    ----------
    points : array_like of shape (p,)
        The variable's values.
    n_points : int, default=250
        Number D of features: that many of the points, evenly spaced in their order; all where there are
        fewer.
    scale : float, default=10.0
        Size of the values from which logarithms count.

    Examples
    --------
    >>> behaviour = Behaviour([0.0, 1.0, 2.0], scale=1.0)
    >>> behaviour(["x + x", "2 * x", "1 / x"]).round(2)
    array([[0.  , 1.44, 2.09],
           [0.  , 1.44, 2.09],
           [7.6 , 0.88, 0.48]])
    """

    def __init__(self, points: ArrayLike, n_points: int = 250, *, scale: float = 10.0) -> None:
        self.points = points
        self.n_points = n_points
        self.scale = scale

    def __call__(self, X: Sequence[str]) -> NDArray[np.float64]:
        """Return the features (n, D) float64 of n expressions; undefined values count as zero.

        Raises DataError or DataTypeError for an x that is no expression.
        """
        check_count("n_points", self.n_points)
        check_real("scale", self.scale, above=0.0)
        points = check_vector("points", self.points)
        grid = points[np.linspace(0, len(points) - 1, min(self.n_points, len(points))).round().astype(int)]
        known: dict[str, NDArray[np.float64]] = self.__dict__.setdefault("_known", {})
        new = [x for x in dict.fromkeys(X) if x not in known]
        if len(known) + len(new) > _CACHE:
            known.clear()
            new = list(dict.fromkeys(X))
        values = np.nan_to_num(evaluate(new, grid) / self.scale, posinf=_FARTHEST, neginf=-_FARTHEST)
        known.update(zip(new, np.arcsinh(values.clip(-_FARTHEST, _FARTHEST)), strict=True))
        return np.array([known[x] for x in X]).reshape(len(X), len(grid))

    def set_params(self, **params: Any) -> "Behaviour":
        """Set parameters, and forget features of before."""
        self.__dict__.pop("_known", None)
        super().set_params(**params)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the cache."""
        return {name: value for name, value in super().__getstate__().items() if name != "_known"}


def check_vector(name: str, given: Any) -> NDArray[np.float64]:
    """Return finite numbers as a vector (p,), p ≥ 1.

    Raises DataError or DataTypeError for anything else.
    """
    try:
        vector: NDArray[np.float64] = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"{name} must be numbers, got {given!r}") from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise DataError(f"{name} must be finite numbers of shape (p,), p >= 1, got shape {vector.shape}")
    return vector
