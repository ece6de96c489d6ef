"""What an expression does, as features: its values on a grid of the variable, in few numbers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.context_free import shared_grammar
from wrlso.tasks.expressions.arithmetic import evaluate
from wrlso.tasks.expressions.data import EXPRESSION_GRAMMAR, MAX_PRODUCTIONS

__all__ = ["Behaviour", "check_vector"]

_SAMPLE = 8000  # random expressions; about half of them are different functions
_FARTHEST = 1000.0  # scales from zero at which values are cut
_CACHE = 100_000  # expressions whose features are kept in memory: 33 MB for 40 directions


class Behaviour(BaseEstimator):
    """Map expressions to what they do, for :class:`wrlso.FeatureGP`: their values on a grid, in few numbers.

    Spellings of one function have the same features, and functions with similar values have similar ones. The
    values need no call of the objective. Close to zero they count as they are, far from it by their
    logarithms, so that a few huge values do not drown the others.

    The features are the values' coordinates along the principal directions of random expressions of the
    task's grammar, and the length of the rest. So a wave too fast for its phase to matter, like
    ``sin( exp( x * x ) )``, is like any other one: a surrogate that has seen one knows them all.

    Parameters
    ----------
    points : array_like of shape (p,)
        The variable's values.
    n_components : int, default=40
        Number of principal directions; at most as many as the grid has points.
    n_points : int, default=250
        Size of the grid: that many of the points, evenly spaced in their order; all where there are fewer.
    scale : float, default=10.0
        Size of the values from which logarithms count.

    Examples
    --------
    >>> behaviour = Behaviour([0.0, 1.0, 2.0], n_components=2, scale=1.0)
    >>> a, b, c = behaviour(["x + x", "2 * x", "1 / x"])
    >>> len(a), bool((a == b).all()), bool((a == c).all())
    (3, True, False)
    """

    def __init__(
        self, points: ArrayLike, n_components: int = 40, *, n_points: int = 250, scale: float = 10.0
    ) -> None:
        self.points = points
        self.n_components = n_components
        self.n_points = n_points
        self.scale = scale

    def __call__(self, X: Sequence[str]) -> NDArray[np.float64]:
        """Return the features (n, n_components + 1) float64 of n expressions.

        Undefined values count as zero. Raises DataError or DataTypeError for an x that is no expression.
        """
        known: dict[str, NDArray[np.float64]] = self.__dict__.setdefault("_known", {})
        new = [x for x in dict.fromkeys(X) if x not in known]
        if len(known) + len(new) > _CACHE:
            known.clear()
            new = list(dict.fromkeys(X))
        grid, scale, directions = self._checked()
        known.update(zip(new, _features(new, grid, scale, directions), strict=True))
        return np.array([known[x] for x in X]).reshape(len(X), directions.shape[1] + 1)

    def _checked(self) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
        """Return the grid (m,), the scale, and the principal directions (m, D)."""
        check_count("n_components", self.n_components)
        check_count("n_points", self.n_points)
        check_real("scale", self.scale, above=0.0)
        points = check_vector("points", self.points)
        grid = points[np.linspace(0, len(points) - 1, min(self.n_points, len(points))).round().astype(int)]
        directions = _directions(grid.tobytes(), float(self.scale))
        return grid, self.scale, directions[:, : self.n_components]

    def set_params(self, **params: Any) -> "Behaviour":
        """Set parameters, and forget features of before."""
        self.__dict__.pop("_known", None)
        super().set_params(**params)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the cache."""
        return {name: value for name, value in super().__getstate__().items() if name != "_known"}


def _features(
    X: Sequence[str], grid: NDArray[np.float64], scale: float, directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the features (n, D + 1), whose squares add up to the mean square of the scaled values."""
    values = _scaled(X, grid, scale)
    # one by one, because a product of matrices rounds differently for different numbers of rows
    along = np.stack([row @ directions for row in values]) if len(X) else np.empty((0, directions.shape[1]))
    rest = np.square(values).sum(axis=1) - np.square(along).sum(axis=1)
    return np.asarray(np.column_stack([along, np.sqrt(rest.clip(0.0))]) / np.sqrt(len(grid)))


def _scaled(X: Sequence[str], grid: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    values = np.nan_to_num(evaluate(X, grid) / scale, posinf=_FARTHEST, neginf=-_FARTHEST)
    return np.asarray(np.arcsinh(values.clip(-_FARTHEST, _FARTHEST)))


@lru_cache(maxsize=8)
def _directions(grid: bytes, scale: float) -> NDArray[np.float64]:
    """Return the principal directions (m, m) of random expressions, the first ones first."""
    grammar, rng = shared_grammar(EXPRESSION_GRAMMAR, " "), np.random.default_rng(0)
    texts = {grammar.text(grammar.sample(MAX_PRODUCTIONS, rng)): None for _ in range(_SAMPLE)}
    values = np.unique(_scaled(list(texts), np.frombuffer(grid), scale).round(6), axis=0)
    # padded, because there may be fewer functions than points
    padded = np.concatenate([values, np.zeros((max(0, values.shape[1] - len(values)), values.shape[1]))])
    directions = np.linalg.svd(padded, full_matrices=False)[2].T
    return np.asarray(directions)


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
