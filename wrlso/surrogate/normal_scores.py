"""Normal quantiles of the ranks of y, and predictions back to the units of y by quadrature."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor

from wrlso.surrogate.protocol import Array

__all__ = ["NormalScores"]

_LARGEST = torch.finfo(torch.float64).max
_SMALLEST = 1e-150  # slope beyond the ends, so that what is divided by it stays finite
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # Gauss-Hermite rule of the normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


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
