"""The command line: argument parsing only; the work is done in :mod:`wrlso.campaign` and the benchmarks."""

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from wrlso._version import __version__
from wrlso.cli.backtest import backtest
from wrlso.cli.bench import Search, bench
from wrlso.cli.bench_methods import lab, outcomes, realism
from wrlso.cli.bench_sequences import sequences
from wrlso.cli.campaign import EXIT_CODES, add_commands, help_of
from wrlso.cli.once import refuse_repeats
from wrlso.cli.serve import serve
from wrlso.exceptions import WrlsoError

__all__ = ["app", "run"]

_INTERRUPTED = 130
_INTERRUPTS = {
    "init": "no campaign was made; the same command begins anew",
    "ask": "points that were found already are pending (wrlso status CAMPAIGN lists them, wrlso ask CAMPAIGN "
    "--pending writes them); else nothing was changed, and the same command asks again",
    "tell": "the file is recorded as a whole or not at all; telling it again records what is missing",
    "retrain": "the model is as it was before; the same command trains again",
    "bench": "runs that had ended are recorded; the same command goes on with the others",
    "backtest": "nothing was written; the same command begins anew",
    "report": "no report was written; the campaign is as it was",
    "export": "no file was written; the campaign is as it was",
    "demo": "no picture was written",
}


app = typer.Typer(
    name="wrlso",
    help="Latent-space optimization with weighted retraining.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app)
app.command(help=help_of(backtest), epilog=EXIT_CODES)(backtest)
app.command(help=help_of(serve), epilog=EXIT_CODES)(serve)
for study in (sequences, outcomes, lab, realism):
    bench.command()(study)
app.add_typer(bench, name="bench")


def run() -> None:
    """Run the command line; expected errors become one line (and one for each bad row) and exit code 1.

    Ctrl-C says what is kept, and how to go on.
    """
    warnings.showwarning = _show_warning
    try:
        app()
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            typer.echo(_after_interrupt(sys.argv[1:]), err=True)
        raise
    except (WrlsoError, OSError) as error:
        notes = [f"  {_one_line(note)}" for note in getattr(error, "__notes__", [])]
        sys.exit("\n".join([f"wrlso: error: {_one_line(error)}", *notes]))


def _after_interrupt(arguments: list[str]) -> str:
    """Return what an interrupted command has left, and how to go on."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    what = _INTERRUPTS.get(command, "nothing was changed")
    return f"wrlso: interrupted: {what}"


def _one_line(text: object) -> str:
    if isinstance(text, OSError) and text.strerror and text.filename:
        text = f"{text.filename}: {text.strerror}"  # without the error number, which users cannot read
    line = " ".join(str(text).split())
    # text from files must not control the terminal
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning in one line, without the place in the code that gave it."""
    typer.echo(f"wrlso: warning: {_one_line(message)}", err=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wrlso {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Latent-space optimization with weighted retraining."""


class DemoTask(StrEnum):
    """What the demonstration searches."""

    molecules = "molecules"
    shapes = "shapes"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Picture to write (PNG).")] = Path("wrlso-demo.png"),
    task: Annotated[DemoTask, typer.Option(help="Molecules, or images.")] = DemoTask.molecules,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same run.")] = 0,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Number of queries.  [default: 100 molecules, 500 images]")
    ] = None,
    search: Annotated[
        Search | None, typer.Option(help="For shapes: oracle grid, or a GP.  [default: oracle]")
    ] = None,
) -> None:
    """Watch weighted retraining extrapolate, in one to three minutes.

    Molecules: from 1000 of those that ship, sampled from the model that ships, it searches for a better
    ranolazine (GuacaMol's objective), and draws the best molecules over time and the progress curve.

    Shapes: from squares of at most 400 pixels it grows 64 × 64 images towards all 4,096 pixels, and draws the
    best images over time, the progress curve and the latent manifold.
    """
    if search is not None and task is not DemoTask.shapes:
        raise typer.BadParameter("--search is for --task shapes", param_hint="--search")
    from wrlso.campaign.tables import check_place

    out.parent.mkdir(parents=True, exist_ok=True)
    check_place(out, force=True)
    if task is DemoTask.shapes:
        from wrlso.benchmarks.shapes.demo import run_demo

        chosen = Search.oracle if search is None else search
        typer.echo(run_demo(out, seed=seed, budget=500 if budget is None else budget, search=chosen.value))
        return
    from wrlso.benchmarks.molecules.demo import run_molecules_demo

    typer.echo(run_molecules_demo(out, seed=seed, budget=100 if budget is None else budget))


refuse_repeats(app)
