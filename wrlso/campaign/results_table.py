"""Find the results in a table that a campaign does not know yet, so that all are told at once."""

import math
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wrlso.campaign.cells import read_value
from wrlso.campaign.columns import find_column
from wrlso.campaign.start_table import Form
from wrlso.campaign.tables import Row, Table, explain, plural, unreadable
from wrlso.exceptions import DataError
from wrlso.history import History, Record

if TYPE_CHECKING:
    from wrlso.models.protocol import LatentModel

__all__ = ["Columns", "Plan", "current_value", "describe_value", "plan_tell", "same_value", "told_columns"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter; None where the table has no such column."""

    id: str | None
    x: str | None
    y: str | None
    status: str | None


@dataclass
class Plan:
    """The results to tell (X, values; None for a failure), and counts of the other rows."""

    X: list[Any] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    n_new: int = 0  # of X: points that were never asked for
    n_known: int = 0
    n_blank: int = 0
    remarks: list[str] = field(default_factory=list)


def describe_value(value: float | None) -> str:
    """Return a value in words: a number, or "failed" for None."""
    return "failed" if value is None else f"{value:.10g}"


def same_value(a: float | None, b: float | None) -> bool:
    """Whether two values agree to nine digits: spreadsheets write no more than they show."""
    return a is None and b is None if a is None or b is None else math.isclose(a, b, rel_tol=1e-9)


def told_columns(table: Table, form: Form, kept: Form, ids: bool) -> Columns:
    """Find the columns by name; nothing is guessed where results are recorded."""
    id_column = _optional(table, "id") if ids else None
    status_column = _optional(table, "status")
    there = f"its columns are {', '.join(map(repr, table.columns))}"
    x = find_column(table, form.x) if form.x else _optional(table, kept.x or "x")
    if x is None and id_column is None:
        raise DataError(
            f"{table.name} has neither a column 'id' nor {kept.x!r}; {there}; name the one of x with --x"
        )
    y = find_column(table, form.y) if form.y else _optional(table, kept.y or "y")
    if y is None and status_column is None:
        raise DataError(f"{table.name} has no column {kept.y!r}; {there}; name the one of values with --y")
    return Columns(id_column, x, y, status_column)


def _optional(table: Table, name: str) -> str | None:
    there = any(column.lower() == name.lower() for column in table.columns)
    return find_column(table, name) if there else None


def plan_tell(
    table: Table,
    columns: Columns,
    history: History,
    model: "LatentModel",
    *,
    campaign: str,
    decimal: str = ".",
    replicates: bool = False,
) -> Plan:
    """Compare a table of results with a campaign.

    A row names its point by the id that ask gave, by x, or by both. A blank value means not measured yet.
    Known results are not told again, so that a table may be told twice.

    Parameters
    ----------
    campaign : str
        Its name, for the commands that errors propose.
    replicates : bool, default=False
        Whether a different value of a measured point is a repeated measurement, and not a mistake. Values
        that the point has already are then left out, each as often as the point has it.

    Raises
    ------
    DataError
        When rows cannot be told; notes name all of them.
    """
    reader = _Reader(table, columns, history, model, campaign, decimal, replicates)
    problems = []
    for row in table.rows:
        try:
            reader.take(row)
        except DataError as error:
            every = dict.fromkeys([str(error), *reader.problems(row)])
            problems.append(f"row {row.number}: {'; '.join(every)}")
    if problems:
        bad = f"{plural(len(problems), 'row')} of {len(table.rows)}"
        raise explain(
            f"{table.name}: {bad} cannot be told, so nothing was recorded{table.advice}",
            problems,
            len(table.rows),
        )
    return reader.plan


class _Reader:
    """One pass over a table."""

    def __init__(
        self,
        table: Table,
        columns: Columns,
        history: History,
        model: "LatentModel",
        campaign: str,
        decimal: str,
        replicates: bool,
    ) -> None:
        self.table = table
        self.columns = columns
        self.history = history
        self.model = model
        self.campaign = campaign
        self.decimal = decimal
        self.replicates = replicates
        self.plan = Plan()
        self.told: dict[Hashable, tuple[int, float | None]] = {}  # of this table: row and value, by key
        self.left: dict[Hashable, list[float | None]] = {}  # replicates known and not met in this table

    def take(self, row: Row) -> None:
        """Add a row to the plan; raise DataError with the problem where it cannot be told."""
        number, x = self._id(row), self.table.named(row, self.columns.x)
        told, value = self._value(row)
        record: Record | None = None
        if number is not None:
            record = self._record(number, x)
        elif x:
            number = self.history.row(self._key(x))
            record = None if number is None else self.history.records[number]
        elif told:
            raise DataError("a value without an id or an x; name the point that it belongs to")
        else:
            return  # a line of remarks, as people write below their tables
        if not told:
            self.plan.n_blank += 1
        elif record is None:
            self._add(row.number, self._key(x), x, value, new=True)
        elif self._is_new(number, record, value):
            self._add(row.number, record.key, record.x, value, new=not record.asked)
        else:
            self.plan.n_known += 1

    def problems(self, row: Row) -> Iterator[str]:
        """Yield what is wrong with each cell of a row by itself."""
        x = self.table.named(row, self.columns.x)
        cells: list[tuple[Callable[[Any], Any], Any]] = [(self._id, row), (self._value, row)]
        for read, cell in [*cells, *([(self._key, x)] if x else [])]:
            try:
                read(cell)
            except DataError as error:
                yield str(error)

    def _id(self, row: Row) -> int | None:
        cell = self.table.named(row, self.columns.id)
        if not cell:
            return None
        match = re.fullmatch(r"(\d+)([.,]0*)?", cell, re.ASCII)  # some programs make 12 a 12.0
        if match is None:
            raise DataError(
                f"id {cell!r} is not a number that ask gave; add --no-ids if the column holds your own names"
            )
        if int(match[1]) >= len(self.history):
            raise DataError(
                f"no point of this campaign has the id {match[1]}; they go from 0 to {len(self.history) - 1}"
            )
        return int(match[1])

    def _value(self, row: Row) -> tuple[bool, float | None]:
        """Return whether there is a result, and its value: None where the experiment failed."""
        value = read_value(self.table.named(row, self.columns.y), decimal=self.decimal)
        if value is not None and row.number in self.table.refused:
            raise DataError(self.table.refused[row.number])
        status = self.table.named(row, self.columns.status)
        if re.match(r"fail(ed)?\b", status, re.IGNORECASE):
            if value is not None and not math.isnan(value):
                raise DataError(f"the status is {status!r}, but the value is {value:.10g}; take one out")
            return True, None
        return value is not None, None if value is None or math.isnan(value) else value

    def _record(self, number: int, x: str) -> Record:
        record = self.history.records[number]
        if x and x != str(record.x).strip() and self._key(x) != record.key:
            raise DataError(
                f"id {number} is {str(record.x)!r} in the campaign, but {x!r} here; take the id out if this "
                "is another point, or look whether a program changed the text"
            )
        return record

    def _key(self, x: str) -> Hashable:
        try:
            self.model.tensorize([x])
            return self.model.key(x)
        except (ValueError, TypeError, LookupError) as error:  # also what a user's own model raises
            raise DataError(unreadable(x, error)) from error

    def _is_new(self, number: int | None, record: Record, value: float | None) -> bool:
        """Whether the value is not known yet; raises DataError where it contradicts what is known."""
        known = any(same_value(value, other) for other in record.values)
        if not known and any(same_value(value, old) for values in record.revisions for old in values):
            self.plan.remarks.append(
                f"id {number} was corrected from {describe_value(value)} to "
                f"{describe_value(current_value(record))} since; the correction stays"
            )
            return False
        if self.replicates:
            failures: list[float | None] = [None] * record.n_failures
            left = self.left.setdefault(record.key, [*record.values, *failures])
            position = next((i for i, other in enumerate(left) if same_value(value, other)), None)
            if position is not None:
                left.pop(position)
            return position is None
        if value is None:
            known, contradicted = record.status == "failed" or record.n_failures > 0, bool(record.values)
        else:
            known = known or (bool(record.values) and same_value(value, current_value(record)))
            contradicted = bool(record.values) or record.status == "failed"
        if contradicted and not known:
            raise DataError(
                f"id {number} ({record.x}) was told as {describe_value(current_value(record))} and is now "
                f"{describe_value(value)}; to correct it: wrlso update {self.campaign} {number} "
                f"{describe_value(value)}; if both are measurements: add --replicates"
            )
        return not known

    def _add(self, row: int, key: Hashable, x: Any, value: float | None, *, new: bool) -> None:
        earlier = self.told.setdefault(key, (row, value))
        if earlier[0] != row and not self.replicates:
            if not same_value(earlier[1], value):
                raise DataError(
                    f"the same point as in row {earlier[0]} with another value, {describe_value(value)} and "
                    f"not {describe_value(earlier[1])}; if both are measurements: add --replicates"
                )
            self.plan.n_known += 1
            return
        self.plan.X.append(x)
        self.plan.values.append(value)
        self.plan.n_new += new and earlier[0] == row


def current_value(record: Record) -> float | None:
    """Return the mean over the replicates of a point, None where it has none.

    It is the mean of the decimal numbers that were told, to which the float is nearest: 5.1 and 5.3 give 5.2,
    where the sum of the floats would give 5.199999999999999.
    """
    if len(record.values) < 2:
        return record.values[0] if record.values else None
    return float(sum(Fraction(repr(float(value))) for value in record.values) / len(record.values))
