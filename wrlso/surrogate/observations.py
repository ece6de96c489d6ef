"""What is known of a value: how often it was measured, its standard error, or that it is only a limit."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wrlso.surrogate.protocol import Array

__all__ = ["Observations", "Told", "known_of"]

_SMALLEST_ERROR = 1e-3  # standard error, where the values have variance 1: below, matrices get singular


@dataclass(frozen=True)
class Observations:
    """Values of n points with what is known of their noise; any subset of them by an index or a slice.

    Attributes
    ----------
    y : ndarray of float64, (n,)
        The mean of a point's replicates, or the limit beyond which its value lies.
    n : ndarray of int64, (n,)
        Number of replicates, ≥ 1.
    sd : ndarray of float64, (n,)
        Standard error of y where it was told, else NaN: the noise is learned.
    bound : ndarray of int8, (n,)
        0: y was measured; 1: the measurement lies above y, such as "> 10"; -1: below.
    squares : ndarray of float64, (n,)
        Sum of the squared deviations of the replicates from their mean, which tell how large the noise is;
        0 for one replicate, NaN where it is not known.
    """

    y: Array
    n: NDArray[np.int64]
    sd: Array
    bound: NDArray[np.int8]
    squares: Array

    @classmethod
    def exact(cls, y: Array) -> "Observations":
        """Return values that were measured once, with noise to be learned."""
        n = len(y)
        return cls(y, np.ones(n, np.int64), np.full(n, np.nan), np.zeros(n, np.int8), np.zeros(n))

    def __len__(self) -> int:
        """Return the number n of points."""
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Observations":
        """Return the observations of a slice, a list, or an array of rows."""
        return Observations(self.y[rows], self.n[rows], self.sd[rows], self.bound[rows], self.squares[rows])

    @property
    def plain(self) -> bool:
        """Whether each value was measured once, with noise to be learned."""
        return bool((self.n == 1).all() and np.isnan(self.sd).all() and not self.bound.any())

    @property
    def censored(self) -> NDArray[np.bool_]:
        """Which values (n,) are limits."""
        return np.asarray(self.bound != 0)

    def spread(self) -> tuple[float, float]:
        """Degrees of freedom that replicates leave for the noise, and their squared deviations' sum."""
        known = np.isnan(self.sd) & ~np.isnan(self.squares) & (self.bound == 0)
        return float(np.sum(self.n[known] - 1)), float(self.squares[known].sum())

    def flipped(self, sign: float) -> "Observations":
        """Return the observations of y times a sign, 1 or -1."""
        return replace(self, y=sign * self.y, bound=(int(sign) * self.bound).astype(np.int8))

    def variances(self, noise: float) -> Array:
        """Variances (n,) of y given a measurement's noise variance, where y itself has a variance near 1."""
        replicates = np.where(self.bound == 0, self.n, 1)
        told = np.maximum(self.sd, _SMALLEST_ERROR) ** 2
        return np.asarray(np.where(np.isnan(self.sd), noise / replicates, told))

    def with_sites(self, rows: NDArray[np.bool_], y: Array, variance: Array) -> "Observations":
        """Return observations in which some rows are measured values with these variances."""
        values, sd, bound = self.y.copy(), self.sd.copy(), self.bound.copy()
        values[rows], sd[rows], bound[rows] = y, np.sqrt(variance), 0
        return replace(self, y=values, sd=sd, bound=bound)


Told = TypeVar("Told", Tensor, Observations)


def known_of(y: "Array | Observations") -> Observations:
    """Return observations as they are, and plain values as measured once."""
    return y if isinstance(y, Observations) else Observations.exact(y)
