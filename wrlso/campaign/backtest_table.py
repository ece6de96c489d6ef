"""A backtest on a user's table: read as ``wrlso init`` reads it, and written where it is wanted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrlso.campaign.assays import check_values, keep_only
from wrlso.campaign.model_names import make_model, set_salts
from wrlso.campaign.outcome_columns import OutcomeColumns
from wrlso.campaign.start_table import (
    AS_BEFORE,
    Form,
    choose_columns,
    learn_tokens,
    read_start,
    without_names,
)
from wrlso.campaign.tables import check_place, plural, read_table, reserve
from wrlso.exceptions import DataError, ParameterError
from wrlso.outcomes import Reading

if TYPE_CHECKING:
    from wrlso.run.backtest_result import BacktestResult

__all__ = ["FORMATS", "backtest_table", "check_out"]

FORMATS = (".html", ".svg", ".png", ".csv")


def backtest_table(
    path: Path,
    *,
    model: str,
    form: Form = AS_BEFORE,
    salts: str | None = None,
    out: Path | None = None,
    force: bool = False,
    **options: Any,
) -> list[str]:
    """Replay a table, and return what to say of it.

    Parameters
    ----------
    path : Path
        As for :func:`wrlso.campaign.init`. Rows without a value are left out; one that failed is a query
        that finds nothing.
    model : str
        A built-in name, ``package.module:factory`` or a file.
    form : Form
    salts : {"refuse", "largest"}, default=None
    out : Path, default=None
        Where to write: a page (.html), a picture (.svg, .png) or all numbers (.csv).
    force : bool, default=False
        Whether the file may be overwritten.
    **options
        Of :func:`wrlso.backtest`.

    Raises
    ------
    DataError
        When the table cannot be used; notes name every bad row.
    ParameterError
        When the file cannot be written there.
    """
    check_out(out, force=force)
    table = keep_only(read_table(path, delimiter=form.delimiter), form.only)
    if table.is_list:
        raise DataError(f"{table.name} has no values to replay: give a table with a column of them")
    x, y, decimal, lines = choose_columns(table, form, True)
    if y is None:
        raise DataError(f"{table.name} has no values to replay: give a table with a column of them")
    table, _ = check_values(table, x, y, {})
    generative = make_model(model, options.get("random_state") or 0)
    set_salts(generative, salts)
    table = without_names(table, x, generative)
    lines = [*table.remarks, *lines, *learn_tokens(table, x, generative)]
    columns = OutcomeColumns.beside(table, {"": y})
    X, told, failed = read_start(table, x, columns, decimal, generative, "so nothing was replayed")
    from wrlso.run.backtest import backtest

    known = [
        (x, value.value if isinstance(value, Reading) else value)
        for x, value in zip(X, told, strict=True)
        if value is not None and not getattr(value, "bound", "")
    ]
    n_bounds = sum(bool(getattr(value, "bound", "")) for value in told)
    if n_bounds:
        lines.append(f"{plural(n_bounds, 'row')} with a bound, such as '>10', left out")
    n_blank = len(X) - len(known) - len(failed) - n_bounds
    if n_blank:
        lines.append(f"{plural(n_blank, 'row')} without a value left out")
    if failed:
        lines.append(f"{plural(len(failed), 'row')} failed: queries that find nothing")
    objects = [x for x, _ in known] + failed
    result = backtest(objects, [v for _, v in known] + [None] * len(failed), model=generative, **options)
    if out is not None:
        write_result(result, out, force=force)
        lines.append(f"written to {out}")
    return [*lines, "", *repr(result).split("\n")]


def check_out(out: Path | None, *, force: bool = False) -> None:
    """Raise ParameterError for a file that cannot be written."""
    if out is None:
        return
    if out.suffix.lower() not in FORMATS:
        raise ParameterError(f"--out must end in {', '.join(FORMATS)}, got {str(out)!r}")
    check_place(out, force=force)


def write_result(result: "BacktestResult", out: Path, *, force: bool = False) -> None:
    """Write a result in the form that the file's name says."""
    kind = out.suffix.lower()
    if kind in (".svg", ".png"):
        figure: Any = result.plot().figure_
        figure.savefig(out, dpi=150, metadata={"Date": None} if kind == ".svg" else None)
        return
    with reserve(out, force=force) as stream:
        if kind == ".csv":
            stream.write(result.to_csv())
        else:
            stream.write(
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest</title>'
                f"{result.to_html()}</html>\n"
            )
