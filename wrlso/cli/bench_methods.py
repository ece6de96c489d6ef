"""Commands of ``wrlso bench`` that compare methods on problems: argument parsing of the studies."""

from typing import Annotated

import typer

from wrlso.cli.bench import Out, Seeds, names_of, parse_seeds

__all__ = ["lab", "outcomes", "realism"]

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
    from wrlso.benchmarks.outcomes.study import OUTCOMES, hypervolume_table

    paths = OUTCOMES.run(out, names_of(problems), names_of(methods), numbers, calls=calls, n_jobs=n_jobs)
    typer.echo(hypervolume_table(paths))


def lab(
    out: Out,
    problems: Annotated[str, typer.Option(help="Any of failing,noisy.")] = "failing,noisy",
    methods: Annotated[
        str, typer.Option(help="Any of default,careless,botorch; careless: without a classifier of failures.")
    ] = "default,careless,botorch",
    seeds: Seeds = "100",
    calls: Calls = 300,
    n_jobs: Jobs = 1,
) -> None:
    """Search where experiments fail or are noisy, and print what failed and how good the best is.

    Finished runs in the folder are not run again.

    Example: wrlso bench lab --problems failing --methods default,careless --seeds 100-102 --out runs
    """
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.outcomes.lab import LAB, lab_table

    paths = LAB.run(out, names_of(problems), names_of(methods), numbers, calls=calls, n_jobs=n_jobs)
    typer.echo(lab_table(paths))


def realism(
    out: Out,
    problems: Annotated[
        str, typer.Option(help="Objectives of GuacaMol, such as zaleplon-mpo, and logp-window.")
    ] = "osimertinib-mpo,perindopril-mpo,logp-window",
    methods: Annotated[
        str, typer.Option(help="Any of default,any,loose,drug-like,neither,genetic,screened.")
    ] = "default,any",
    seeds: Seeds = "100",
    calls: Calls = 60,
    n_jobs: Jobs = 1,
) -> None:
    """Search from 100 molecules, and print whether chemists would make what is proposed.

    Finished runs in the folder are not run again.

    Example: wrlso bench realism --problems osimertinib-mpo --seeds 100-102 --out runs
    """
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.molecules.realism import REALISM, realism_table

    paths = REALISM.run(out, names_of(problems), names_of(methods), numbers, calls=calls, n_jobs=n_jobs)
    typer.echo(realism_table(paths))
