"""Benchmark records: one JSON file per run, the source of all tables and plots."""

import hashlib
import json
import math
import os
import platform
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso._utils.files import write_whole
from wrlso._version import __version__
from wrlso.exceptions import DataError, ParameterError, WrlsoWarning

__all__ = [
    "REACHED",
    "check_same_options",
    "data_hash",
    "is_recorded",
    "machine",
    "mean_and_error",
    "read_record",
    "read_records",
    "topk_curve",
    "versions",
    "write_record",
]

Record = dict[str, Any]

REACHED = {"expressions": -1e-9}  # tolerance for optimal expressions, whose score has rounding errors

_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def topk_curve(y: Sequence[float | None], K: int) -> NDArray[np.float64]:
    """Return the TopK score after each query: the K-th best value so far.

    Parameters
    ----------
    y : sequence of float or None, length n
        Values in the order of the queries; None for a failed experiment. The optimizer never proposes a point
        twice, nor a starting point, so all of them are new.
    K : int
        1 for the best value.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN before the K-th value.
    """
    best: list[float] = []
    curve = np.full(len(y), np.nan)
    for i, value in enumerate(y):
        if value is not None and not math.isnan(value):
            best = sorted([*best, value], reverse=True)[:K]
        if len(best) == K:
            curve[i] = best[-1]
    return curve


def mean_and_error(
    curves: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean over seeds and its standard error, query by query.

    A curve that ended early (no new point was left) keeps its last value. The error is NaN with fewer than
    two seeds; the mean is NaN until every seed has a value.
    """
    length = max(len(curve) for curve in curves)
    table = np.stack([np.pad(curve, (0, length - len(curve)), mode="edge") for curve in curves])
    mean = table.mean(axis=0)
    if len(curves) < 2:
        return mean, np.full(length, np.nan)
    return mean, table.std(axis=0, ddof=1) / math.sqrt(len(curves))


def data_hash(X: Any, y: Any) -> str:
    """Return the sha256 (hexadecimal) of the starting data: X as given, then y as float64."""
    digest = hashlib.sha256(np.ascontiguousarray(X).data)
    digest.update(np.ascontiguousarray(y, dtype=np.float64).data)
    return digest.hexdigest()


def file_name(path: str | Path) -> str:
    """Return a file's name without folders, with a hash of its content: name-1a2b3c4d."""
    path = Path(path)
    return f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version(), "wrlso": __version__}
    return found | {package: version(package) for package in _PACKAGES}


def machine() -> dict[str, Any]:
    """Return the processor's model and number of cores; these do not identify the machine."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {"cpu": model, "cores": os.cpu_count()}


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, one key or array a line, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f"{_dump(jsonable(record))}\n".encode())


def read_record(path: Path) -> Record:
    """Return one record; raise DataError when the file holds no record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not a benchmark record: {error}") from error
    if not isinstance(record, dict) or "kind" not in record:
        raise DataError(f"{path} is not a benchmark record: it has no 'kind'")
    return record


def read_records(folder: Path) -> list[Record]:
    """Return all records in a folder, in the order of their file names.

    Their ``"kind"`` is "run" (of an optimizer), "scores" (of samples of a model trained with some k) or
    "panel".

    Raises
    ------
    DataError
        If the folder does not exist, or holds no record. A file that is no record is left out with a
        warning.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_record(path))
        except DataError as error:
            warnings.warn(f"{error}; it is left out", WrlsoWarning, stacklevel=2)
    if not records:
        raise DataError(f"{folder} holds no benchmark records")
    return records


def check_same_options(path: Path, record: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise ParameterError when the run recorded at ``path`` has other options than these."""
    wanted = jsonable(options)
    found = record.get("options", {})
    differing = [
        f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} here"
        for name in sorted({*wanted, *found})
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise ParameterError(
            f"{path} holds a run with other options ({'; '.join(differing)}): use another folder"
        )


def is_recorded(path: Path, options: Mapping[str, Any] | None = None) -> bool:
    """Return whether a run, with these options where they are given, has its record.

    A file that is no record, such as one that was cut off, is moved aside with a warning, so that the run is
    done again. Raises ParameterError where the record has other options.
    """
    if not path.exists():
        return False
    try:
        record = read_record(path)
    except DataError as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        warnings.warn(
            f"{error}; it is now {aside.name}, and the run is done again", WrlsoWarning, stacklevel=2
        )
        return False
    if options is not None:
        check_same_options(path, record, options)
    return True


def jsonable(value: Any) -> Any:
    """Turn a value into JSON types: arrays into lists, NaN into null, infinity into "inf"."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value


def _dump(value: Any, indent: str = "") -> str:
    """Format mappings over several lines and all other values, also arrays, on one line."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {_dump(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
