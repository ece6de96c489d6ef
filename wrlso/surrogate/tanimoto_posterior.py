"""The posterior of the process on counts of substructures, and its exact conditioning."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from wrlso._utils.threads import bounded_threads
from wrlso.surrogate.minmax_kernel import Levels, Overlaps, dots, held, join, squares, tanimoto
from wrlso.surrogate.protocol import Array

__all__ = ["StructureKernel", "TanimotoPosterior"]

_VARIANCE_FLOOR = 1e-12  # relative to the signal's variance
_REACH = 1.3  # of the linear part, times the largest norm of an observation's counts


@dataclass(frozen=True)
class StructureKernel:
    """(1 - linear) · Tanimoto + linear · ⟨b(x), b(x')⟩ / scale; 1 on the diagonal for an average object.

    b(x) are the counts c(x), divided so that their norm is at most a reach. A linear function of the counts
    themselves would be the less certain the larger an object is, without any bound, and a search that looks
    for what is uncertain would ask for the largest object that can be written down.
    """

    linear: float
    scale: float

    def between(self, overlaps: Overlaps, queries: Levels, reach: float) -> Array:
        """Return the kernel (q, n) of q queries with n objects."""
        K = tanimoto(overlaps.of(queries), queries.sizes, overlaps.levels.sizes)
        if self.linear:
            K *= 1.0 - self.linear
            products = dots(queries, overlaps.levels)
            products *= held(queries, reach)[:, None] * held(overlaps.levels, reach)
            K += self.linear / self.scale * products
        return K

    def diagonal(self, queries: Levels, reach: float) -> Array:
        """Return the kernel (q,) of each query with itself."""
        if not self.linear:
            return np.ones(len(queries))
        return (1.0 - self.linear) + self.linear / self.scale * squares(queries).clip(max=reach**2)


@dataclass(frozen=True)
class TanimotoPosterior:
    """The posterior given t ~ N(mean, signal · (K + diag(ratios))).

    The Cholesky factor is not a field: it is made again, block by block and so to the last bit, where the
    posterior was loaded from a file.
    """

    levels: Levels
    t: Array  # (n,) transformed values
    blocks: tuple[int, ...]  # how many observations came at once, the fit's first
    kernel: StructureKernel
    signal: float
    ratio: float
    mean: float
    n_features: int
    ratios: Array | None = None  # (n,) noise of each observation, relative to the signal; None: ratio for all

    @property
    def noise(self) -> float:
        """Variance of the noise of an observation."""
        return self.signal * self.ratio

    @cached_property
    def _overlaps(self) -> Overlaps:
        return Overlaps(self.levels)

    @cached_property
    def _reach(self) -> float:
        """Norm of the counts up to which the linear part follows them.

        It grows with the observations, all of which lie within it: what they have among themselves never
        changes, and so the factor need not be made again.
        """
        return _REACH * float(np.sqrt(squares(self.levels).max(initial=0.0)))

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        """L (n, n) with L Lᵀ = K + diag(ratios), and L⁻¹ (t - mean) (n,)."""
        L, v = np.empty((0, 0)), np.empty(0)
        K, ratios = self._correlation(self.levels), self._all_ratios
        for size in self.blocks:
            n = len(L)
            L, v = _append(
                L, v, K[n : n + size, : n + size], self.t[n : n + size] - self.mean, ratios[n : n + size]
            )
        return L, v

    @property
    def _all_ratios(self) -> Array:
        return np.full(len(self.t), self.ratio) if self.ratios is None else self.ratios

    def _correlation(self, queries: Levels) -> Array:
        return self.kernel.between(self._overlaps, queries, self._reach)

    def _whitened(self, queries: Levels) -> tuple[Array, Array]:
        """Mean (q,) and V = L⁻¹ k (n, q)."""
        L, v = self._factors
        K = self._correlation(queries).T
        with bounded_threads(len(queries) * len(L) ** 2):
            V = solve_triangular(L, K, lower=True, overwrite_b=True, check_finite=False)
            return self.mean + V.T @ v, V

    def predict(self, queries: Levels) -> tuple[Array, Array]:
        """Mean and variance (q,)."""
        mean, V = self._whitened(queries)
        left = self.kernel.diagonal(queries, self._reach) - np.einsum("ij,ij->j", V, V)
        return mean, self.signal * left.clip(_VARIANCE_FLOOR)

    def covariance(self, queries: Levels) -> tuple[Array, Array]:
        """Mean (q,) and joint covariance (q, q)."""
        mean, V = self._whitened(queries)
        prior = self.kernel.between(Overlaps(queries), queries, self._reach)
        return mean, self.signal * (prior - V.T @ V)

    def condition(self, queries: Levels, t: Array, ratios: Array) -> "TanimotoPosterior":
        """Add q observations with these noise ratios; O(n² q)."""
        if len(t) == 0:
            return self
        levels = join(self.levels, queries)
        grown = replace(
            self,
            levels=levels,
            t=np.concatenate([self.t, t]),
            blocks=(*self.blocks, len(t)),
            ratios=np.concatenate([self._all_ratios, ratios]),
        )
        rows = grown._correlation(queries)
        # the cached value of a frozen instance: what it would compute itself, from the start
        grown.__dict__["_factors"] = _append(*self._factors, rows, t - self.mean, ratios)
        return grown


def _append(L: Array, v: Array, rows: Array, residual: Array, ratios: Array) -> tuple[Array, Array]:
    """Return the factor and the whitened residual after rows (q, n + q) of the kernel were added."""
    n, q = len(L), len(rows)
    grown = np.zeros((n + q, n + q))
    grown[:n, :n] = L
    if n:
        grown[n:, :n] = solve_triangular(L, rows[:, :n].T, lower=True, check_finite=False).T
    below = grown[n:, :n]
    corner = rows[:, n:] - below @ below.T
    corner[np.diag_indices(q)] += ratios
    grown[n:, n:] = np.linalg.cholesky(corner)
    rest = solve_triangular(grown[n:, n:], residual - below @ v, lower=True, check_finite=False)
    return grown, np.concatenate([v, rest])
