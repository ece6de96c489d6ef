"""Results as they come from a form, the clipboard or a file, checked by a worker before they are told."""

import csv
import io
import re
import secrets
import tempfile
from collections import OrderedDict
from pathlib import Path

from wrlso.exceptions import DataError

__all__ = ["Drafts", "filled_form", "rows_of"]

MAX_ROWS = 20_000
_MOST = 20  # drafts that are kept


class Drafts:
    """Tables that were looked at and not told yet: files under names of ours, in a folder of ours."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wrlso-results-")
        self._files: OrderedDict[str, Path] = OrderedDict()

    def put(self, data: bytes) -> str:
        """Keep a table and return its name; raises DataError for one that is empty or too long."""
        if not data.strip():
            raise DataError("there are no results: type a value, paste a table or choose a file")
        if data.count(b"\n") > MAX_ROWS:
            raise DataError(f"the table has more than {MAX_ROWS:,} rows; tell it in parts, or by: wrlso tell")
        name = secrets.token_hex(16)
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
        self._folder.cleanup()


def filled_form(rows: list[tuple[str, list[str]]], columns: list[str]) -> bytes:
    """Return what was typed for points, by id, as a table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *columns])
    filled = [(row, cells) for row, cells in rows if any(cell.strip() for cell in cells)]
    writer.writerows([row, *cells] for row, cells in filled)
    return out.getvalue().encode() if filled else b""


def rows_of(path: Path, notes: list[str]) -> tuple[list[str], list[tuple[int, list[str], str]]]:
    """Return the header of a table, and its rows with their numbers and problems, for a preview."""
    from wrlso.campaign.tables import read_table

    problems = {}
    for note in notes:
        if match := re.match(r"row (\d+): (.*)", note, re.DOTALL):
            problems[int(match[1])] = match[2]
    table = read_table(path)
    return list(table.columns), [
        (row.number, list(row.cells), problems.get(row.number, "")) for row in table.rows
    ]
