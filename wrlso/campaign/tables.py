"""Tables that people edit: CSV as spreadsheets write it, and lists of SMILES.

Reading is forgiving about form (encoding, delimiter, blank lines, blanks around cells, columns in any
order) and strict about content: a cell that is not plainly what it should be is refused, never guessed at.
Row numbers are those that a spreadsheet shows.

Text cells that a spreadsheet would run as a formula are written with an apostrophe before them, and
:func:`unprotect` takes it off again: any text survives the round trip as it was.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from wrlso._sequences.fasta import FASTA_ENDINGS, parse_fasta
from wrlso._utils.files import write_whole
from wrlso.campaign.cells import Cell, format_value
from wrlso.exceptions import DataError, ParameterError
from wrlso.outcomes import Bound

__all__ = [
    "DELIMITERS",
    "X_NAMES",
    "Row",
    "Table",
    "check_free",
    "check_place",
    "explain",
    "format_table",
    "is_x_name",
    "plural",
    "protect",
    "read_table",
    "reserve",
    "unprotect",
    "unreadable",
]

DELIMITERS = {"\t": "tab", ";": "semicolon", ",": "comma"}  # those that text holds most rarely first
X_NAMES = (
    "x", "smiles", "canonical_smiles", "canonicalsmiles", "smi", "selfies", "expression", "equation",
    "sequence", "structure", "molecule", "string",
)  # fmt: skip
_FORMULA = r"\s*[=+\-@\t\r\n＝＋－＠]"
_DANGEROUS = re.compile(r"'*" + _FORMULA)
_PROTECTED = re.compile(r"'+" + _FORMULA)
_TITLES = 6  # lines in which the header is looked for
_MANY, _SOME = 50, 5  # rows of a table whose every row is bad


@dataclass(frozen=True)
class Row:
    """One row of a file: its number in a spreadsheet, counted from 1, and its stripped cells."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The content of a file.

    Attributes
    ----------
    name : str
    columns : tuple of str
    rows : tuple of Row
        Those that are not blank.
    delimiter : str
    remarks : list of str
        For the user.
    is_list : bool
        Whether it has one x in each line, and cannot have values.
    names : tuple of str
        What follows each x in a list.
    refused : dict
        Row number → why its value cannot be used.
    bounds : dict
        (Row number, column of values) → "above" or "below", where another column says that the value is a
        bound.
    advice : str
        What to do about refused rows, for the end of an error.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str = ","
    remarks: list[str] = field(default_factory=list)
    is_list: bool = False
    names: tuple[str, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    bounds: dict[tuple[int, str], Bound] = field(default_factory=dict)
    advice: str = ""

    def cells(self, index: int) -> list[str]:
        """Return the cells of a column by its position: names may be there twice."""
        return [row.cells[index] for row in self.rows]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        return self.cells(self.columns.index(name))

    def named(self, row: Row, name: str | None) -> str:
        """Return the cell of a row in a column; blank where there is no such column."""
        return "" if name is None else row.cells[self.columns.index(name)]


def explain(summary: str, problems: Sequence[str], n_rows: int) -> DataError:
    """Return an error whose notes, one for each bad row, are shown on lines of their own.

    Where every row of a long table is bad, one thing is wrong with all of them, and a few say which.
    """
    error = DataError(summary)
    shown = len(problems) if len(problems) < n_rows or n_rows <= _MANY else _SOME
    for problem in problems[:shown]:
        error.add_note(problem)
    if shown < len(problems):
        error.add_note(f"and so on: none of the {n_rows} rows can be used; is it the right column?")
    return error


def unreadable(x: str, error: Exception) -> str:
    """Say that the model cannot read x, and why, without the row that it has in a batch of one."""
    reason = re.sub(r" \(codec\.transform cannot read x.*\)$", "", str(error))
    reason = re.sub(r",? *(in row 0\b|\(row 0\))", "", reason)
    reason = re.sub(r"^.*?(: |; )row 0:? (.*row 0:? )?", "", reason)  # what a list of problems begins with
    text = repr(x)
    for shown in (text, text[:80], f"{text[:57]}..."):  # what is long is not written twice
        reason = reason.removeprefix(f"{shown} ")
    return f"the model cannot read {text:.80}" + (f": {reason}" if reason else "")


# ---------------------------------------------------------------- reading


def read_table(path: Path, *, delimiter: str | None = None) -> Table:
    """Read a CSV file, or a list: ``.smi`` (SMILES, then a name), ``.txt`` (one x in each line) and FASTA.

    Parameters
    ----------
    path : Path
        UTF-8 (with or without byte-order mark), UTF-16, or Windows-1252.
    delimiter : str, default=None
        Comma, semicolon or tab; None: found out.

    Raises
    ------
    DataError
        When the file is not text, has no header or no rows, or has rows that cannot be read (all are named).
    OSError
        When it cannot be opened.
    """
    text, remarks = _decode(path)
    if path.suffix.lower() in (".smi", ".smiles", ".txt"):
        first = text.lstrip().partition("\n")[0].lower().split("\t")
        # a spreadsheet's "tab-delimited text" has the same ending
        if len(first) == 1 or not any(cell.strip() in X_NAMES for cell in first):
            return _read_list(path, text, remarks)
    if path.suffix.lower() in FASTA_ENDINGS:
        return _read_fasta(path, text, remarks)
    match = re.match(r"sep=(.)\r?\n", text, re.IGNORECASE)  # Excel's own line, which it does not show
    if match:
        delimiter, text = delimiter or match[1], text[match.end() :]
    delimiter = delimiter or _sniff(text)
    try:
        # strict: a quotation mark that is never closed would swallow the rest of the file
        lines = list(
            enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1)
        )
    except csv.Error as error:
        raise DataError(
            f"{path.name} cannot be read as CSV ({error}): look for a quotation mark that is not closed"
        ) from error
    return _make_table(path.name, lines, delimiter, remarks)


def _decode(path: Path) -> tuple[str, list[str]]:
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(
            f"{path.name} is a spreadsheet's own format; save it as CSV (UTF-8) and give that file"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in data[:2]:
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    remarks = []
    try:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8-sig":
                raise
            text = data.decode("cp1252")
            remarks = [f"{path.name} is not UTF-8; read as Windows-1252"]
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not a text file; save it as CSV (UTF-8)") from error
    if "\x00" in text:
        raise DataError(f"{path.name} is not a text file; save it as CSV (UTF-8)")
    return text, remarks


def is_x_name(cell: str) -> bool:
    """Return whether a cell is a usual name of a column of x."""
    name = cell.strip().lower()
    return name in X_NAMES or name.endswith((" smiles", "_smiles"))


def _header(lines: Sequence[Sequence[str]]) -> int:
    """Return the position of the header: the first line, or one below lines of a title.

    Titles are narrower than the header, which must name a column of x as such columns are called.
    """
    n_filled = [sum(cell.strip() != "" for cell in line) for line in lines[:_TITLES]]
    for position, line in enumerate(lines[:_TITLES]):
        if any(map(is_x_name, line)):
            return position if n_filled[position] > max(n_filled[:position], default=0) else 0
    return 0


def _sniff(text: str) -> str:
    """Return the first delimiter that gives most rows as many cells as the header, if that has several.

    csv.Sniffer finds none in many tables with a column of remarks, and would need this as well.
    """
    scores = {}
    for delimiter in DELIMITERS:
        try:
            lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line]
        except csv.Error:
            continue
        lines = lines[_header(lines) :]
        if lines and len(lines[0]) > 1:
            scores[delimiter] = sum(len(line) == len(lines[0]) for line in lines) / len(lines)
    return max(scores, key=lambda delimiter: scores[delimiter]) if scores else ","


def _make_table(name: str, lines: list[tuple[int, list[str]]], delimiter: str, remarks: list[str]) -> Table:
    filled = [(number, [cell.strip() for cell in cells]) for number, cells in lines]
    filled = [(number, cells) for number, cells in filled if any(cells)]
    if not filled:
        raise DataError(f"{name} is empty; expected a header with column names and a row for each x")
    first = _header([cells for _, cells in filled])
    if first:
        titles = " / ".join(cell for _, cells in filled[:first] for cell in cells if cell)
        remarks = [*remarks, f"the names of the columns are in row {filled[first][0]}; above: {titles!r:.80}"]
        filled = filled[first:]
    header = [unprotect(cell) for cell in filled[0][1]]
    while header and not header[-1]:
        header.pop()
    rows, problems = [], []
    for number, cells in filled[1:]:
        if any(cells[len(header) :]):
            problems.append(
                f"row {number}: {len(cells)} cells, but the header has {len(header)}; put quotation marks "
                f"around a cell that holds a {DELIMITERS.get(delimiter, repr(delimiter))}"
                + (", and delete a title above the names of the columns" if len(header) == 1 else "")
            )
        padded = [*cells, *[""] * (len(header) - len(cells))][: len(header)]
        rows.append(Row(number, tuple(unprotect(cell) for cell in padded)))
    if problems:
        raise explain(f"{name}: {plural(len(problems), 'row')} cannot be read", problems, len(filled) - 1)
    if not rows:
        raise DataError(f"{name} has a header ({', '.join(header)}) and no rows below it")
    return Table(name, tuple(header), tuple(rows), delimiter, remarks)


def _read_list(path: Path, text: str, remarks: list[str]) -> Table:
    """Read one x from each line: up to the first blank in a SMILES file, else all of it."""
    smiles = path.suffix.lower() != ".txt"
    rows: list[Row] = []
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        x, *name = line.split(maxsplit=1) or [""] if smiles else [line.strip()]
        if not x or (smiles and (x.startswith("#") or (not rows and x.lower() in X_NAMES))):
            continue
        names.append(" ".join(name).strip())
        rows.append(Row(number, (x,)))
    if not rows:
        raise DataError(f"{path.name} is empty; expected one x in each line")
    if any(names):
        remarks.append("what follows the first blank in a line was taken for a name and left out")
    return Table(path.name, ("x",), tuple(rows), remarks=remarks, is_list=True, names=tuple(names))


def _read_fasta(path: Path, text: str, remarks: list[str]) -> Table:
    """Read names and sequences; the number of a row is that of its line with the name."""
    rows = [Row(number, (x, name)) for number, name, x in parse_fasta(text, path.name)]
    return Table(path.name, ("x", "name"), tuple(rows), remarks=remarks, is_list=True)


def plural(n: int, noun: str) -> str:
    """Return "1 point", "2 points"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


# ---------------------------------------------------------------- writing


def protect(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; :func:`unprotect` undoes it.

    Examples
    --------
    >>> protect("=1+1"), protect("C=O"), unprotect(protect("'=1+1")) == "'=1+1"
    ("'=1+1", 'C=O', True)
    """
    return "'" + text if _DANGEROUS.match(text) else text


def unprotect(text: str) -> str:
    """Take off the apostrophe that :func:`protect` put before text."""
    return text[1:] if _PROTECTED.match(text) else text


def format_table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, delimiter: str = ",", decimal: str = "."
) -> str:
    """Return CSV: text protected, floats as :func:`format_value` writes them, None blank.

    Examples
    --------
    >>> print(format_table(["id", "x", "y"], [[3, "CCO", 0.5], [4, "=C", None]]), end="")
    id,x,y
    3,CCO,0.5
    4,'=C,
    """
    header: list[Cell] = list(columns)
    return "".join(_format_row(row, delimiter, decimal) for row in [header, *rows])


def _format_row(row: Sequence[Cell], delimiter: str, decimal: str) -> str:
    stream = io.StringIO()
    # only characters of the terminator are quoted: a carriage return in a cell must be
    csv.writer(stream, delimiter=delimiter, lineterminator="\r\n").writerow(_format(c, decimal) for c in row)
    return stream.getvalue().removesuffix("\r\n") + "\n"


def _format(cell: Cell, decimal: str) -> str:
    if isinstance(cell, str):
        return protect(cell)
    return format_value(cell, decimal) if isinstance(cell, float) else "" if cell is None else str(cell)


def check_free(path: Path, *, force: bool = False) -> None:
    """Raise ParameterError where a file exists and may not be overwritten."""
    if path.exists() and not force:
        raise _exists(path)


def check_place(path: Path, *, force: bool = False) -> None:
    """Raise ParameterError or OSError where no file of this name may come to be: see :func:`reserve`."""
    if path.is_dir():
        raise ParameterError(f"{path} is a folder; give the name of a file in it")
    check_free(path, force=force)
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"there is no folder {path.parent} for {path.name}; make it first")
    with TemporaryFile(dir=path.absolute().parent):
        pass  # the folder can be written to


@contextmanager
def reserve(path: Path, *, force: bool = False) -> Iterator[IO[str]]:
    """Open a file for writing that appears under its name, whole, when the block ends without an error.

    Whether it can be written there is known before the block begins. Characters beyond ASCII make it start
    with a byte-order mark, without which a spreadsheet would not read them as UTF-8.

    Raises
    ------
    ParameterError
        When the file exists and ``force`` is not set: also when it came to exist in the meantime; or when
        its folder does not exist.
    OSError
        When it cannot be written.
    """
    check_place(path, force=force)
    stream = io.StringIO()
    yield stream
    text = stream.getvalue()
    try:
        write_whole(path, text.encode("utf-8" if text.isascii() else "utf-8-sig"), replace=force)
    except FileExistsError:
        raise _exists(path) from None


def _exists(path: Path) -> ParameterError:
    return ParameterError(f"{path} exists already and is not overwritten; choose another name or add --force")
