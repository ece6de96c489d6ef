"""Checks of what a Gaussian process is given."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.protocol import Array

__all__ = ["check_int", "check_observations", "check_points", "check_values"]

_LARGEST_COORDINATE = 1e100  # squares of larger ones would overflow
_LARGEST_VALUE = 1e150  # of |y|: the square of a larger one would overflow


def check_int(name: str, value: Any, least: int) -> None:
    """Raise ParameterTypeError or ParameterError unless value is an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ParameterTypeError(f"{name}: expected an int, got {value!r}")
    if value < least:
        raise ParameterError(f"{name}: expected at least {least}, got {value}")


def check_points(Z: Any) -> Array:
    """Return Z as a finite float64 array (n, d)."""
    if not isinstance(Z, Tensor):
        raise DataTypeError(f"Z: expected a tensor (n, d), got {type(Z).__name__}")
    if Z.ndim != 2 or Z.shape[1] < 1:
        raise DataError(f"Z: expected shape (n, d) with d ≥ 1, got {tuple(Z.shape)}")
    points = Z.detach().to(device="cpu", dtype=torch.float64)
    if not bool((points.abs() <= _LARGEST_COORDINATE).all()):
        raise DataError(
            f"Z: expected finite values of at most {_LARGEST_COORDINATE:g}, got {_extreme(points)}"
        )
    return np.asarray(points.numpy())


def _extreme(points: Tensor) -> float:
    """The value that is furthest from being usable: NaN, infinite or largest."""
    return float(points.abs().max())


def check_values(y: Any, n: int) -> Array:
    """Return y as a finite float64 array (n,), clipped to where variances can be represented."""
    if not isinstance(y, Tensor):
        raise DataTypeError(f"y: expected a tensor (n,), got {type(y).__name__}")
    if tuple(y.shape) != (n,):
        raise DataError(f"y: expected shape ({n},) to match Z, got {tuple(y.shape)}")
    values = y.detach().to(device="cpu", dtype=torch.float64)
    if not bool(torch.isfinite(values).all()):
        raise DataError("y: expected finite values, got NaN or infinity")
    return np.asarray(values.clamp(-_LARGEST_VALUE, _LARGEST_VALUE).numpy())


def check_observations(y: Any, n: int) -> Observations:
    """Return observations of n points, made of a tensor y (n,) where the noise of each is to be learned.

    Raises DataError or DataTypeError unless each y is finite, each number of replicates ≥ 1, each standard
    error > 0 and each sum of squares ≥ 0, both finite or NaN, and each bound -1, 0 or 1.
    """
    if not isinstance(y, Observations):
        return Observations.exact(check_values(y, n))
    arrays = [np.asarray(getattr(y, name)) for name in ("y", "n", "sd", "bound", "squares")]
    for name, array in zip(("y", "n", "sd", "bound", "squares"), arrays, strict=True):
        if array.shape != (n,):
            raise DataError(f"{name} of the observations: expected shape ({n},), got {array.shape}")
    values, replicates, sd, bound, squares = arrays
    told = sd[~np.isnan(sd)]
    for name, array, wrong in (
        ("n", replicates, replicates < 1),
        ("sd", told, ~((told > 0) & np.isfinite(told))),
        ("bound", bound, ~np.isin(bound, (-1, 0, 1))),
        ("squares", squares, (squares < 0) | np.isinf(squares)),
    ):
        if wrong.any():
            raise DataError(f"{name} of the observations: got the impossible {array[wrong][0]}")
    return replace(y, y=check_values(torch.from_numpy(values.astype(np.float64)), n))
