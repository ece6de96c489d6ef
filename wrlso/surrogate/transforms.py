"""Transformations of y before a Gaussian process sees it, and of its predictions back to the units of y."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.surrogate.checks import check_observations, check_values
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.protocol import Array

__all__ = ["TRANSFORMS", "Logarithm", "Standardize", "likeliest_transform", "make_transform"]

_LARGEST = torch.finfo(torch.float64).max
_SMALLEST = 1e-150  # spread of values, so that what is divided by it stays finite
_DEPTH = 2.0  # the floor lies that many times as far below the median as the best lies above it
_FENCE = 1.5  # Tukey's: values lower than this many interquartile ranges under the lower quartile are clipped

_OFFSETS = (1.0, 0.1, 0.01)  # of logarithms, in units of the range of the values
_GAIN = 10.0  # nats that a logarithm must gain: fewer say little of the values that come next
_MOST_DEVIATIONS = 30.0  # beyond which a logarithm's prediction is taken back
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


@dataclass(frozen=True)
class Standardize:
    """(max(y, lower) - center) / scale; ``lower`` is -inf unless a subclass sets it."""

    center: float
    scale: float
    lower: float = -np.inf

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Take mean and standard deviation, in a way that cannot overflow; scale 1 for constant y."""
        return cls._from(y, -np.inf)

    @classmethod
    def _from(cls, y: Array, lower: float) -> Self:
        clipped = np.maximum(y, lower)
        size = float(np.abs(clipped).max()) or 1.0
        unit = clipped / size
        center, scale = float(unit.mean()), float(unit.std())
        if scale <= 1e-14 or scale * size < _SMALLEST:  # constant up to rounding
            return cls(float(clipped[0]), 1.0, lower)
        return cls(center * size, scale * size, lower)

    def forward(self, y: Array) -> Array:
        """Clip and standardise."""
        # Halves first: the difference of two large values of opposite sign may not be representable.
        return 2.0 * ((0.5 * np.maximum(y, self.lower) - 0.5 * self.center) / self.scale)

    def carry(self, known: Observations) -> Observations:
        """Return observations on the working scale.

        Standard errors follow the slope above the fence also for what lies below it: raising a value to the
        fence makes it no more certain. A limit below the fence says that the value is on it.
        """
        inside = (known.bound != -1) | (known.y > self.lower)
        slope = self._slope(known.y)
        return Observations(
            self.forward(known.y),
            known.n,
            known.sd * slope,
            np.where(inside, known.bound, 0).astype(np.int8),
            known.squares * slope * slope,
        )

    def working(self, y: Told) -> Told:
        """Return values or observations (n,), which are checked, on the working scale."""
        if isinstance(y, Observations):
            return self.carry(check_observations(y, len(y)))
        return torch.from_numpy(self.forward(check_values(y, len(y))))

    def log_slope(self, y: Array) -> Array:
        """Return log t'(y) (n,), which turns a density on the working scale into one of y."""
        return np.full(len(y), -np.log(self.scale))

    def _slope(self, y: Array) -> Array:
        return np.full(len(y), 1.0 / self.scale)

    def inverse(self, t: Tensor) -> Tensor:
        """Undo the standardisation (clipping cannot be undone)."""
        return (self.center + self.scale * t).clamp(-_LARGEST, _LARGEST)

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Scale mean and variance."""
        return self.inverse(mean), (variance * self.scale * self.scale).clamp(0.0, _LARGEST)


@dataclass(frozen=True)
class Winsorize(Standardize):
    """Standardise after raising the lowest outliers to Tukey's lower fence."""

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Clip below q25 - 1.5 (q75 - q25), unless that would make most values equal."""
        q25, q75 = np.quantile(y, [0.25, 0.75])
        spread = 0.5 * q75 - 0.5 * q25
        return cls._from(y, float(q25 - 2.0 * _FENCE * spread) if spread > 0 else -np.inf)


@dataclass(frozen=True)
class Floor(Standardize):
    """Standardise after raising values that are far worse than most to a floor.

    How bad a bad point is says little about the best ones. Where much of the data is random, low values are
    too many to be outliers, and a process that must explain their differences cannot resolve the best ones.
    """

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Clip below median - 2 (max - median), unless half of the values are the largest."""
        median, largest = float(np.median(y)), float(y.max())
        spread = 0.5 * largest - 0.5 * median
        return cls._from(y, max(median - 2.0 * _DEPTH * spread, -_LARGEST) if spread > 0 else -np.inf)


@dataclass(frozen=True)
class Robust(Standardize):
    """Standardise after raising the few values that are far below all others to a fence.

    At most a tenth is raised, so that differences between the others remain.
    """

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Clip below q10 - ½ (q90 - q10), unless most values are equal."""
        q10, q90 = np.quantile(y, [0.1, 0.9])
        spread = 0.5 * q90 - 0.5 * q10
        return cls._from(y, float(q10 - spread) if spread > 0 else -np.inf)


@dataclass(frozen=True)
class Logarithm(Standardize):
    """Standardise the logarithm of how far values lie above the least, plus an offset.

    With u = (max(y, lower) - least) / width, t(y) = (log(u + offset) - center) / scale for u ≥ 0; below, the
    tangent at u = 0 goes on. Box and Cox, Journal of the Royal Statistical Society B 26, 1964, choose such an
    offset by the likelihood, too.

    Attributes
    ----------
    least, width : float
        The smallest value, after what ``lower`` does, and how far the largest lies above it.
    offset : float
        How far above the least value differences count more than ratios, in units of the width.
    """

    least: float = 0.0
    width: float = 1.0
    offset: float = 1.0

    @classmethod
    def above(cls, y: Array, lower: float, least: float, width: float, offset: float) -> "Logarithm":
        """Standardise for y (n,), whose values are not all equal."""
        raw = cls(0.0, 1.0, lower, least, width, offset)
        logs = raw.forward(y)
        return replace(raw, center=float(logs.mean()), scale=float(logs.std()))

    def _above(self, y: Array) -> Array:
        return 2.0 * ((0.5 * np.maximum(y, self.lower) - 0.5 * self.least) / self.width)

    def forward(self, y: Array) -> Array:
        """Take the logarithm and standardise."""
        u = self._above(y)
        logs = np.log(u.clip(0.0) + self.offset) + u.clip(max=0.0) / self.offset
        return np.asarray((logs - self.center) / self.scale)

    def log_slope(self, y: Array) -> Array:
        """See :class:`Standardize`."""
        u = self._above(y)
        return np.asarray(-np.log(u.clip(0.0) + self.offset) - np.log(self.width) - np.log(self.scale))

    def _slope(self, y: Array) -> Array:
        return np.exp(self.log_slope(y))

    def inverse(self, t: Tensor) -> Tensor:
        """Undo it."""
        logs = self.center + self.scale * t.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        edge = float(np.log(self.offset))
        u = logs.clamp_min(edge).exp() - self.offset + self.offset * (logs - edge).clamp_max(0.0)
        return (self.least + self.width * u).clamp(-_LARGEST, _LARGEST)

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of y where t is normal, by Gauss-Hermite quadrature."""
        nodes = torch.from_numpy(_NODES)
        weights = torch.from_numpy(_NODE_WEIGHTS / _NODE_WEIGHTS.sum())
        y = self.inverse(mean[..., None] + variance.clamp_min(0.0).sqrt()[..., None] * nodes)
        found = y @ weights
        return found, ((y - found[..., None]).square() @ weights).clamp(0.0, _LARGEST)


TRANSFORMS: dict[str, type[Standardize]] = {
    "standardize": Standardize,
    "winsorize": Winsorize,
    "floor": Floor,
    "robust": Robust,
}


def make_transform(name: str, y: Array) -> Standardize:
    """Fit the transformation of that name to y (n,)."""
    return TRANSFORMS[name].fit(y)


def likeliest_transform(
    plain: Standardize,
    known: Observations,
    rows: NDArray[np.int64],
    evidence: Callable[[Observations], float],
) -> Standardize:
    """Return a transformation of y (n,), or a logarithm where that makes good observations much likelier.

    A process with one variance of the signal and one of the noise cannot fit values that differ by factors:
    yields, concentrations, products of scores. Densities are those of the measurements, in the units of y.

    Parameters
    ----------
    plain : Standardize
        What was made for ``known``. A logarithm takes its place only where it gains 10 nats.
    known : Observations
    rows : ndarray of int (m,)
        The good ones, which densities are computed of; no limits. How well the differences of bad values are
        explained does not matter to a search.
    evidence : callable
        The observations of ``rows`` on a working scale → their log density.
    """
    least, largest = (float(np.maximum(f(known.y), plain.lower)) for f in (np.min, np.max))
    width = 2.0 * (0.5 * largest - 0.5 * least)
    if len(rows) == 0 or not _SMALLEST < width < _LARGEST:
        return plain
    used = known[rows]

    def density(transform: Standardize) -> float:
        return evidence(transform.carry(used)) + float((transform.log_slope(used.y) * used.n).sum())

    logarithms = [Logarithm.above(known.y, plain.lower, least, width, offset) for offset in _OFFSETS]
    densities = [density(each) for each in logarithms]
    likeliest = int(np.argmax(densities))
    return logarithms[likeliest] if densities[likeliest] > density(plain) + _GAIN else plain
