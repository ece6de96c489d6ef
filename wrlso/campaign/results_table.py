"""Find the results in a table that a campaign does not know yet, so that all are told at once."""

import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wrlso.campaign.advice import advise
from wrlso.campaign.cells import shortened
from wrlso.campaign.columns import find_column, listed
from wrlso.campaign.outcome_columns import OutcomeColumns, Result, find_outcomes, plainly
from wrlso.campaign.start_table import Form
from wrlso.campaign.tables import Row, Table, explain, plural, unreadable
from wrlso.exceptions import DataError
from wrlso.history import History, Record
from wrlso.outcomes import Aims, Reading, aims_of, combined

if TYPE_CHECKING:
    from wrlso.models.protocol import LatentModel

__all__ = [
    "CHOICES", "Choices", "Columns", "Plan", "current_reading", "describe_value", "plan_tell",
    "result_in_words", "same_value",
    "told_columns",
]  # fmt: skip

_ONE_NUMBER = aims_of(None)


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter; None where the table has no such column."""

    id: str | None
    x: str | None
    outcomes: OutcomeColumns
    status: str | None


Choices = Mapping[tuple[int, str], str]  # number of a row, and column → one of CHOICES
CHOICES = ("keep", "correct", "repeat")


class _ContradictionError(DataError):
    """A row contradicts what is recorded: column → the value that is recorded, in words."""

    def __init__(self, text: str, recorded: Mapping[str, str]) -> None:
        super().__init__(text)
        self.there = recorded


@dataclass
class Plan:
    """The results to tell (X, values; None for a failure), and counts of the other rows.

    ``corrections``: (x, outcome or None for a failure, new value) of values that are recorded otherwise.
    """

    X: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    corrections: list[tuple[Any, str | None, Reading | None]] = field(default_factory=list)
    n_new: int = 0  # of X: points that were never asked for
    n_known: int = 0
    n_blank: int = 0
    n_left_out: int = 0  # of X: those of which it is only said that something was not measured
    remarks: list[str] = field(default_factory=list)


def describe_value(value: Reading | float | None) -> str:
    """Return a value in words: a number, a bound such as ">10", or "failed" for None."""
    if value is None:
        return "failed"
    if not isinstance(value, Reading):
        return f"{value:.10g}"
    return {"": "", "above": ">", "below": "<"}[value.bound] + f"{value.value:.10g}"


def result_in_words(record: Record, name: str = "", *, blank: str = "not measured") -> str:
    """Return what is known of an outcome of a point: "7.1", ">10", "failed", "not measured".

    ``blank``: what is said where nothing was told. Where that is no value, "failed" is the whole experiment.
    """
    found = current_reading(record, name)
    if found is not None:
        return describe_value(found)
    if record.status == "failed":
        return "failed"
    return "not measured" if name in record.not_measured else blank


def same_value(a: Reading | None, b: Reading | None) -> bool:
    """Whether two values agree to nine digits: spreadsheets write no more than they show."""
    if a is None or b is None:
        return a is b
    return a.bound == b.bound and math.isclose(a.value, b.value, rel_tol=1e-9)


def told_columns(table: Table, form: Form, kept: Form, ids: bool, aims: Aims = _ONE_NUMBER) -> Columns:
    """Find the columns by name; nothing is guessed where results are recorded."""
    id_column = _optional(table, "id") if ids else None
    status_column = _optional(table, "status")
    there = f"its columns are {listed(table.columns)}"
    x = find_column(table, form.x) if form.x else _optional(table, kept.x or "x")
    if x is None and id_column is None:
        raise DataError(
            f"{table.name} has neither a column 'id' nor {kept.x!r}; {there}; {advise('x column')}"
        )
    if aims.are_named:
        outcomes = find_outcomes(table, aims)
        if not outcomes.of and status_column is None:
            raise DataError(
                f"{table.name} has none of the columns {listed(aims.names)}; {there}; "
                f"{advise('outcome columns')}"
            )
        return Columns(id_column, x, outcomes, status_column)
    y = find_column(table, form.y) if form.y else _optional(table, kept.y or "y")
    if y is None and status_column is None:
        raise DataError(f"{table.name} has no column {kept.y!r}; {there}; {advise('y column')}")
    outcomes = OutcomeColumns.beside(table, {} if y is None else {"": y})
    return Columns(id_column, x, outcomes, status_column)


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
    choices: Choices = MappingProxyType({}),
    reason: str = "",
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
    choices : mapping
        What counts where a cell contradicts what is recorded, by row and column: "keep" leaves the recorded
        value, "correct" puts the new one in its place, "repeat" takes both for measurements.
    reason : str, default=""
        Why values are corrected, which must be said.

    Raises
    ------
    DataError
        When rows cannot be told; notes name all of them.
    """
    reader = _Reader(table, columns, history, model, campaign, decimal, replicates, choices, reason)
    problems, cells, recorded = [], {}, {}
    for row in table.rows:
        try:
            reader.take(row)
        except DataError as error:
            found = reader.problems(row)
            every = dict.fromkeys([str(error), *(problem for _, problem in found)])
            problems.append(f"row {row.number}: {'; '.join(every)}")
            # each cell is right by itself where values contradict each other
            cells[row.number] = [column for column, _ in found if column] or columns.outcomes.values
            if isinstance(error, _ContradictionError):
                recorded[row.number] = error.there
                cells[row.number] = [*error.there]
    if problems:
        bad = f"{plural(len(problems), 'row')} of {len(table.rows)}"
        summary = f"{table.name}: {bad} cannot be told, so nothing was recorded{table.advice}"
        refusal = explain(summary, problems, len(table.rows))
        refusal.cells, refusal.recorded = cells, recorded
        raise refusal
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
        choices: Choices,
        reason: str,
    ) -> None:
        self.table = table
        self.columns = columns
        self.history = history
        self.model = model
        self.campaign = campaign
        self.decimal = decimal
        self.replicates = replicates
        self.choices = choices
        self.reason = reason
        self.plan = Plan()
        # of this table: row, outcome and value, by key; outcome and value are None for a failure
        self.told: dict[Hashable, list[tuple[int, str | None, Reading | None]]] = {}
        # replicates known and not met in this table, by key and outcome
        self.left: dict[tuple[Hashable, str | None], list[Reading | None]] = {}

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
        measured = value is None or any(value.values())
        if not told or (not measured and (record is None or "" in self.columns.outcomes.of)):
            self.plan.n_blank += 1
        elif record is None:
            self._add(row.number, self._key(x), x, value, new=True)
        else:
            is_new, value = self._news(row, number, record, value)
            if is_new:
                self._add(row.number, record.key, record.x, value, new=not record.asked)
            else:
                self.plan.n_known += 1
        if told and not measured and record is not None and record.status == "pending":
            self._remark_on_pending(number, record, {*(value or {}), *record.not_measured})

    def _remark_on_pending(self, number: int | None, record: Record, left_out: set[str]) -> None:
        """Say that nothing of a pending point was measured, where all of its outcomes are left out."""
        if left_out.issuperset(self.columns.outcomes.of):
            way = advise("release", campaign=self.campaign, point=number)
            self.plan.remarks.append(
                f"id {number}: nothing of it was measured, and it is still pending; if that is all: {way}"
            )

    def problems(self, row: Row) -> list[tuple[str, str]]:
        """Return the column of each cell of a row that is wrong by itself, and what is wrong."""
        found: list[tuple[str, str]] = []

        def look(column: str | None, check: Callable[..., Any], *cells: Any, said: str = "") -> None:
            try:
                check(*cells)
            except DataError as error:
                found.append((column or "", f"{said}{error}"))

        columns, of = self.columns, self.columns.outcomes.of
        look(columns.id, self._id, row)
        for outcome, names in of.items():
            one, said = OutcomeColumns({outcome: names}), f"{names[0]!r}: " if len(of) > 1 else ""
            look(names[0], one.read, self.table, row, self.decimal, said=said)
        if not {column for column, _ in found} & set(columns.outcomes.values):
            look(next(iter(columns.outcomes.values), columns.status), self._value, row)
        if x := self.table.named(row, columns.x):
            look(columns.x, self._key, x)
        return found

    def _id(self, row: Row) -> int | None:
        cell = self.table.named(row, self.columns.id)
        if not cell:
            return None
        match = re.fullmatch(r"(\d+)([.,]0*)?", cell, re.ASCII)  # some programs make 12 a 12.0
        if match is None:
            raise DataError(f"id {shortened(cell)!r} is not a number that ask gave; {advise('own names')}")
        if int(match[1]) >= len(self.history):
            raise DataError(
                f"no point of this campaign has the id {match[1]}; they go from 0 to {len(self.history) - 1}"
            )
        return int(match[1])

    def _value(self, row: Row) -> tuple[bool, Result]:
        """Return whether there is a result, and what it is: None where the experiment failed."""
        told, result = self.columns.outcomes.read(self.table, row, self.decimal)
        if told and row.number in self.table.refused:
            raise DataError(self.table.refused[row.number])
        status = self.table.named(row, self.columns.status)
        if re.match(r"fail(ed)?\b", status, re.IGNORECASE):
            if values := [value for value in (result or {}).values() if value is not None]:
                listed = ", ".join(map(describe_value, values))
                raise DataError(f"the status is {status!r}, but the value is {listed}; take one out")
            return True, None
        return told, result

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

    def _news(self, row: Row, number: int | None, record: Record, result: Result) -> tuple[bool, Result]:
        """Return whether any of a result is new, and what; raises DataError where it contradicts."""
        new: dict[str | None, Reading | None] = {}
        problems, there = [], {}
        for name, value in [(None, None)] if result is None else [*result.items()]:
            column = self._column(row, name)
            choice = self.choices.get((row.number, column), "")
            try:
                if (
                    self._is_left_out(number, record, name)
                    if name is not None and value is None
                    else self._is_new(number, record, name, value, choice)
                ):
                    new[name] = value
            except _ContradictionError as error:
                problems.append(str(error))
                there[column] = error.there[""]
        if problems:
            raise _ContradictionError("; ".join(problems), there)
        return bool(new), None if result is None else {name or "": value for name, value in new.items()}

    def _column(self, row: Row, name: str | None) -> str:
        """Return the column in which a row says an outcome's value, or None: that the experiment failed."""
        if name is not None:
            return self.columns.outcomes.of[name][0]
        filled = [column for column in self.columns.outcomes.values if self.table.named(row, column)]
        return next(iter([*filled, *filter(None, [self.columns.status]), *self.columns.outcomes.values]), "")

    def _is_left_out(self, number: int | None, record: Record, name: str) -> bool:
        """Whether it is news that an outcome was not measured; a value that is known stays."""
        if (known := current_reading(record, name)) is None:
            return name not in record.not_measured and record.status != "failed"
        if name not in record.not_measured:
            way = advise("not measured", campaign=self.campaign, point=number, name=name)
            self.plan.remarks.append(
                f"id {number}: {name} is n.d. here; {_said(name, known)} stays (to correct it: {way})"
            )
        return False

    def _is_new(
        self, number: int | None, record: Record, name: str | None, value: Reading | None, choice: str
    ) -> bool:
        """Whether a value of an outcome, or a failure, is not known yet."""
        told: list[Reading | None] = [] if name is None else [*record.readings.get(name, ())]
        known = any(same_value(value, other) for other in told)
        if name is not None and not known and any(same_value(value, old) for old in _corrected(record, name)):
            self.plan.remarks.append(
                f"id {number} was corrected from {_said(name, value)} to {_said_now(record, name)} since; "
                "the correction stays"
            )
            return False
        if self.replicates:
            left = self.left.setdefault(
                (record.key, name), told if name is not None else [None] * record.n_failures
            )
            position = next((i for i, other in enumerate(left) if same_value(value, other)), None)
            if position is not None:
                left.pop(position)
            return position is None
        if name is None:
            known, contradicted = record.status == "failed" or record.n_failures > 0, bool(record.readings)
        else:
            known = known or (bool(told) and same_value(value, current_reading(record, name)))
            contradicted = bool(told) or record.status == "failed"
        if contradicted and not known:
            known_as = name if name is not None else next(iter(record.readings), "")
            before = None if record.status == "failed" else current_reading(record, known_as)
            if choice not in CHOICES or (choice == "correct" and not self.reason):
                facts = {"campaign": self.campaign, "point": number, "value": _argument(name, value)}
                way = advise("reason") if choice == "correct" else advise("correct", **facts)
                raise _ContradictionError(
                    f"id {number} ({record.x}) was told as {_said(known_as, before)} and is now "
                    f"{_said(name, value)}; {way}",
                    {"": _said(known_as, before)},
                )
            said = {"keep": "stays, and {} is left out", "correct": "is corrected to {}"}.get(choice)
            if said is not None:
                words = said.format(_said(name, value))
                self.plan.remarks.append(f"id {number}: {_said(known_as, before)} {words}")
            if choice == "correct":
                self.plan.corrections.append((record.x, name, value))
            return choice == "repeat"
        return not known

    def _add(self, row: int, key: Hashable, x: Any, result: Result, *, new: bool) -> None:
        earlier = self.told.setdefault(key, [])
        items: list[tuple[str | None, Reading | None]] = [*result.items()] if result else [(None, None)]
        fresh = []
        for name, value in items:
            left_out = name is not None and value is None
            others = (e for e in earlier if name is None or e[1] in (None, name))
            # that an outcome was not measured contradicts no value of it in another row
            other = next((e for e in others if left_out or e[1] is None or e[2] is not None), None)
            if left_out and other is not None:
                continue
            if other is None or self.replicates:
                fresh.append((name, value))
            elif not same_value(other[2], value):
                raise DataError(
                    f"the same point as in row {other[0]} with another value, {_said(name, value)} and "
                    f"not {_said(other[1], other[2])}; {advise('replicates')}"
                )
        if not fresh:
            self.plan.n_known += 1
            return
        self.plan.n_new += new and not earlier
        earlier += [(row, name, value) for name, value in fresh]
        self.plan.X.append(x)
        told = {name: value for name, value in fresh if name is not None}
        self.plan.n_left_out += bool(told) and not any(told.values())
        self.plan.values.append(plainly(told or None))


def _corrected(record: Record, name: str) -> Iterator[Reading]:
    """Yield the values of an outcome that were corrected."""
    for revision in record.revisions:
        plain = [] if isinstance(revision, dict) or name else [Reading(value) for value in revision]
        yield from revision.get(name, ()) if isinstance(revision, dict) else plain


def _said(name: str | None, value: Reading | None) -> str:
    return f"{name} = {describe_value(value)}" if name and value is not None else describe_value(value)


def _said_now(record: Record, name: str) -> str:
    found = result_in_words(record, name)
    return f"{name} = {found}" if name and record.status != "failed" else found


def _argument(name: str | None, value: Reading | None) -> str:
    """Return a value as an argument of wrlso update."""
    text = describe_value(value)
    text = f"{name}={text}" if name and value is not None else text
    return text if re.fullmatch(r"[\w.=+-]+", text) else f'"{text}"'


def current_reading(record: Record, name: str = "") -> Reading | None:
    """Return the mean over the replicates of an outcome, or its bound; None where it has none.

    The mean is that of the decimal numbers that were told, to which the float is nearest: 5.1 and 5.3 give
    5.2, where the sum of the floats would give 5.199999999999999.
    """
    readings = record.readings.get(name, [])
    if not readings:
        return None
    if all(reading.is_plain for reading in readings):
        whole = sum(Fraction(repr(float(reading.value))) for reading in readings)
        mean = readings[0].value if len(readings) == 1 else float(whole / len(readings))
        return Reading(mean, n=len(readings))
    y, n, sd, bound = combined(readings)
    if bound:
        return Reading(y, bound="above" if bound > 0 else "below")
    return Reading(y, None if math.isnan(sd) else sd, n=n)
