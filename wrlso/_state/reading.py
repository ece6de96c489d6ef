"""Reading user input: one point or many, numbers, and what marks a missing value."""

import math
from collections.abc import Mapping, Set
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.protocol import Objects

__all__ = ["read_failed", "read_objects", "read_returned", "read_start", "read_told", "read_value"]


def read_value(y: Any, where: str = "y") -> float | None:
    """Return y as a float, None for what marks a missing value.

    Missing are None, NaN, masked entries, and pandas' NA and NaT. Numbers are all real numbers, Decimal and
    Fraction too, and arrays and tensors of no dimension that hold one.

    Raises
    ------
    DataTypeError
        For anything else (strings, booleans, complex numbers, arrays).
    DataError
        For a value that is infinite, or too large for float64.
    """
    y = _scalar(y)
    if y is None:
        return None
    if isinstance(y, bool | np.bool_) or not isinstance(y, Real | Decimal):
        raise DataTypeError(
            f"{where} must be a real number, or None or NaN for a failed experiment, "
            f"got {_shown(y)} of type {type(y).__name__}"
        )
    try:
        value = float(y)
    except OverflowError:
        value = math.inf
    except ValueError:  # a signalling NaN of decimal
        return None
    if math.isinf(value):
        raise DataError(
            f"{where} must be finite in float64, or None or NaN for a failed experiment, got {_shown(y)}"
        )
    return None if math.isnan(value) else value


def read_returned(y: Any) -> float | None:
    """Return what an objective returned as a float; an array or tensor of size one is a number, too.

    Raises DataTypeError or DataError as :func:`read_value` does.
    """
    if isinstance(y, np.ndarray | Tensor) and y.ndim and len(y.reshape(-1)) == 1:
        y = y.reshape(-1)[0]
    return read_value(y, "the objective's value")


def _shown(y: Any) -> str:
    try:
        return f"{y!r:.80}"
    except Exception:  # the object's own; or Python's, which writes no integer of more than 4,300 digits
        return "what cannot be printed"


def _scalar(y: Any) -> Any:
    """Unpack arrays and tensors of no dimension; None for what marks a missing value."""
    if isinstance(y, np.ndarray | Tensor) and y.ndim == 0:
        if np.ma.is_masked(y):
            return None
        y = y.item()
    kind = type(y)
    is_missing = kind.__name__ in ("NAType", "NaTType") and kind.__module__.startswith("pandas.")
    return None if is_missing else y


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


def read_failed(failed: Any, values: list[float | None]) -> list[bool]:
    """Return for each of n starting points whether the experiment on it failed; None: none did.

    Raises
    ------
    DataTypeError
        For anything but a sequence of booleans.
    DataError
        For another length, and for a failed experiment with a value.
    """
    if failed is None:
        return [False] * len(values)
    if not _is_sequence(failed):
        raise DataTypeError(f"failed must be a sequence of booleans, or None, got {type(failed).__name__}")
    marks = list(failed)
    if len(marks) != len(values):
        raise DataError(
            f"X and failed must have the same length, got {len(values)} X and {len(marks)} failed"
        )
    for i, (mark, value) in enumerate(zip(marks, values, strict=True)):
        if not isinstance(mark, bool | np.bool_):
            raise DataTypeError(f"failed[{i}] must be True or False, got {mark!r:.80}")
        if mark and value is not None:
            raise DataError(f"failed[{i}] must be False where y has a value, got True and {value!r}")
    return [bool(mark) for mark in marks]


def _is_sequence(y: Any) -> bool:
    if isinstance(y, str | bytes | Mapping | Set) or getattr(y, "ndim", 1) == 0:
        return False
    return hasattr(y, "__len__") and hasattr(y, "__iter__")


def read_objects(X: Any, name: str) -> Objects:
    """Return objects as a sequence; raise DataTypeError for anything else, DataError for masked entries."""
    if isinstance(X, str | bytes | dict | set) or not hasattr(X, "__len__"):
        raise DataTypeError(
            f"{name} must be a list, tuple or array of objects, got {type(X).__name__}"
            + (" (a single x takes a single y)" if name == "x" else "")
        )
    if hasattr(X, "columns"):  # a table iterates over the names of its columns
        raise DataTypeError(
            f"{name} must be a list, tuple or array of objects, got a table ({type(X).__name__}): give "
            f"one of its columns, or its rows as {name}.to_numpy()"
        )
    if np.ma.is_masked(X):
        raise DataError(f"{name} must have a value everywhere, got an array with masked entries")
    if isinstance(X, np.ndarray | list | tuple):
        return X
    return list(X)
