"""Tables of molecules as text: a column ``smiles`` and columns of numbers."""

import csv
import io
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._utils.files import write_whole
from wrlso.exceptions import DataError

__all__ = ["read_molecule_table", "write_molecule_table"]


def read_molecule_table(path: Path) -> dict[str, Any]:
    """Return the columns of a ``.csv`` or ``.csv.xz`` file: ``smiles`` as a list, others as float64 arrays.

    Raises
    ------
    DataError
        When the file cannot be read, has no column ``smiles``, or a row does not fit.
    """
    try:
        data = path.read_bytes()
        text = (lzma.decompress(data) if path.suffix == ".xz" else data).decode("utf-8")
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    rows = list(csv.reader(io.StringIO(text)))
    header = rows[0] if rows else []
    if "smiles" not in header or len(set(header)) != len(header):
        raise DataError(f"{path} must have distinct columns, smiles among them, got {header!r:.200}")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"line {number} of {path} must have {len(header)} columns, got {len(row)}")
    return {name: _column(path, name, [row[i] for row in rows[1:]]) for i, name in enumerate(header)}


def _column(path: Path, name: str, cells: list[str]) -> Any:
    if name == "smiles":
        return cells
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            values[i] = float(cell) if cell else np.nan
        except ValueError as error:
            raise DataError(f"line {i + 2} of {path} must have a number as {name}, got {cell!r}") from error
    return values


def write_molecule_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns, numbers with up to six decimals, NaN as nothing; packed if the name ends in .xz."""
    lines = [",".join(columns)]
    lines += [",".join(map(_cell, row)) for row in zip(*columns.values(), strict=True)]
    data = "".join(f"{line}\n" for line in lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lzma.compress(data, preset=9) if path.suffix == ".xz" else data)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value  # a SMILES holds neither commas nor quotation marks
    number = round(float(value), 6) + 0.0
    if np.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else f"{number:.6f}".rstrip("0")
