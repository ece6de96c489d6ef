"""Checks of one-dimensional arrays of values and of weights: one sentence for every error."""

import numpy as np
import numpy.typing as npt

from wrlso.exceptions import DataError, DataTypeError

__all__ = ["FloatArray", "check_vector", "check_weights"]

FloatArray = npt.NDArray[np.float64]


def check_vector(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return values as a finite, contiguous float64 array (n,), n ≥ 1: the caller's own where that is one."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataTypeError(
            f"{name} must be a one-dimensional array of real numbers, got {type(values).__name__} that numpy "
            f"cannot convert: {error}"
        ) from error
    if array.dtype.kind not in "iuf":
        raise DataTypeError(f"{name} must hold real numbers (integer or float), got dtype {array.dtype}")
    if array.ndim != 1:
        raise DataError(f"{name} must have shape (n,), got shape {array.shape}")
    if array.size == 0:
        raise DataError(f"{name} must have at least one entry, got none")
    if np.ma.is_masked(values):
        raise DataError(f"{name} must not have masked entries; leave those points out")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        position = int(np.argmin(finite))
        raise DataError(f"{name} must be finite, got {name}[{position}] = {array[position]}")
    return array


def check_weights(weights: npt.ArrayLike) -> FloatArray:
    """Return weights as float64 (n,), finite, not negative and not all zero."""
    w = check_vector("weights", weights)
    if w.min() < 0:
        position = int(np.argmin(w))
        raise DataError(f"weights must not be negative, got weights[{position}] = {w[position]}")
    if w.max() == 0:
        raise DataError("weights must not all be zero")
    return w
