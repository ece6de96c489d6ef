"""Transformations of y before a Gaussian process sees it, and of its predictions back to the units of y."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from wrlso.surrogate.checks import check_observations, check_values
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.protocol import Array

__all__ = ["TRANSFORMS", "Standardize", "make_transform"]

_LARGEST = torch.finfo(torch.float64).max
_SMALLEST = 1e-150  # spread of values, so that what is divided by it stays finite
_DEPTH = 2.0  # the floor lies that many times as far below the median as the best lies above it
_FENCE = 1.5  # Tukey's: values lower than this many interquartile ranges under the lower quartile are clipped


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
        return Observations(
            self.forward(known.y),
            known.n,
            known.sd / self.scale,
            np.where(inside, known.bound, 0).astype(np.int8),
            known.squares / self.scale / self.scale,
        )

    def working(self, y: Told) -> Told:
        """Return values or observations (n,), which are checked, on the working scale."""
        if isinstance(y, Observations):
            return self.carry(check_observations(y, len(y)))
        return torch.from_numpy(self.forward(check_values(y, len(y))))

    def log_slope(self, y: Array) -> Array:
        """Return log t'(y) (n,), which turns a density on the working scale into one of y."""
        return np.full(len(y), -np.log(self.scale))

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


TRANSFORMS: dict[str, type[Standardize]] = {
    "standardize": Standardize,
    "winsorize": Winsorize,
    "floor": Floor,
    "robust": Robust,
}


def make_transform(name: str, y: Array) -> Standardize:
    """Fit the transformation of that name to y (n,)."""
    return TRANSFORMS[name].fit(y)
