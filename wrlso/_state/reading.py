"""Reading user input: one point or many, with numbers, None or NaN as values."""

import math
from collections.abc import Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.protocol import Objects

__all__ = ["read_objects", "read_start", "read_told", "read_value"]


def read_value(y: Any, where: str = "y") -> float | None:
    """Return y as a float, None for None and NaN.

    Raises
    ------
    DataTypeError
        For anything but a real number (strings, booleans, complex numbers, arrays).
    DataError
        For an infinite value.
    """
    if isinstance(y, Tensor | np.ndarray) and y.ndim == 0:
        y = y.item()
    if y is None:
        return None
    if isinstance(y, bool | np.bool_) or not isinstance(y, Real):
        raise DataTypeError(
            f"{where} must be a real number, or None or NaN for a failed experiment, "
            f"got {y!r} of type {type(y).__name__}"
        )
    value = float(y)
    if math.isinf(value):
        raise DataError(f"{where} must be finite, or None or NaN for a failed experiment, got {value}")
    return None if math.isnan(value) else value


def read_told(x: Any, y: Any) -> tuple[Objects, list[float | None]]:
    """Return a batch (X, values) from one point or a batch; y decides which it is."""
    if not _is_sequence(y):
        return [x], [read_value(y)]
    values = [read_value(value, f"y[{i}]") for i, value in enumerate(y)]
    X = read_objects(x, "x")
    if len(X) != len(values):
        raise DataError(f"x and y must have the same length, got {len(X)} x and {len(values)} y")
    return X, values


def read_start(X: Any, y: Any) -> tuple[Objects, list[float | None]]:
    """Return starting data (X, values): None for an x without a value."""
    X = read_objects(X, "X")
    if len(X) == 0:
        raise DataError("X must hold at least one object, got none")
    if y is None:
        return X, [None] * len(X)
    if not _is_sequence(y):
        raise DataTypeError(
            f"y must be a sequence with one value for each x, or None, got {type(y).__name__}"
        )
    if len(y) != len(X):
        raise DataError(f"X and y must have the same length, got {len(X)} X and {len(y)} y")
    return X, [read_value(value, f"y[{i}]") for i, value in enumerate(y)]


def _is_sequence(y: Any) -> bool:
    if isinstance(y, str | bytes | Mapping | Set) or getattr(y, "ndim", 1) == 0:
        return False
    return hasattr(y, "__len__") and hasattr(y, "__iter__")


def read_objects(X: Any, name: str) -> Objects:
    """Return objects as a sequence; raise DataTypeError for anything else."""
    if isinstance(X, str | bytes | dict | set) or not hasattr(X, "__len__"):
        raise DataTypeError(
            f"{name} must be a list, tuple or array of objects, got {type(X).__name__}"
            + (" (a single x takes a single y)" if name == "x" else "")
        )
    if isinstance(X, np.ndarray | list | tuple):
        return X
    return list(X)
