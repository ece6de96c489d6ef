"""Columns of a table: found by their names, or guessed from names and contents."""

import re
from collections.abc import Iterable

from wrlso.campaign.cells import is_fraction, is_number_like, is_plain_number, is_whole, shortened
from wrlso.campaign.tables import X_NAMES, Table, is_x_name
from wrlso.exceptions import DataError

__all__ = ["EXPORTED", "find_column", "guess_values_column", "guess_x_column", "listed"]

# what an exported table says of points beside their values
EXPORTED = (
    "status", "awaited", "asked", "asked_at", "told_at", "replicates", "failures", "corrected_from", "reason",
    "notes",
)  # fmt: skip
Y_NAMES = ("y", "value", "score", "objective", "target", "activity", "result", "measurement", "measured")
_NOT_VALUES = re.compile(r"(.*[\s_])?(id|no|nr|number|index|row|batch|plate|date|year)\.?", re.IGNORECASE)
_MOST = 20  # names of columns in a message
_COUNTS = re.compile(
    r"(.*[\s_(])?(n|n[\s_]\w+|counts?|reps?|replicates?|repeats?|runs?|(#|no\.?|number)[\s_]of[\s_]\w+)\)?",
    re.IGNORECASE,
)


def find_column(table: Table, name: str) -> str:
    """Return the column of that name; upper and lower case are the same.

    Raises DataError, naming the columns that there are, when there is none or more than one.
    """
    found = [column for column in table.columns if column == name]
    found = found or [column for column in table.columns if column.lower() == name.strip().lower()]
    if len(found) != 1:
        how_many = "two columns" if found else "no column"
        rename = "; rename one of them" if found else ""
        raise DataError(
            f"{table.name} has {how_many} {shortened(name)!r}; its columns are {listed(table.columns)}"
            f"{rename}"
        )
    return found[0]


def guess_x_column(table: Table) -> str:
    """Return the column that holds x: by its name, else the only one that holds no numbers.

    Raises DataError when there is no such column or more than one.
    """
    for name in X_NAMES:
        if sum(column.lower() == name for column in table.columns) == 1:
            return find_column(table, name)
    named = [column for column in table.columns if is_x_name(column)]  # such as "Ligand SMILES"
    if len(named) == 1:
        return named[0]
    for column in table.columns:
        if is_plain_number(column):
            raise DataError(
                f"{table.name} needs a first row with the names of its columns, but that has "
                f"{shortened(column)!r}"
            )
    texts = [
        column
        for index, column in enumerate(table.columns)
        if column and any(table.cells(index)) and not _holds_numbers(table.cells(index))
    ]
    if len(texts) == 1:
        return texts[0]
    raise DataError(
        f"cannot tell which column of {table.name} holds x: {listed(table.columns)}; name it with --x"
    )


def guess_values_column(table: Table, x: str) -> str | None:
    """Return the column that holds values: by its name, else the only one of numbers; None where none does.

    Columns of ids, dates and counts of replicates are never taken, nor is one of whole numbers beside one
    that has fractions.

    Raises DataError when there are several.
    """
    lower = {column.lower() for column in table.columns}
    own = set(EXPORTED) if lower >= {"told_at", "corrected_from"} else set()  # of a table that was exported
    others = [
        (i, column)
        for i, column in enumerate(table.columns)
        if column and column != x and column.lower() not in own
    ]
    for name in Y_NAMES:
        if sum(column.lower() == name for _, column in others) == 1:
            return find_column(table, name)
    usable = [(i, column) for i, column in others if not _NOT_VALUES.fullmatch(column)]
    usable = [(i, column) for i, column in usable if not (_COUNTS.fullmatch(column) and _is_whole(table, i))]
    found = [(i, column) for i, column in usable if _holds_numbers(table.cells(i))]
    if len(found) == 1 and _is_whole(table, found[0][0]):
        # a few fractions among remarks may be the values
        found += [(i, column) for i, column in usable if any(map(is_fraction, table.cells(i)))]
    if len(found) > 1:
        raise DataError(
            f"cannot tell which column of {table.name} holds the values: "
            f"{listed(column for _, column in found)}; name it with --y, or say --no-y to start without "
            "values"
        )
    return found[0][1] if found else None


def _holds_numbers(cells: Iterable[str]) -> bool:
    """Whether most filled cells are like numbers: typing errors are reported and do not hide the column."""
    filled = [cell for cell in cells if cell]
    return sum(map(is_number_like, filled)) > len(filled) / 2


def _is_whole(table: Table, index: int) -> bool:
    return all(is_whole(cell) for cell in table.cells(index) if is_number_like(cell))


def listed(columns: Iterable[str]) -> str:
    """Return the names of columns, in quotation marks: of many the first ones."""
    names = list(columns)
    more = f" and {len(names) - _MOST} others" if len(names) > _MOST else ""
    return ", ".join(repr(shortened(name)) for name in names[:_MOST]) + more
