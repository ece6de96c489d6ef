"""Reading user input: one point or many, numbers or mappings of outcomes, and what marks a missing value.

What is told of one experiment is, for one number without a name, a float; with names, bounds, standard errors
or numbers of replicates a dict of outcome to :class:`wrlso.outcomes.Reading`, or to None where it was not
measured; and None where the experiment failed. Nothing is said of outcomes that are not in the dict. All
readings are kept. :func:`wrlso.outcomes.combined` says what those of one point are together: the mean of the
exact ones or, where there are none, the tightest bound.
"""

import math
from collections.abc import Iterator, Mapping, Set
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.protocol import Objects
from wrlso.outcomes import Aims, Reading, check_error, mean_of_replicates

__all__ = [
    "Told", "read_cells", "read_correction", "read_failed", "read_objects", "read_returned", "read_start",
    "read_told", "read_value",
]  # fmt: skip

Told = float | dict[str, Reading | None] | None  # of one experiment
FAILED = "a failed experiment"
_NOT_MEASURED = "an x that was not measured"  # in starting data


def read_value(y: Any, where: str = "y", missing: str = FAILED) -> float | None:
    """Return y as a float, None for what marks a missing value; ``missing`` says what that means.

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
            f"{where} must be a real number, or None or NaN for {missing}, got {_shown(y)} of type "
            f"{type(y).__name__}"
        )
    try:
        value = float(y)
    except OverflowError:
        value = math.inf
    except ValueError:  # a signalling NaN of decimal
        return None
    if math.isinf(value):
        raise DataError(f"{where} must be finite in float64, or None or NaN for {missing}, got {_shown(y)}")
    return None if math.isnan(value) else value


def read_returned(y: Any, aims: Aims) -> float | Reading | dict[str, Reading | None] | None:
    """Return what an objective returned, for ``tell``; an array or tensor of size one is a number, too.

    An experiment that was made and of which nothing was measured has failed. Raises DataTypeError or
    DataError as :func:`read_told` does.
    """
    if aims.are_named or isinstance(y, Reading):
        told = _one(y, {}, aims, "the objective's value")
        if isinstance(told, dict) and not any(told.values()):
            return None
        return told[""] if isinstance(told, dict) and not aims.are_named else told
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


def _is_nan(y: Any) -> bool:
    return y.is_nan() if isinstance(y, Decimal) else isinstance(y, Real) and y != y


def read_told(x: Any, y: Any, aims: Aims, sd: Any = None) -> tuple[Objects, list[Told]]:
    """Return a batch (X, told) from one point or a batch; y decides which it is.

    Parameters
    ----------
    x, y, sd
        As of :meth:`wrlso.WeightedRetrainingOptimizer.tell`.
    aims : Aims
        What the outcomes are.
    """
    if not _is_sequence(y):
        return [x], [_one(y, _errors_of_one(sd, aims), aims, "y")]
    told = _batch(y, sd, aims)
    X = read_objects(x, "x")
    if len(X) != len(told):
        raise DataError(f"x and y must have the same length, got {len(X)} x and {len(told)} y")
    return X, told


def read_correction(x: Any, y: Any, aims: Aims, sd: Any = None) -> Told:
    """Return what replaces the values of one point: None where the experiment failed.

    NaN, and what else marks a missing value, says that the one number was not measured.
    """
    if y is not None and (_scalar(y) is None or _is_nan(_scalar(y))):
        if len(aims.names) > 1:
            raise DataError(
                f"y must name what was not measured, as {{{aims.names[0]!r}: None}}, or be None where the "
                f"experiment failed, because there are several outcomes ({_listed(aims.names)}), got "
                f"{_shown(y)}"
            )
        return {aims.names[0]: None}
    _, told = read_told(x, y, aims, sd)
    if len(told) != 1:
        raise DataError(f"update corrects one point, got {len(told)} values")
    return told[0]


def read_start(X: Any, y: Any, aims: Aims, sd: Any = None) -> tuple[Objects, list[Told]]:
    """Return starting data (X, told): None for an x without a value."""
    X = read_objects(X, "X")
    if len(X) == 0:
        raise DataError("X must hold at least one object, got none")
    if y is None:
        if sd is not None:
            raise DataError(f"sd must be None without y, got {_shown(sd)}")
        return X, [None] * len(X)
    if not _is_sequence(y):
        raise DataTypeError(
            f"y must be a sequence with one value for each x, or None, got {type(y).__name__}"
        )
    if len(y) != len(X):
        raise DataError(f"X and y must have the same length, got {len(X)} X and {len(y)} y")
    values = _batch(y, sd, aims, _NOT_MEASURED)
    return X, [None if isinstance(told, dict) and not any(told.values()) else told for told in values]


def _batch(y: Any, sd: Any, aims: Aims, missing: str = FAILED) -> list[Told]:
    """Read a sequence of results, one for each point."""
    if aims.are_named and hasattr(y, "columns"):
        rows, own_errors = _table_rows(y, aims)
        if own_errors and sd is not None:
            raise DataError("give standard errors as sd or in columns of the table, not both")
        errors = _errors_of_batch(sd, len(rows), aims)
        read = [_one(row, next(errors), aims, f"row {i} of y", missing) for i, row in enumerate(rows)]
        # a cell without a value is blank: it says nothing
        return [_without_blanks(row) for row in read]
    if aims.are_named and getattr(y, "ndim", 1) == 2 and y.shape[1] != len(aims.names):
        raise DataError(
            f"y must have one column for each of the {len(aims.names)} outcomes ({_listed(aims.names)}), got "
            f"an array of shape {tuple(y.shape)}"
        )
    errors = _errors_of_batch(sd, len(y), aims)
    return [_one(value, next(errors), aims, f"y[{i}]", missing) for i, value in enumerate(y)]


def _without_blanks(told: Told) -> Told:
    if not isinstance(told, dict):
        return told
    return {name: reading for name, reading in told.items() if reading is not None}


def _one(y: Any, errors: Mapping[str, Any], aims: Aims, where: str, missing: str = FAILED) -> Told:
    """Read the result of one experiment."""
    if not aims.are_named:
        reading = _read_reading(y, errors.get(""), where, missing)
        return reading if reading is None or isinstance(reading, float) else {"": reading}
    values = _by_name(y, aims, where, missing)
    if values is None:
        return None
    told: dict[str, Reading | None] = {}
    for name, value in values.items():
        found = _read_reading(
            value, errors.get(name), f"{where}[{name!r}]", "an outcome that was not measured"
        )
        told[name] = Reading(found) if isinstance(found, float) else found
    if isinstance(y, Mapping):
        return told
    return _without_blanks(told) or None


def _by_name(y: Any, aims: Aims, where: str, missing: str) -> Mapping[str, Any] | None:
    """Return the values of named outcomes by name; None where there is none."""
    y = _scalar(y)
    if isinstance(y, Mapping):
        _check_names(y, aims, where)
        if not y:
            raise DataError(f"{where} must name at least one outcome, or be None for {missing}")
        return y
    if y is None or _is_nan(y):
        return None
    names = aims.names
    if len(names) == 1 and not _is_sequence(y):
        return {names[0]: y}
    if _is_sequence(y) and not hasattr(y, "columns"):
        if len(y) != len(names):
            raise DataError(
                f"{where} must have a value for each of the {len(names)} outcomes ({_listed(names)}), or be "
                f"a mapping of names to values, got {len(y)} values"
            )
        return dict(zip(names, y, strict=True))
    raise DataTypeError(
        f"{where} must be a mapping such as {{{names[0]!r}: 1.5}}, because values have names here "
        f"({_listed(names)}), or None for {missing}, got {_shown(y)} of type {type(y).__name__}"
    )


def _check_names(given: Any, aims: Aims, where: str) -> None:
    unknown = [name for name in given if name not in aims.names]
    if unknown:
        expected = _listed(aims.names) if aims.are_named else "outcomes without names"
        raise DataError(f"{where} must name outcomes of this optimizer ({expected}), got {_listed(unknown)}")


def _read_reading(y: Any, sd: Any, where: str, missing: str = FAILED) -> float | Reading | None:
    """Return a number as a float; with more than the number as a Reading; None for a missing value."""
    if isinstance(y, Reading):
        if sd is not None and not isinstance(sd, _ForAll):
            raise DataError(f"{where} must be a number where sd is given, got {y}")
        own = None if y.sd is None else float(y.sd)
        reading = Reading(float(y.value), own, y.bound, int(y.n))
        return reading.value if reading.is_plain else reading
    value = read_value(y, where, missing)
    error: float | None = sd.value if isinstance(sd, _ForAll) else sd
    if value is None or error is None:
        return value
    return Reading(value, error)


class _ForAll:
    """A standard error that is said of all values at once: it leaves out those that have none."""

    def __init__(self, value: float) -> None:
        self.value = value


def _errors_of_one(sd: Any, aims: Aims) -> dict[str, Any]:
    """Return the standard errors of one experiment by outcome."""
    if _is_sequence(sd):
        raise DataTypeError(f"sd must be a number for one x, or a mapping, got {_shown(sd)}")
    return _read_errors(sd, aims, "sd")


def _errors_of_batch(sd: Any, n: int, aims: Aims) -> Iterator[dict[str, Any]]:
    """Yield the standard errors of n experiments by outcome."""
    if not _is_sequence(sd):
        errors = {name: _ForAll(value) for name, value in _read_errors(sd, aims, "sd").items()}
        yield from (errors for _ in range(n))
        return
    rows = _plain_rows(sd) if hasattr(sd, "columns") else sd
    if len(rows) != n:
        raise DataError(f"sd and y must have the same length, got {len(rows)} sd and {n} y")
    yield from (_read_errors(row, aims, f"sd[{i}]") for i, row in enumerate(rows))


def _read_errors(sd: Any, aims: Aims, where: str) -> dict[str, float]:
    """Return standard errors by outcome: of a number, a mapping, or a row with one for each outcome."""
    sd = _scalar(sd)
    if isinstance(sd, Mapping):
        _check_names(sd, aims, where)
    elif _is_sequence(sd) and aims.are_named:
        if len(sd) != len(aims.names):
            raise DataError(f"{where} must have {len(aims.names)} values, got {len(sd)}")
        sd = dict(zip(aims.names, sd, strict=True))
    elif sd is None or _is_nan(sd):
        return {}
    elif len(aims.names) > 1:
        raise DataTypeError(
            f"{where} must be a mapping of outcome to standard error, because there are several outcomes "
            f"({_listed(aims.names)}), got {_shown(sd)}"
        )
    else:
        sd = {aims.names[0]: sd}
    errors: dict[str, float] = {}
    for name, error in sd.items():
        label = f"{where}[{name!r}]" if aims.are_named else where
        error = _scalar(error)
        if error is None or _is_nan(error):
            continue
        check_error(label, error)
        errors[name] = float(error)
    return errors


def _table_rows(table: Any, aims: Aims) -> tuple[list[dict[str, Any]], bool]:
    """Return the rows of a table with a column for each outcome, and whether it has standard errors.

    The columns "name sd" and "name n" hold the standard deviation of n replicates and n: the standard error
    of their mean is sd / √n.
    """
    columns = list(table.columns)
    sides = {f"{name} {kind}": (name, kind) for name in aims.names for kind in ("sd", "n")}
    missing = [name for name, _ in aims.goals if name not in columns]
    if missing:
        raise DataError(f"y must have a column for each goal, but {_listed(missing)} is not among "
                        f"{_listed(columns)}")  # fmt: skip
    strange = [column for column in columns if column not in aims.names and column not in sides]
    if strange or len(set(columns)) < len(columns):
        wrong = strange or [column for column in columns if columns.count(column) > 1]
        raise DataError(
            f"the columns of y must be outcomes ({_listed(aims.names)}), each once, or these with ' sd' or "
            f"' n' behind, got {_listed(wrong)}: give the columns that are meant, as table[[...]]"
        )
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name in (column for column in columns if column in aims.names):
        values, errors, numbers = (
            list(table[column]) if column in columns else [None] * len(rows)
            for column in (name, f"{name} sd", f"{name} n")
        )
        for i, (row, value, sd, n) in enumerate(zip(rows, values, errors, numbers, strict=True)):
            row[name] = read_cells(value, sd, n, f"row {i} of y, {name!r}")
    return rows, any(column.endswith(" sd") and column in sides for column in columns)


def read_cells(value: Any, sd: Any, n: Any, where: str) -> Any:
    """Return one reading of a table from a value, the standard deviation of its replicates, and their number.

    Raises DataError for an sd that is not > 0, or an n that is no whole number from 1 on.
    """
    deviation, number = read_value(sd, f"{where}: sd"), read_value(n, f"{where}: n")
    if deviation is None and number is None:
        return value
    exact = value if isinstance(value, Reading) else read_value(value, where)
    return None if exact is None else mean_of_replicates(exact, deviation, number, where)


def _plain_rows(table: Any) -> list[dict[str, Any]]:
    columns = {str(name): list(table[name]) for name in table.columns}
    return [{name: values[i] for name, values in columns.items()} for i in range(len(table))]


def _listed(names: Any) -> str:
    return ", ".join(_shown(name) for name in names)


def read_failed(failed: Any, values: list[Told]) -> list[bool]:
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
