"""Choice of the inducing points of a sparse Gaussian process."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["inducing_points"]

Array = NDArray[np.float64]
_LLOYD_ITERATIONS = 10
_EXPLAINED = 1e-10  # conditional variance, relative to the prior's, below which a point adds nothing


def inducing_points(X: Array, m: int, method: str, rng: np.random.Generator) -> Array:
    """Choose at most m inducing points (m, d) for scaled X (n, d): all distinct ones, when they are few."""
    distinct = np.unique(X, axis=0)
    if len(distinct) <= m:
        return distinct
    if method == "greedy":
        return _greedy_points(X, m)
    return _kmeans(distinct, m, rng)


def _kmeans(X: Array, m: int, rng: np.random.Generator) -> Array:
    """Lloyd's algorithm for a few iterations from random points; an empty cluster keeps its center."""
    centers: Array = X[rng.choice(len(X), size=m, replace=False)].copy()
    for _ in range(_LLOYD_ITERATIONS):
        distance = X @ (-2.0 * centers.T)
        distance += np.einsum("ij,ij->i", centers, centers)
        nearest = distance.argmin(axis=1)
        order = np.argsort(nearest, kind="stable")
        filled, first = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(X[order], first, axis=0)
        centers[filled] = sums / np.diff(np.append(first, len(X)))[:, None]
    return centers


def _greedy_points(X: Array, m: int) -> Array:
    """Points of largest conditional variance under an RBF kernel: the pivots of a partial Cholesky factor.

    Burt, Rasmussen and van der Wilk (2020), section 4. Stops early when all points are explained.
    """
    residual = np.ones(len(X))
    factor = np.empty((m, len(X)))
    squares = np.einsum("ij,ij->i", X, X)
    pivots: list[int] = []
    for i in range(m):
        pivot = int(residual.argmax())
        if residual[pivot] < _EXPLAINED:
            break
        pivots.append(pivot)
        row = np.exp(X @ X[pivot] - 0.5 * (squares + squares[pivot]))
        row -= factor[:i, pivot] @ factor[:i]
        row /= np.sqrt(residual[pivot])
        factor[i] = row
        residual -= row * row
        residual[pivot] = 0.0
    return X[pivots]
