"""The form of a campaign's tables, and how its starting data are read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wrlso.campaign.advice import advise
from wrlso.campaign.assays import check_values
from wrlso.campaign.cells import NOT_MEASURED, decimal_sign, format_value, has_value, is_blank, read_result
from wrlso.campaign.columns import find_column, guess_values_column, guess_x_column, listed
from wrlso.campaign.outcome_columns import OutcomeColumns, Result, choose_outcomes, decimal_of, plainly
from wrlso.campaign.tables import DELIMITERS, Row, Table, explain, plural, unreadable
from wrlso.exceptions import DataError
from wrlso.history import History
from wrlso.outcomes import Aims, Reading

if TYPE_CHECKING:
    from wrlso.models.protocol import LatentModel

__all__ = [
    "AS_BEFORE",
    "Form",
    "choose_columns",
    "learn_tokens",
    "left_out",
    "read_start",
    "start_columns",
    "start_contents",
    "without_names",
]

_SHOWN = 8  # kinds of fragments, and rows of each, that a remark names


@dataclass(frozen=True)
class Form:
    """The form of a campaign's tables; None means as in its starting data, or as guessed from them.

    Attributes
    ----------
    x, y : str or None
        Names of the columns.
    delimiter : str or None
        Comma, semicolon or tab.
    decimal : str or None
        Decimal point or comma.
    only : tuple of str
        ``COLUMN=VALUE``: the rows that count, all where it is empty.

    Examples
    --------
    >>> Form(x="SMILES", y="pIC50", delimiter=";", decimal=",").x
    'SMILES'
    """

    x: str | None = None
    y: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    only: tuple[str, ...] = ()

    @classmethod
    def of(cls, notes: Mapping[str, str]) -> "Form":
        """Return the form that a campaign's notes hold; defaults where they are missing or impossible."""
        delimiter, decimal = notes.get("delimiter", ","), notes.get("decimal", ".")
        return cls(
            notes.get("x", "x"),
            notes.get("y", "y"),
            delimiter if delimiter in DELIMITERS else ",",
            decimal if decimal in (".", ",") else ".",
        )


AS_BEFORE = Form()


def choose_columns(table: Table, form: Form, values: bool) -> tuple[str, str | None, str, list[str]]:
    """Return the columns of x and of values, the decimal sign, and remarks on guesses.

    Raises DataError where a guess could be wrong, and where no row has a value although ``values`` is set.
    """
    x = guess_x_column(table) if form.x is None else find_column(table, form.x)
    lines: list[str] = []
    if form.x is None and len(table.columns) > 1:
        lines = [f"x is the column {x!r} (guessed; --x says otherwise)"]
    if not values or table.is_list or (table.columns == (x,) and form.y is None):
        return x, None, form.decimal or ".", lines
    y = guess_values_column(table, x) if form.y is None else find_column(table, form.y)
    if y is None:
        raise DataError(
            f"no column of values was found in {table.name}: {listed(table.columns)}; name it with --y, or "
            "say --no-y to start without values"
        )
    if all(map(is_blank, table.column(y))):
        raise DataError(
            f"the column {y!r} of {table.name} has no value in any of its {plural(len(table.rows), 'row')}; "
            "name another with --y, or say --no-y to start without values"
        )
    decimal = form.decimal or _decimal_sign(table, y)
    if form.y is None:
        first = ", ".join(_first_values(table.column(y), decimal))
        shown = f": {first}" if first else "; it has none yet"
        lines.append(f"the values are in the column {y!r} (guessed; --y or --no-y say otherwise){shown}")
    if form.decimal is None and decimal == ",":
        lines.append("numbers have a decimal comma (guessed; --decimal-point says otherwise)")
    return x, y, decimal, lines


def start_columns(
    table: Table, form: Form, aims: Aims, values: bool
) -> tuple[Table, str, OutcomeColumns, str, list[str], dict[str, str]]:
    """Return the table with what its relations say, the columns, the decimal sign, guesses and facts.

    Facts are the unit and the type of values without a name. Raises DataError as :func:`choose_columns` and
    :func:`wrlso.campaign.assays.check_values` do, and where a goal has no column.
    """
    if not aims.are_named:
        x, y, decimal, guesses = choose_columns(table, form, values)
        table, facts = check_values(table, x, y, {})
        return table, x, OutcomeColumns.beside(table, {} if y is None else {"": y}), decimal, guesses, facts
    x, _, decimal, guesses = choose_columns(table, form, values=False)
    columns = choose_outcomes(table, aims) if values else OutcomeColumns({})
    for column in columns.values:
        table, _ = check_values(table, x, column, {})
    if form.decimal is None and values:
        decimal = decimal_of(table, columns.values)
        if decimal == ",":
            guesses.append("numbers have a decimal comma (guessed; --decimal-point says otherwise)")
    return table, x, columns, decimal, guesses, {}


def _decimal_sign(table: Table, y: str) -> str:
    cells = table.column(y)
    found = decimal_sign(cells, table.delimiter)
    if found is None:
        cell = next(cell for cell in cells if decimal_sign([cell], table.delimiter) is None)
        raise DataError(
            f"cannot tell whether {cell!r} in the column {y!r} of {table.name} has decimals or a separator "
            "between thousands: say --decimal-comma or --decimal-point (and write thousands without a "
            "separator), or name another column with --y"
        )
    return found


def _first_values(cells: Iterable[str], decimal: str, n: int = 3) -> Iterator[str]:
    """Yield the first values as they are read; cells that cannot be read as they are."""
    filled = [cell for cell in cells if has_value(cell)]
    for cell in filled[:n]:
        try:
            found = read_result(cell, decimal=decimal)
            yield cell if isinstance(found, Reading) or found == NOT_MEASURED else format_value(found)
        except DataError:
            yield repr(cell)
    if len(filled) > n:
        yield "…"


def without_names(table: Table, x: str, model: Any) -> Table:
    """Return a table of molecules without the names and extensions that follow SMILES."""
    from wrlso._chemistry.smiles import first_part
    from wrlso.models.molecules.base import MoleculeVAE

    if not isinstance(model, MoleculeVAE) or not any(" " in cell or "\t" in cell for cell in table.column(x)):
        return table
    column, rows, left_out = table.columns.index(x), [], []
    for row in table.rows:
        smiles, rest = first_part(row.cells[column])
        left_out += [rest] if rest else []
        rows.append(Row(row.number, (*row.cells[:column], smiles, *row.cells[column + 1 :])))
    remarks = list(table.remarks)
    for what, found in (
        ("an extension (CXSMILES, of which stereochemistry and radicals are not read)", "|"),
        ("a name", ""),
    ):
        some = [rest for rest in left_out if rest.startswith("|") == bool(found)]
        if some:
            remarks.append(
                f"{plural(len(some), 'SMILES')} in {x!r} had {what} behind it, left out: {some[0]!r:.60}"
            )
    return replace(table, rows=tuple(rows), remarks=remarks)


def left_out(table: Table, x: str, model: Any) -> list[str]:
    """Return a remark on the fragments of salts and mixtures that a model of molecules leaves out."""
    from wrlso._chemistry.smiles import lost_fragments

    if getattr(model, "salts", "refuse") == "refuse":
        return []
    rows: dict[str, list[int]] = {}
    for row in table.rows:
        text = table.named(row, x)
        if "." in text and (lost := lost_fragments(text)):
            rows.setdefault(lost, []).append(row.number)
    if not rows:
        return []
    common = sorted(rows, key=lambda lost: -len(rows[lost]))
    said = [f"{lost} ({plural(len(rows[lost]), 'row')}: {_some(rows[lost])})" for lost in common[:_SHOWN]]
    more = f"; and {len(rows) - _SHOWN} other kinds" if len(rows) > _SHOWN else ""
    n_rows = sum(map(len, rows.values()))
    return [
        f"{plural(n_rows, 'row')} of salts or mixtures: the largest fragment counts{advise('salts')}; "
        f"left out {'; '.join(said)}{more}"
    ]


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:_SHOWN])) + (", …" if len(numbers) > _SHOWN else "")


def learn_tokens(table: Table, x: str, model: Any) -> list[str]:
    """Let a model whose vocabulary can grow learn the tokens of a table; return remarks on the new ones."""
    if not callable(getattr(model, "missing_tokens", None)):
        return []
    X = [text for row in table.rows if (text := table.named(row, x))]
    new = model.missing_tokens(X)
    if not new:
        return []
    model.extend(X)
    word = getattr(model, "_WORD", "token")
    return [f"{plural(len(new), word)} new to the model, which it learns from these data: {' '.join(new)}"]


def read_start(
    table: Table,
    x: str,
    columns: OutcomeColumns,
    decimal: str,
    model: "LatentModel",
    outcome: str = "so no campaign was made",
) -> tuple[list[str], list[Any], list[str]]:
    """Return all x, their values (None where there is none), and the x whose experiment failed.

    ``outcome`` says in an error what came of rows that cannot be used.
    """
    rows: list[tuple[int, str, bool, Result]] = []
    problems: dict[int, list[str]] = {}
    for row in table.rows:
        text = table.named(row, x)
        try:
            told, result = columns.read(table, row, decimal)
            if told and not text:
                raise DataError("a value without an x")
            if row.number in table.refused:
                raise DataError(table.refused[row.number])
        except DataError as error:
            problems[row.number], told, result = [str(error)], False, None
        if text:
            rows.append((row.number, text, told, result))
    for number, problem in _unreadable(model, [row[:2] for row in rows]):
        problems.setdefault(number, []).append(problem)
    if problems:
        bad = f"{plural(len(problems), 'row')} of {len(table.rows)}"
        raise explain(
            f"{table.name}: {bad} cannot be used, {outcome}{table.advice}",
            [f"row {number}: {'; '.join(problems[number])}" for number in sorted(problems)],
            len(table.rows),
        )
    failed = [text for _, text, told, result in rows if told and result is None]
    return [text for _, text, _, _ in rows], [plainly(result) for *_, result in rows], failed


def _unreadable(model: "LatentModel", rows: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return (row, problem) of every x that the model cannot read."""
    problems = []
    try:
        model.tensorize([text for _, text in rows])
    except (ValueError, TypeError, LookupError):  # also what a user's own model raises
        for number, text in rows:
            try:
                model.tensorize([text])
            except (ValueError, TypeError, LookupError) as error:
                problems.append((number, unreadable(text, error)))
    return problems


def start_contents(history: History, n_rows: int) -> str:
    """Say what a campaign starts with: points, values, failures, rows of the same x."""
    parts = [plural(len(history), "point")]
    parts.append(f"{history.n_observed} with a value")
    n_failed = len(history.rows_with("failed"))
    parts += [f"{n_failed} failed"] if n_failed else []
    n_repeated = n_rows - len(history)
    parts += [f"{plural(n_repeated, 'row')} of repeated x"] if n_repeated else []
    return ", ".join(parts)
