"""The command ``wrlso bench sequences``: argument parsing of the study."""

from typing import Annotated

import typer

from wrlso.cli.bench import Out, Seeds, names_of, parse_seeds, records_in

__all__ = ["sequences"]


def sequences(
    out: Out,
    problems: Annotated[
        str, typer.Option(help="Any of ehrlich-5,-15,-64, rna-loops,-cross,-bulges.")
    ] = "ehrlich-5,ehrlich-15,ehrlich-64",
    methods: Annotated[
        str, typer.Option(help="Any of both,weighting,retraining,neither,genetic; rnainverse.")
    ] = "both,genetic",
    seeds: Seeds = "100",
    calls: Annotated[int, typer.Option(min=1, help="Sequences evaluated in a run.")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="Sequences asked for at once.")] = 10,
    n_jobs: Annotated[
        int, typer.Option("--jobs", "--n-jobs", min=1, help="Processes; each run uses one thread.")
    ] = 1,
) -> None:
    """Maximise Ehrlich functions or design RNA, beside a genetic algorithm with the same start and calls.

    Problems of RNA need ViennaRNA, and end once they are solved; rnainverse is for them alone.
    Development uses seeds 100 and up. Finished runs in the folder are not run again.

    Example: wrlso bench sequences --problems ehrlich-15 --seeds 100-104 --out runs
      wrlso bench sequences --problems rna-loops,rna-cross --methods both,genetic,rnainverse --out runs
    """
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.sequences.study import run_sequences, summary_lines

    paths = run_sequences(
        out,
        names_of(problems),
        names_of(methods),
        numbers,
        calls=calls,
        batch=batch,
        n_jobs=n_jobs,
    )
    typer.echo(records_in(paths, out))
    for line in summary_lines(out):
        typer.echo(line)
