"""Predictive mean and standard deviation of measurements, noise included, and their calibration."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ndtri

from wrlso.surrogate.protocol import Array, KnowsNoise, Surrogate

__all__ = ["interval_coverage", "predict_measurements"]


def predict_measurements(surrogate: Surrogate, points: Any) -> tuple[Array, Array]:
    """Return mean and standard deviation (q,) of measurements at points, in the surrogate's units.

    The noise variance is added to that of the objective if the surrogate knows it
    (:class:`wrlso.surrogate.KnowsNoise`), and left out otherwise.

    Parameters
    ----------
    surrogate : Surrogate
    points : Tensor (q, d) float64, or a list of x
        As ``surrogate.space`` asks for.
    """
    with torch.no_grad():
        mean, variance = surrogate.predict(points)
    noise = surrogate.noise_variance() if isinstance(surrogate, KnowsNoise) else 0.0
    return _array(mean), np.sqrt(_array(variance).clip(0.0) + noise)


def interval_coverage(
    predicted: ArrayLike, deviation: ArrayLike, measured: ArrayLike, levels: ArrayLike
) -> Array:
    """Return the shares (k,) of measurements inside the central normal interval of each level in (0, 1).

    Close to ``levels`` (k,) where the predictions, means (n,) with standard deviations (n,), are calibrated.
    """
    half_width = ndtri(0.5 + 0.5 * np.asarray(levels, dtype=np.float64))
    error = np.abs(np.asarray(measured, dtype=np.float64) - np.asarray(predicted, dtype=np.float64))
    inside = error[:, None] <= np.asarray(deviation, dtype=np.float64)[:, None] * half_width
    return np.asarray(inside.mean(axis=0), dtype=np.float64)


def _array(values: torch.Tensor) -> Array:
    return np.asarray(values.detach().to("cpu", torch.float64).numpy())
