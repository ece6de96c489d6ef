"""The command that replays a table of measurements: argument parsing only."""

from pathlib import Path
from typing import Annotated

import typer

from wrlso.cli.campaign import DecimalSign, Delimiter, Force, Only, Salts, XColumn, form_of, say, verbosity
from wrlso.exceptions import ParameterError

__all__ = ["backtest"]


def backtest(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV: x and values.", show_default=False)],
    model: Annotated[
        str,
        typer.Option(
            envvar="WRLSO_MODEL",
            metavar="NAME",
            help="Built-in model, package.module:factory, or a file of weights.",
        ),
    ] = "selfies",
    maximize: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of values, of which large ones are better.")
    ] = None,
    minimize: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of values, of which small ones are better.")
    ] = None,
    x: XColumn = None,
    start: Annotated[
        int | None, typer.Option(min=1, help="Random rows known at the start.  [default: 10]")
    ] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Rows that are asked for.  [default: 100, or half of the table]")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Rows asked for at once.  [default: a tenth of the queries]")
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Replays, each from other random rows.")] = 10,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.  [default: all processors]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same result.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a page, picture or table: .html .svg .png .csv")
    ] = None,
    force: Force = False,
    decimal_comma: DecimalSign = None,
    delimiter: Annotated[Delimiter | None, typer.Option(help="Between cells.  [default: detected]")] = None,
    only: Only = None,
    salts: Annotated[
        Salts | None, typer.Option(help="Salts and mixtures: refuse them, or take the largest fragment.")
    ] = None,
) -> None:
    """Would the search have helped? Replay a table of measurements, from a few random rows.

    The search may ask only for rows of the table. It is compared with single processes, a random choice and
    the best possible, and one sentence says whether it would have helped on these data. Blank values are left
    out; 'failed' is a query that finds nothing.

    For example:
      wrlso backtest assay.csv --maximize pIC50 --out backtest.html
      wrlso backtest formulas.csv --model expressions --minimize error --batch 4
    """
    if maximize is not None and minimize is not None:
        raise ParameterError("give --maximize or --minimize, and not both")
    from wrlso.campaign.backtest_table import backtest_table

    lines = backtest_table(
        table,
        model=model,
        form=form_of(x, maximize or minimize, delimiter, decimal_comma, only),
        salts=None if salts is None else salts.value,
        out=out,
        force=force,
        direction="maximize" if minimize is None else "minimize",
        n_start=start,
        n_queries=queries,
        batch_size=batch,
        n_repeats=repeats,
        n_jobs=jobs,
        random_state=seed,
        verbose=verbosity(),
    )
    say(lines)
