"""A list of candidates in a file: x and names, with every row said that cannot be used."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wrlso.campaign.assays import keep_only
from wrlso.campaign.columns import find_column, guess_x_column
from wrlso.campaign.start_table import Form, without_names
from wrlso.campaign.tables import Table, explain, plural, read_table, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from wrlso.catalogue import Catalogue
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["candidates_of", "check_candidates", "names_column", "read_candidates"]

_NAME_COLUMNS = (
    "name", "id", "catalog id", "catalogue id", "catalog number", "catalogue number", "catalog_id", "catalog",
    "compound id", "compound_id", "compound", "molecule name", "title", "zinc_id", "zinc id", "idnumber",
    "vendor id", "code",
)  # fmt: skip
_SHOWN = 20  # rows that cannot be used


def read_candidates(path: "Path", form: Form, model: Any) -> tuple["Catalogue", Table]:
    """Return the candidates in a file, and its table: CSV with a column of x, a SMILES file, or a list.

    Raises
    ------
    DataError
        When the file cannot be read, or it cannot be told which column holds x.
    """
    table = read_table(path, delimiter=form.delimiter)
    names: list[str] | None = list(table.names) if any(table.names) else None
    if not table.is_list:
        table = keep_only(table, form.only)
    x = find_column(table, form.x) if form.x is not None and not table.is_list else guess_x_column(table)
    column = None if table.is_list else names_column(table, x)
    if column is not None:
        names = table.column(column)
    if not table.is_list:
        table = without_names(table, x, model)
    filled = [i for i, row in enumerate(table.rows) if table.named(row, x)]
    rows = tuple(table.rows[i] for i in filled)
    from wrlso.catalogue import Catalogue

    texts = [table.named(row, x) for row in rows]
    catalogue = Catalogue(texts, None if names is None else [names[i] for i in filled])
    remarks = [] if column is None else [f"names of candidates are in the column {column!r} of {table.name}"]
    return catalogue, replace(table, rows=rows, remarks=remarks)


def names_column(table: Table, x: str) -> str | None:
    """Return the column of names, where its title says that it is one."""
    for name in _NAME_COLUMNS:
        if any(column.lower() == name and column != x for column in table.columns):
            return find_column(table, name)
    return None


def check_candidates(opt: "WeightedRetrainingOptimizer", table: Table) -> list[str]:
    """Look at all candidates of an optimizer that was given them; return what is to be said of them.

    Raises
    ------
    DataError
        When the model can read none of them.
    """
    shelf = opt._session.identified()
    bad = shelf.unreadable()
    problems = [
        f"row {table.rows[i].number}: {_problem(opt.model, shelf.catalogue[i])}" for i in bad[:_SHOWN]
    ]
    n = len(shelf)
    if len(bad) == n:
        raise explain(f"{table.name}: none of {plural(n, 'candidate')} can be read", problems, n)
    n_good = n - len(bad)
    n_different = len(np.unique(shelf.keys[shelf.keys != 0]))
    lines = [f"{plural(n_different, 'candidate')} in {table.name}"]
    lines[0] += f" ({plural(n_good - n_different, 'row')} of repeated x)" if n_good > n_different else ""
    if len(bad):
        verb = "is" if len(bad) == 1 else "are"
        lines.append(f"{plural(len(bad), 'row')} of {table.name} cannot be read and {verb} left out:")
        lines += [f"  {problem}" for problem in problems]
        lines += [f"  and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
    return [*table.remarks, *lines]


def candidates_of(campaign: "Path", info: Mapping[str, Any]) -> "Catalogue | None":
    """Return the candidates of a campaign that is only looked at."""
    name = info["parameters"].get("candidates")
    if not isinstance(name, str):
        return None
    from wrlso.storage.catalogue import read_catalogue

    return read_catalogue(campaign, name)


def _problem(model: Any, x: str) -> str:
    try:
        model.tensorize([x])
    except (ValueError, TypeError, LookupError) as error:  # also what a user's own model raises
        return unreadable(x, error)
    return f"the model cannot read {x:.80}"
