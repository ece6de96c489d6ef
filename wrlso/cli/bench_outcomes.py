"""The commands ``wrlso bench outcomes`` and ``wrlso bench lab``: argument parsing of the studies."""

from typing import Annotated

import typer

from wrlso.cli.bench import Out, Seeds, parse_seeds

__all__ = ["lab", "outcomes"]

Calls = Annotated[int, typer.Option(min=1, help="Experiments of a run, after the start.")]
Jobs = Annotated[int, typer.Option("--jobs", "--n-jobs", min=1, help="Processes; each run uses one thread.")]


def outcomes(
    out: Out,
    problems: Annotated[
        str, typer.Option(help="Any of branin-currin,zdt1,perindopril,osimertinib,qed-window.")
    ] = "branin-currin,zdt1,perindopril,osimertinib,qed-window",
    methods: Annotated[
        str,
        typer.Option(help="Any of default,hypervolume,parego,scalarisation,latent,nsga2,botorch."),
    ] = "default,scalarisation,latent,nsga2,botorch",
    seeds: Seeds = "100",
    calls: Calls = 300,
    n_jobs: Jobs = 1,
) -> None:
    """Search with two goals, beside NSGA-II and BoTorch, and print mean hypervolumes.

    Finished runs in the folder are not run again.

    Example: wrlso bench outcomes --problems osimertinib --methods default,nsga2 --seeds 100-102 --out runs
    """
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.outcomes.study import hypervolume_table, run_outcomes

    paths = run_outcomes(out, _names(problems), _names(methods), numbers, calls=calls, n_jobs=n_jobs)
    typer.echo(hypervolume_table(paths))


def lab(
    out: Out,
    runs: Annotated[
        str, typer.Option(help="PROBLEM:METHOD of failing or noisy, and default, careless or botorch.")
    ] = "failing:default,failing:careless,noisy:default,noisy:botorch",
    seeds: Seeds = "100",
    calls: Calls = 300,
    n_jobs: Jobs = 1,
) -> None:
    """Search where experiments fail or are noisy, and print what failed and how good the best is.

    Finished runs in the folder are not run again.

    Example: wrlso bench lab --runs failing:default,failing:careless --seeds 100-102 --out runs
    """
    numbers = parse_seeds(seeds)
    pairs = [run.partition(":") for run in _names(runs)]
    if not all(method for _, _, method in pairs):
        raise typer.BadParameter(f"expected runs such as failing:default,noisy:botorch, got {runs!r}")
    from wrlso.benchmarks.outcomes.lab import lab_table, run_lab

    named = [(problem, method) for problem, _, method in pairs]
    typer.echo(lab_table(run_lab(out, named, numbers, calls=calls, n_jobs=n_jobs)))


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
