"""The columns of a table that hold results: one for each outcome, with those of its errors and replicates.

Beside the column "pIC50" may stand "pIC50 sd" and "pIC50 n": the standard deviation of n replicates, whose
mean is the value. A campaign whose values have no names has one outcome, "", in the column of values.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wrlso._state.codec import load_json
from wrlso.campaign.cells import NOT_MEASURED, decimal_sign, is_blank, read_result, read_value
from wrlso.campaign.columns import find_column, listed
from wrlso.campaign.tables import Row, Table
from wrlso.exceptions import DataError, ParameterError
from wrlso.outcomes import (
    Aims,
    AtLeast,
    AtMost,
    Maximize,
    Minimize,
    Outcome,
    Reading,
    Record,
    aims_of,
    mean_of_replicates,
)

__all__ = [
    "OutcomeColumns",
    "Result",
    "aims_of_campaign",
    "choose_outcomes",
    "decimal_of",
    "find_outcomes",
    "in_words",
    "plainly",
    "read_outcomes",
]

# of one experiment: by outcome, None for what was not measured; None: the experiment failed
Result = dict[str, Reading | None] | None


@dataclass(frozen=True)
class OutcomeColumns:
    """Names of the columns of each outcome: of its value, of "sd" and of "n", None where there is none."""

    of: dict[str, tuple[str, str | None, str | None]]

    @classmethod
    def beside(cls, table: Table, names: Mapping[str, str]) -> "OutcomeColumns":
        """Return the columns of outcomes whose values are in known columns."""
        lower = {column.lower(): column for column in table.columns}
        return cls(
            {
                outcome: (column, lower.get(f"{column} sd".lower()), lower.get(f"{column} n".lower()))
                for outcome, column in names.items()
            }
        )

    @property
    def values(self) -> list[str]:
        """The columns of values."""
        return [column for column, _, _ in self.of.values()]

    def read(self, table: Table, row: Row, decimal: str) -> tuple[bool, Result]:
        """Return whether a row says anything of its experiment, and what.

        Raises DataError, with the column where there are several, for a cell that is no result, and where one
        cell says that the experiment failed and another has a value.
        """
        readings: dict[str, Reading | None] = {}
        failed = ""
        for outcome, columns in self.of.items():
            try:
                found = _reading(table, row, columns, decimal)
            except DataError as error:
                if len(self.of) == 1:
                    raise
                raise DataError(f"{columns[0]!r}: {error}") from error
            if found == "failed":
                failed = failed or columns[0]
            elif found is not None:
                readings[outcome] = found if isinstance(found, Reading) else None
        other = next((self.of[outcome][0] for outcome, reading in readings.items() if reading), "")
        if failed and other:
            raise DataError(
                f"{failed!r}: 'failed' is said of a whole experiment, but {other!r} has a value; write "
                "'n.d.' for what could not be measured"
            )
        return bool(readings or failed), None if failed else readings


def _reading(
    table: Table, row: Row, columns: tuple[str, str | None, str | None], decimal: str
) -> Reading | Literal["failed", "n.d."] | None:
    """Return what a row says of one outcome; None: nothing."""
    value: Any = read_result(table.named(row, columns[0]), decimal=decimal)
    if value is None or value == NOT_MEASURED:
        return NOT_MEASURED if value else None
    if isinstance(value, float) and math.isnan(value):
        return "failed"
    if (relation := table.bounds.get((row.number, columns[0]))) is not None:
        if isinstance(value, Reading) and value.bound != relation:
            raise DataError(f"the cell says {value.bound} {value.value:g}, and the relation says {relation}")
        value = Reading(value.value if isinstance(value, Reading) else value, bound=relation)
    sd, n = (read_value(table.named(row, column), decimal=decimal) for column in columns[1:])
    return mean_of_replicates(value, sd, n, "the value")


def plainly(result: Result) -> Any:
    """Return a result as ``tell`` takes it: a number where that says all."""
    if not result or "" not in result:
        return result or None
    reading = result[""]
    return reading.value if reading is not None and reading.is_plain else reading


def aims_of_campaign(info: Mapping[str, Any]) -> Aims:
    """Return the goals and limits of a campaign, from what is known without its model."""
    parameters = info["parameters"]
    return aims_of(load_json(json.dumps(parameters.get("outcomes"))), parameters["direction"])


def read_outcomes(
    maximize: Sequence[str] | None,
    minimize: Sequence[str] | None,
    at_least: Sequence[str] | None,
    at_most: Sequence[str] | None,
    record: Sequence[str] | None,
) -> list[Outcome] | None:
    """Return the outcomes that options name; None where none does.

    Raises ParameterError for a limit that is not NAME=NUMBER, and as :func:`wrlso.outcomes.aims_of` does.
    """
    outcomes: list[Outcome] = [Maximize(name.strip()) for name in maximize or ()]
    outcomes += [Minimize(name.strip()) for name in minimize or ()]
    for kind, option, texts in ((AtLeast, "--at-least", at_least), (AtMost, "--at-most", at_most)):
        for text in texts or ():
            name, sign, number = (part.strip() for part in text.rpartition("="))
            try:
                limit = float(number)
            except ValueError:
                limit = math.nan
            if not sign or not math.isfinite(limit):
                raise ParameterError(f"{option} must be NAME=NUMBER, such as solubility=50, got {text!r}")
            outcomes.append(kind(name, limit))
    outcomes += [Record(name.strip()) for name in record or ()]
    if outcomes:
        aims_of(outcomes)
    return outcomes or None


def in_words(aims: Aims) -> str:
    """Return goals and limits in a few words."""
    if not aims.are_named:
        return "maximize" if aims.goals[0][1] > 0 else "minimize"
    parts = [f"{'maximize' if sign > 0 else 'minimize'} {name}" for name, sign in aims.goals]
    parts += [
        f"{name} at {'least' if sign > 0 else 'most'} {limit:.10g}" for name, sign, limit in aims.limits
    ]
    limited = {name for name, *_ in (*aims.goals, *aims.limits)}
    parts += [f"record {name}" for name in aims.names if name not in limited]
    return ", ".join(parts)


def find_outcomes(table: Table, aims: Aims) -> OutcomeColumns:
    """Return the columns of named outcomes that a table has, by their names."""
    lower = {column.lower() for column in table.columns}
    names = {name: find_column(table, name) for name in aims.names if name.lower() in lower}
    return OutcomeColumns.beside(table, names)


def choose_outcomes(table: Table, aims: Aims) -> OutcomeColumns:
    """Return the columns of named outcomes in starting data.

    Raises DataError where a goal has no column, or no value.
    """
    found = find_outcomes(table, aims)
    missing = [name for name, _ in aims.goals if name not in found.of]
    if missing:
        raise DataError(
            f"{table.name} has no column for {'the goal' if len(missing) == 1 else 'the goals'} "
            f"{listed(missing)}; its columns are {listed(table.columns)}; say --no-y to start without values"
        )
    if all(is_blank(cell) for column in found.values for cell in table.column(column)):
        raise DataError(
            f"{table.name} has no value in {listed(found.values)}; say --no-y to start without values"
        )
    return found


def decimal_of(table: Table, columns: Iterable[str]) -> str:
    """Return the decimal sign of some columns together.

    Raises DataError where it may be either, and values depend on it.
    """
    cells = [cell for column in columns for cell in table.column(column)]
    found = decimal_sign(cells, table.delimiter)
    if found is None:
        cell = next(cell for cell in cells if decimal_sign([cell], table.delimiter) is None)
        raise DataError(
            f"cannot tell whether {cell!r} in {table.name} has decimals or a separator between thousands: "
            "say --decimal-comma or --decimal-point (and write thousands without a separator)"
        )
    return found
