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

from wrlso.campaign.tables import format_table, read_table
from wrlso.exceptions import DataError

__all__ = ["Drafts", "Line", "filled_form", "lines_of", "mended"]

MAX_ROWS = 20_000
_MOST = 20  # drafts that are kept


class Drafts:
    """Tables that were looked at and not told yet: files under names of ours, in a folder of ours."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # until there is one
        self._files: OrderedDict[str, Path] = OrderedDict()

    def put(self, data: bytes) -> str:
        """Keep a table and return its name; raises DataError for one that is empty or too long."""
        if not data.strip():
            raise DataError("there are no results: type a value, paste a table or choose a file")
        if data.count(b"\n") > MAX_ROWS:
            raise DataError(f"the table has more than {MAX_ROWS:,} rows; tell it in parts, or by: wrlso tell")
        name = secrets.token_hex(16)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="wrlso-results-")
        folder = Path(self._folder.name) / name
        folder.mkdir()
        path = folder / "results.csv"
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
    filled = [(row, cells) for row, cells in rows if any(cell.strip() for cell in cells)]
    writer.writerows([row, *cells] for row, cells in filled)
    return out.getvalue().encode() if filled else b""


@dataclass(frozen=True)
class Line:
    """A row of a table as it is looked at: its number, its cells, what is wrong, and in which columns."""

    number: int
    cells: tuple[str, ...]
    problem: str
    wrong: tuple[int, ...]


def lines_of(
    path: Path, notes: Sequence[str], cells: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], list[Line]]:
    """Return the header of a table, and its rows with their problems, which come first."""
    problems = {}
    for note in notes:
        if match := re.match(r"row (\d+): (.*)", note, re.DOTALL):
            problems[int(match[1])] = match[2]
    table = read_table(path)
    lines = []
    for row in table.rows:
        bad = cells.get(str(row.number), ())
        wrong = tuple(i for i, name in enumerate(table.columns) if name in bad)
        lines.append(Line(row.number, row.cells, problems.get(row.number, ""), wrong))
    return table.columns, sorted(lines, key=lambda line: not (line.problem or line.wrong))


def mended(path: Path, form: Mapping[str, Any]) -> bytes:
    """Return a table with the cells that were entered anew: "c", its row and its column, from 0."""
    table = read_table(path)
    rows = [
        [str(form.get(f"c{row.number}-{i}", cell)) for i, cell in enumerate(row.cells)] for row in table.rows
    ]
    return format_table(table.columns, rows, delimiter=table.delimiter).encode("utf-8", "replace")
