"""Predictive mean and standard deviation of measurements, noise included."""

from typing import Any

import numpy as np
import torch

from wrlso.surrogate.protocol import Array, KnowsNoise, PredictsMeasurements, Surrogate

__all__ = ["predict_measurements"]


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
        if isinstance(surrogate, PredictsMeasurements):
            mean, variance = surrogate.predict_measurements(points)
            return _array(mean), np.sqrt(_array(variance))
        mean, variance = surrogate.predict(points)
    noise = surrogate.noise_variance() if isinstance(surrogate, KnowsNoise) else 0.0
    return _array(mean), np.sqrt(_array(variance).clip(0.0) + noise)


def _array(values: torch.Tensor) -> Array:
    return np.asarray(values.detach().to("cpu", torch.float64).numpy())
