"""Transformations of y before a Gaussian process sees it, and of its predictions back to the units of y."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor

__all__ = ["TRANSFORMS", "TargetTransform", "make_transform"]

Array = NDArray[np.float64]
_LARGEST = torch.finfo(torch.float64).max
_SMALLEST = 1e-150  # spread of values, so that what is divided by it stays finite
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # Gauss-Hermite rule of the normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_DEPTH = 2.0  # the floor lies that many times as far below the median as the best lies above it
_FENCE = 1.5  # Tukey's: values lower than this many interquartile ranges under the lower quartile are clipped


class TargetTransform(Protocol):
    """A monotone map from y to the scale on which the Gaussian process works."""

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Learn the map from y (n,)."""

    def forward(self, y: Array) -> Array:
        """Map y (n,) to the working scale."""

    def log_slope(self, y: Array) -> Array:
        """Return log t'(y) (n,), which turns a density on the working scale into one of y."""

    def inverse(self, t: Tensor) -> Tensor:
        """Map working values of any shape back to the units of y, differentiably."""

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of y when the working value is normal with these moments."""


@dataclass(frozen=True)
class Standardize:
    """(max(y, lower) - center) / scale; ``lower`` is -inf unless :class:`Winsorize` sets it."""

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

    def log_slope(self, y: Array) -> Array:
        """Return -log scale."""
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
    """Standardise after raising all that is far worse than most to a floor.

    How bad a point is says little of the best. Where a part of the data is random, its values are many and no
    outliers, and a process that must explain how they differ cannot resolve the best ones.
    """

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Clip below median - 2 (max - median), unless half of the values are the largest."""
        median, largest = float(np.median(y)), float(y.max())
        spread = 0.5 * largest - 0.5 * median
        return cls._from(y, max(median - 2.0 * _DEPTH * spread, -_LARGEST) if spread > 0 else -np.inf)


@dataclass(frozen=True)
class NormalScores:
    """Normal quantiles of the ranks, linear between the values seen and beyond them.

    Equal values share their mean rank. Predictions return to the units of y by Gauss-Hermite quadrature
    through the inverse map, so that they are smooth although the map has kinks.
    """

    values: Array  # (k,) distinct, increasing
    scores: Array  # (k,) increasing
    low_slope: float  # dy / dt beyond the ends
    high_slope: float

    @classmethod
    def fit(cls, y: Array) -> Self:
        """Rank y; the slope beyond an end is the mean slope of that half of the data."""
        score = ndtri((rankdata(y) - 0.5) / len(y))
        values, first = np.unique(y, return_index=True)
        scores = score[first]
        if len(values) == 1:
            return cls(values, np.zeros(1), 1.0, 1.0)
        middle = len(values) // 2
        low, high = max(middle, 1), min(middle, len(values) - 2)
        return cls(
            values,
            scores,
            max(float((values[low] - values[0]) / (scores[low] - scores[0])), _SMALLEST),
            max(float((values[-1] - values[high]) / (scores[-1] - scores[high])), _SMALLEST),
        )

    def forward(self, y: Array) -> Array:
        """Interpolate; extrapolate linearly."""
        inside = np.interp(y, self.values, self.scores)
        below = np.minimum(y - self.values[0], 0.0) / self.low_slope
        above = np.maximum(y - self.values[-1], 0.0) / self.high_slope
        return np.asarray(inside + below + above)

    def log_slope(self, y: Array) -> Array:
        """Log slope of the piece that holds y."""
        pieces = np.concatenate([[self.low_slope], self._slopes(), [self.high_slope]])
        return np.asarray(-np.log(pieces[np.searchsorted(self.values, y)]))

    def _slopes(self) -> Array:
        return np.asarray(np.diff(self.values) / np.diff(self.scores))

    def inverse(self, t: Tensor) -> Tensor:
        """Piecewise linear inverse."""
        scores, values = torch.from_numpy(self.scores), torch.from_numpy(self.values)
        slopes = torch.from_numpy(np.concatenate([[self.low_slope], self._slopes(), [self.high_slope]]))
        piece = torch.searchsorted(scores, t.detach().contiguous())
        anchor = (piece - 1).clamp_min(0)
        return values[anchor] + slopes[piece] * (t - scores[anchor])

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Gauss-Hermite quadrature with 60 nodes."""
        t = mean[:, None] + variance.sqrt()[:, None] * torch.from_numpy(_NODES)
        y = self.inverse(t)
        weights = torch.from_numpy(_WEIGHTS)
        center = y @ weights
        return center, ((y - center[:, None]) ** 2 @ weights).clamp(0.0, _LARGEST)


TRANSFORMS: dict[str, type[TargetTransform]] = {
    "standardize": Standardize,
    "winsorize": Winsorize,
    "floor": Floor,
    "rank": NormalScores,
}


def make_transform(name: str, y: Array) -> TargetTransform:
    """Fit the transformation of that name to y (n,)."""
    return TRANSFORMS[name].fit(y)
