"""Results as they come from a form, the clipboard or a file, checked by a worker before they are told."""

import csv
import io
import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wrlso.campaign.tables import DELIMITERS, format_table, read_table
from wrlso.exceptions import DataError

__all__ = ["Drafts", "Line", "columns_of", "filled_form", "lines_of", "mended", "with_header"]

MAX_ROWS = 20_000
_MOST = 20  # drafts that are kept


class Drafts:
    """Tables that were looked at and not told yet: files under names of ours, in a folder of ours."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # until there is one
        self._files: OrderedDict[str, Path] = OrderedDict()

    def put(self, data: bytes, label: str) -> str:
        """Keep a table, which messages call by its label, and return its name.

        Raises DataError for one that is too long.
        """
        if data.count(b"\n") > MAX_ROWS:
            raise DataError(f"{label} has more than {MAX_ROWS:,} rows; enter it in parts")
        name = secrets.token_hex(16)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="wrlso-results-")
        folder = Path(self._folder.name) / name
        folder.mkdir()
        path = folder / label
        path.write_bytes(data)
        self._files[name] = path
        while len(self._files) > _MOST:
            self.drop(next(iter(self._files)))
        return name

    def path(self, name: str) -> Path:
        """Return the file of a draft; raises DataError where it is gone."""
        if name not in self._files:
            raise DataError("this preview is too old; enter the results again")
        return self._files[name]

    def drop(self, name: str) -> None:
        """Remove a draft."""
        path = self._files.pop(name, None)
        if path is not None:
            path.unlink(missing_ok=True)
            path.parent.rmdir()

    def close(self) -> None:
        """Remove all drafts."""
        if self._folder is not None:
            self._folder.cleanup()


def filled_form(rows: list[tuple[str, list[str]]], columns: list[str]) -> bytes:
    """Return what was typed for points, by id, as a table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *columns])
    writer.writerows([row, *cells] for row, cells in rows)
    return out.getvalue().encode()


@dataclass(frozen=True)
class Line:
    """A row of a table as it is looked at.

    Attributes
    ----------
    number : int
    cells : tuple of str
    problem : str
        What is wrong.
    wrong : tuple of int
        In which columns.
    recorded : dict of int to str
        By column, what is recorded already and contradicts the cell.
    """

    number: int
    cells: tuple[str, ...]
    problem: str
    wrong: tuple[int, ...]
    recorded: dict[int, str]


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns; raises DataError for what is no table."""
    return read_table(path).columns


def lines_of(
    path: Path,
    notes: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    recorded: Mapping[str, Mapping[str, str]],
) -> list[Line]:
    """Return the rows of a table with their problems, which come first."""
    problems = {}
    for note in notes:
        if match := re.match(r"row (\d+): (.*)", note, re.DOTALL):
            problems[int(match[1])] = match[2]
    table = read_table(path)
    lines = []
    for row in table.rows:
        bad, there = cells.get(str(row.number), ()), recorded.get(str(row.number), {})
        wrong = tuple(i for i, name in enumerate(table.columns) if name in bad)
        known = {i: there[name] for i, name in enumerate(table.columns) if name in there}
        lines.append(Line(row.number, row.cells, problems.get(row.number, ""), wrong, known))
    return sorted(lines, key=lambda line: not (line.problem or line.wrong))


def mended(path: Path, form: Mapping[str, Any]) -> bytes:
    """Return a table with what was entered anew; its rows keep their numbers.

    Cells are "c", the number of the row and the column, from 0; "h" and the column is what a column is.
    """
    table = read_table(path)
    cells = {
        row.number: [str(form.get(f"c{row.number}-{i}", cell)) for i, cell in enumerate(row.cells)]
        for row in table.rows
    }
    columns, first = _renamed(table.columns, form), min(cells)
    blank = [""] * len(columns)
    before = [blank] * (first - 2)  # a title that stood above the names of the columns
    rows = [*before, *(cells.get(number, blank) for number in range(first, max(cells) + 1))]
    return format_table(columns, rows, delimiter=table.delimiter).encode("utf-8", "replace")


def _renamed(columns: Sequence[str], form: Mapping[str, Any]) -> list[str]:
    """Return the names of columns as they were chosen; a name that another column takes over is given up."""
    chosen = {i: name for i in range(len(columns)) if (name := str(form.get(f"h{i}", "")))}
    taken = {name.lower() for name in chosen.values()}
    return [
        chosen.get(i) or (f"{column} (former)" if column.lower() in taken else column)
        for i, column in enumerate(columns)
    ]


def with_header(data: bytes) -> bytes:
    """Return a table whose first row holds values already, below names that say nothing."""
    text = data.decode("utf-8-sig", "replace")
    first = text.lstrip("\n").partition("\n")[0]
    delimiter = next((sign for sign in DELIMITERS if sign in first), ",")
    names = [f"column {i + 1}" for i in range(first.count(delimiter) + 1)]
    return f"{delimiter.join(names)}\n{text}".encode()
