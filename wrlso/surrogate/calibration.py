"""How often measurements lie in predicted intervals; needs no torch, so that pages can tell without it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

__all__ = ["interval_coverage"]


def interval_coverage(
    predicted: ArrayLike, deviation: ArrayLike, measured: ArrayLike, levels: ArrayLike
) -> NDArray[np.float64]:
    """Return the shares (k,) of measurements inside the central normal interval of each level in (0, 1).

    Close to ``levels`` (k,) where the predictions, means (n,) with standard deviations (n,), are calibrated.
    """
    half_width = ndtri(0.5 + 0.5 * np.asarray(levels, dtype=np.float64))
    error = np.abs(np.asarray(measured, dtype=np.float64) - np.asarray(predicted, dtype=np.float64))
    inside = error[:, None] <= np.asarray(deviation, dtype=np.float64)[:, None] * half_width
    return np.asarray(inside.mean(axis=0), dtype=np.float64)
