"""The commands ``wrlso bench …``: argument parsing of the studies."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "EXPRESSIONS_PEERS",
    "MOLECULES_PEERS",
    "Config",
    "ConfigOption",
    "Data",
    "DataOption",
    "Epochs",
    "ExpressionsConfig",
    "ExpressionsSearch",
    "Half",
    "Identity",
    "LatentDim",
    "MoleculesConfig",
    "MoleculesData",
    "MoleculesSurrogate",
    "Network",
    "Out",
    "Pretrain",
    "Search",
    "Seeds",
    "Setting",
    "Subset",
    "bench",
    "draws",
    "expressions",
    "molecules",
    "names_of",
    "panel",
    "parse_numbers",
    "parse_seeds",
    "parse_settings",
    "plot",
    "records_in",
    "scores",
    "shapes",
]


class Setting(StrEnum):
    """The four settings of the paper."""

    neither = "neither"
    weighting = "weighting"
    retraining = "retraining"
    both = "both"


class Search(StrEnum):
    """How the next query is found."""

    oracle = "oracle"
    gp = "gp"


class Data(StrEnum):
    """Starting data of the shapes task."""

    released = "released"
    dsprites = "dsprites"


class Config(StrEnum):
    """Whose protocol a study follows."""

    default = "default"
    released = "released"
    preprint = "preprint"


bench = typer.Typer(
    help="Seeded studies: run them (a record for every run), draw their curves and tables.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_LARGEST_SEED = 2**32 - 1  # what NumPy's RandomState takes


# by name, as the studies that run them take seconds to import
EXPRESSIONS_PEERS = ("random", "genetic")
MOLECULES_PEERS = ("random", "subset", "genetic", "screened")


def parse_seeds(text: str) -> list[int]:
    """Read seeds such as "0-4" or "0,2,7-9"."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise typer.BadParameter(f"expected seeds such as 0-4 or 0,2,7, got {text!r}")
        largest = int(last if dash else first)
        if largest > _LARGEST_SEED:
            raise typer.BadParameter(f"expected seeds of at most {_LARGEST_SEED}, got {text!r}")
        seeds += range(int(first), largest + 1)
    return list(dict.fromkeys(seeds))


def records_in(paths: Sequence[Path], out: Path) -> str:
    """Return how many records a study has in its folder."""
    n = len({path for path in paths if path.exists()})
    return f"{n} record{'' if n == 1 else 's'} in {out}"


def _folder(path: Path) -> Path:
    """Return a folder that records can be written to, before what takes long begins."""
    from wrlso._utils.files import check_folder

    check_folder(path)
    return path


def names_of(text: str) -> list[str]:
    """Read names such as "failing, noisy"."""
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def parse_numbers(text: str) -> list[float]:
    """Read positive numbers such as "1e-5,1e-3,inf"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"expected numbers such as 1e-3,inf, got {text!r}") from None


def parse_settings(text: str, peers: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Read names such as "neither,both,genetic": return those of settings and those of peers."""
    names = names_of(text)
    known = [*Setting, *peers]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"expected some of {', '.join(known)}, got {name!r}")
    return [name for name in names if name not in peers], [name for name in names if name in peers]


Out = Annotated[
    Path,
    typer.Option(callback=_folder, help="Folder of the records; finished runs in it are not run again."),
]


Seeds = Annotated[str, typer.Option(help="Seeds: 0-4, or 0,2,7.")]


ConfigOption = Annotated[Config, typer.Option(help="Protocol: ours, the released code's, the preprint's.")]


DataOption = Annotated[Data | None, typer.Option(help="Starting data.  [default: the config's]")]


Subset = Annotated[int | None, typer.Option(min=1, help="Sample this many starting images for each seed.")]


Network = Annotated[str | None, typer.Option(help="coordinate, small, preprint or released.")]


LatentDim = Annotated[int | None, typer.Option(min=1, help="Latent dimension d.")]


Epochs = Annotated[float | None, typer.Option(min=0, help="Epochs of a setting's initial training.")]


Pretrain = Annotated[float | None, typer.Option(min=0, help="Epochs of the shared uniform pretraining.")]


@bench.command()
def shapes(
    out: Out,
    settings: Annotated[str, typer.Option(help="Any of neither,weighting,retraining,both.")] = ",".join(
        Setting
    ),
    seeds: Seeds = "0-4",
    config: ConfigOption = Config.default,
    data: DataOption = None,
    subset: Subset = None,
    search: Annotated[
        Search | None,
        typer.Option(help="Oracle grid (looks at the true objective) or LogEI on a GP.  [default: oracle]"),
    ] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Queries M.  [default: 500]")] = None,
    k: Annotated[float | None, typer.Option(help="Rank-weighting parameter, up to inf.")] = None,
    r: Annotated[int | None, typer.Option(min=1, help="Retrain every r new values.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Points asked for at once.  [default: r (oracle), 1 (gp)]")
    ] = None,
    network: Network = None,
    latent_dim: LatentDim = None,
    pretrain_epochs: Pretrain = None,
    initial_epochs: Epochs = None,
    retrain_epochs: Annotated[float | None, typer.Option(min=0, help="Epochs of a retraining.")] = None,
    transform: Annotated[
        str | None, typer.Option(help="What the GP does to y: standardize, winsorize, floor or rank.")
    ] = None,
    thompson: Annotated[
        int | None,
        typer.Option(min=0, max=4, help="How many of five points come from Thompson sampling (gp)."),
    ] = None,
    n_jobs: Annotated[int, typer.Option(min=1, help="Processes; each run uses one thread.")] = 1,
) -> None:
    """Maximise the area of a 64 × 64 image, in the four settings of the paper.

    Options that are not given are those of the configuration, and all of them are in the records.

    Example: wrlso bench shapes --config released --seeds 0-4 --out runs
    """
    names, _ = parse_settings(settings)
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.study import run_study

    study = _shapes_study(
        config, data=data, subset=subset, search=search, budget=budget, k=k, r=r, batch=batch,
        network=network, latent_dim=latent_dim, pretrain_epochs=pretrain_epochs,
        initial_epochs=initial_epochs, retrain_epochs=retrain_epochs, transform=transform,
        thompson=thompson,
    )  # fmt: skip
    paths = run_study(study, names, numbers, out, n_jobs=n_jobs)
    typer.echo(f"{records_in(paths, out)}; draw them with: wrlso bench plot {out}")


class ExpressionsConfig(StrEnum):
    """Whose protocol a study of expressions follows."""

    default = "default"
    behaviour = "behaviour"
    auto = "auto"
    released = "released"
    successors = "successors"


class Identity(StrEnum):
    """What makes two expressions the same point."""

    values = "values"
    text = "text"


class ExpressionsSearch(StrEnum):
    """What the Gaussian process models and how its acquisition is maximised."""

    features = "features"
    latent = "latent"
    latent_ascent = "latent-ascent"
    behaviour = "behaviour"
    auto = "auto"


@bench.command()
def expressions(
    out: Out,
    settings: Annotated[
        str, typer.Option(help="Any of neither,weighting,retraining,both; and the peers random,genetic.")
    ] = ",".join(Setting),
    seeds: Seeds = "0-2",
    config: Annotated[
        ExpressionsConfig, typer.Option(help="Ours, the defaults with or without values, or others'.")
    ] = ExpressionsConfig.default,
    target: Annotated[
        str | None, typer.Option(help="reference, paper, or an expression of x.  [default: reference]")
    ] = None,
    identity: Annotated[
        Identity | None, typer.Option(help="What makes two expressions one point.  [default: the config's]")
    ] = None,
    search: Annotated[
        ExpressionsSearch | None,
        typer.Option(help="GP on tree fragments or Z; log EI maximised in Z; or the defaults."),
    ] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Queries M.  [default: 500]")] = None,
    n_start: Annotated[int | None, typer.Option(min=1, help="Starting expressions.")] = None,
    k: Annotated[float | None, typer.Option(help="Rank-weighting parameter, up to inf.")] = None,
    r: Annotated[int | None, typer.Option(min=1, help="Retrain every r new values.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Points asked for at once.")] = None,
    network: Annotated[str | None, typer.Option(help="dense or paper.")] = None,
    initial_epochs: Epochs = None,
    retrain_epochs: Annotated[float | None, typer.Option(min=0, help="Epochs of a retraining.")] = None,
    n_jobs: Annotated[int, typer.Option(min=1, help="Processes; each run uses one thread.")] = 1,
) -> None:
    """Recover a formula from its values, starting from the worse half of 100,000 expressions.

    Example: wrlso bench expressions --settings both,genetic --seeds 0-9 --out runs
    """
    names, peers = parse_settings(settings, EXPRESSIONS_PEERS)
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.expressions.study import expressions_study, run_peers
    from wrlso.benchmarks.study import run_study

    study = expressions_study(
        config.value, target=target, identity=None if identity is None else identity.value,
        search=None if search is None else search.value, budget=budget, n_start=n_start, k=k, r=r,
        batch=batch, network=network, initial_epochs=initial_epochs, retrain_epochs=retrain_epochs,
    )  # fmt: skip
    paths = run_peers(study, peers, numbers, out)
    if names:
        paths += run_study(study, names, numbers, out, n_jobs=n_jobs)
    typer.echo(f"{records_in(paths, out)}; draw them with: wrlso bench plot {out}")


class MoleculesConfig(StrEnum):
    """Which of our protocols a study of molecules follows."""

    default = "default"
    capped = "capped"
    junction_tree = "junction-tree"
    development = "development"


class MoleculesData(StrEnum):
    """Starting molecules."""

    zinc250k = "zinc250k"
    shipped = "shipped"


class MoleculesSurrogate(StrEnum):
    """What the Gaussian process models."""

    tanimoto = "tanimoto"
    latent = "latent"


@bench.command()
def molecules(
    out: Out,
    settings: Annotated[
        str,
        typer.Option(
            help="Any of neither,weighting,retraining,both; and the peers random,subset,genetic,screened."
        ),
    ] = ",".join(Setting),
    seeds: Seeds = "0-2",
    config: Annotated[
        MoleculesConfig,
        typer.Option(help="Whole ZINC250k; 38 heavy atoms at most; the paper's model; a trial."),
    ] = MoleculesConfig.default,
    objective: Annotated[
        str | None,
        typer.Option(help="penalized-logp, qed or one of GuacaMol's.  [default: penalized-logp]"),
    ] = None,
    max_heavy_atoms: Annotated[int | None, typer.Option(min=1, help="Largest molecule.")] = None,
    max_ring: Annotated[int | None, typer.Option(min=3, help="Largest ring.  [default: 8]")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=103, help="Longest molecule that is decoded.  [default: 100]")
    ] = None,
    data: Annotated[MoleculesData | None, typer.Option(help="Starting molecules.")] = None,
    n_start: Annotated[
        int | None, typer.Option(min=1, help="How many of them, sampled for each seed.  [default: all]")
    ] = None,
    stereo: Annotated[
        bool | None, typer.Option(help="Whether stereochemistry counts.  [default: no-stereo]")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="selfies, junction-tree, or a model's file.  [default: selfies]")
    ] = None,
    surrogate: Annotated[
        MoleculesSurrogate | None, typer.Option(help="Gaussian process on fingerprints or on Z.")
    ] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Queries M.  [default: 500]")] = None,
    k: Annotated[float | None, typer.Option(help="Rank-weighting parameter, up to inf.")] = None,
    r: Annotated[int | None, typer.Option(min=1, help="Retrain every r new values.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Points asked for at once.")] = None,
    first_steps: Annotated[int | None, typer.Option(min=0, help="Steps of the first training.")] = None,
    later_steps: Annotated[int | None, typer.Option(min=0, help="Steps of a retraining.")] = None,
    n_candidates: Annotated[int | None, typer.Option(min=1, help="Candidates of one ask.")] = None,
    mutate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of mutants.  [default: 0.35]")
    ] = None,
    cross: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of crosses.  [default: 0.35]")
    ] = None,
    n_jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run of ours.")] = 1,
) -> None:
    """Search over molecules, starting from ZINC250k.

    Example: wrlso bench molecules --config capped --settings both,genetic --seeds 0-4 --out runs
    """
    names, peers = parse_settings(settings, MOLECULES_PEERS)
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.molecules.study import molecules_study, run_peers
    from wrlso.benchmarks.study import run_study

    study = molecules_study(
        config.value, goal=objective, max_heavy_atoms=max_heavy_atoms, max_ring=max_ring,
        max_tokens=max_tokens, data=None if data is None else data.value, n_start=n_start,
        stereo=stereo, model=model,
        surrogate=None if surrogate is None else surrogate.value, budget=budget, k=k, r=r, batch=batch,
        first_steps=first_steps, later_steps=later_steps, n_candidates=n_candidates, mutate=mutate,
        cross=cross,
    )  # fmt: skip
    paths = run_study(study, names, numbers, out, n_jobs=n_jobs, threads=threads)
    paths += run_peers(study, peers, numbers, out)
    typer.echo(f"{records_in(paths, out)}; draw them with: wrlso bench plot {out}")


class Half(StrEnum):
    """The halves of the panel."""

    development = "development"
    confirmation = "confirmation"


@bench.command()
def panel(
    out: Out,
    half: Annotated[Half | None, typer.Option(help="Problems to run.  [default: both halves]")] = None,
    problems: Annotated[str | None, typer.Option(help="Problems by name, instead of a half.")] = None,
    starts: Annotated[str, typer.Option(help="Any of poor,rich,tiny.")] = "poor,rich,tiny",
    peers: Annotated[
        str | None,
        typer.Option(
            help="Any of both,retraining,weighting,neither,prior,genetic,evolution,local,tpe,qlognei."
            "  [default: all]"
        ),
    ] = None,
    seeds: Seeds = "100",
    calls: Annotated[int, typer.Option(min=1, help="Calls of the objective in a run.")] = 200,
    n_jobs: Annotated[
        int, typer.Option("--jobs", "--n-jobs", min=1, help="Processes; each run uses one thread.")
    ] = 1,
) -> None:
    """Compare the defaults, with nothing set, with other methods on problems of many kinds.

    Development uses seeds 100 and up; the confirmation half is run once, when the defaults are frozen.

    Example: wrlso bench panel --half development --peers both,genetic --seeds 100-104 --jobs 2 --out runs
    """
    numbers = parse_seeds(seeds)
    from wrlso.benchmarks.panel.peers import PEERS
    from wrlso.benchmarks.panel.study import panel_names, run_panel

    names = panel_names(
        None if half is None else half.value, None if problems is None else names_of(problems)
    )
    paths = run_panel(
        out, names, names_of(starts), list(PEERS) if peers is None else names_of(peers), numbers,
        calls=calls, n_jobs=n_jobs,
    )  # fmt: skip
    typer.echo(f"{records_in(paths, out)}; make their tables with: wrlso bench plot {out}")


@bench.command()
def draws(
    out: Out,
    ks: Annotated[str, typer.Option("--k", help="Rank-weighting parameters.")] = "1e-5,1e-3,1e-1,inf",
    seeds: Seeds = "0",
    config: Annotated[
        MoleculesConfig, typer.Option(help="As of wrlso bench molecules.")
    ] = MoleculesConfig.junction_tree,
    objective: Annotated[
        str | None, typer.Option(help="As of wrlso bench molecules.  [default: penalized-logp]")
    ] = None,
    model: Annotated[str | None, typer.Option(help="selfies, junction-tree, or a model's file.")] = None,
    first_steps: Annotated[int | None, typer.Option(min=0, help="Steps of the first training.")] = None,
    n_samples: Annotated[int, typer.Option(min=1, help="Samples from the prior.")] = 5000,
) -> None:
    """Train a model of molecules with each k and record the scores of its samples (paper, Fig. 10)."""
    values, numbers = parse_numbers(ks), parse_seeds(seeds)
    from wrlso.benchmarks.molecules.first_training import sample_scores
    from wrlso.benchmarks.molecules.study import molecules_study

    study = molecules_study(config.value, goal=objective, model=model, first_steps=first_steps)
    paths = sample_scores(study, values, numbers, out, n_samples=n_samples)
    typer.echo(f"{records_in(paths, out)}; draw them with: wrlso bench plot {out}")


@bench.command()
def scores(
    out: Out,
    ks: Annotated[str, typer.Option("--k", help="Rank-weighting parameters.")] = "1e-5,1e-3,1e-1,inf",
    seeds: Seeds = "0",
    config: ConfigOption = Config.default,
    data: DataOption = None,
    subset: Subset = None,
    network: Network = None,
    latent_dim: LatentDim = None,
    pretrain_epochs: Pretrain = None,
    initial_epochs: Epochs = None,
    n_samples: Annotated[int, typer.Option(min=1, help="Samples from the prior.")] = 5000,
) -> None:
    """Train a shapes model with each k and record the areas of what it generates.

    Samples from the prior and a uniform enumeration of the latent space (paper, Figs. 3 and 8).
    """
    values, numbers = parse_numbers(ks), parse_seeds(seeds)
    from wrlso.benchmarks.shapes.study import sample_scores

    study = _shapes_study(
        config, data=data, subset=subset, network=network, latent_dim=latent_dim,
        pretrain_epochs=pretrain_epochs, initial_epochs=initial_epochs,
    )  # fmt: skip
    paths = sample_scores(study, values, numbers, out, n_samples=n_samples)
    typer.echo(f"{records_in(paths, out)}; draw them with: wrlso bench plot {out}")


@bench.command()
def plot(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of records.")],
    released: Annotated[
        Path | None, typer.Option(help="JSON file of published curves to draw beside the runs.")
    ] = None,
) -> None:
    """Draw TopK curves and score distributions and write a table, from the records in DIR only."""
    from wrlso.benchmarks.summaries import summarize

    for path in summarize(folder, released=released):
        typer.echo(path)
        if path.suffix == ".md":
            typer.echo(path.read_text(encoding="utf-8"))


def _shapes_study(config: Config, **options: Any) -> Any:
    from wrlso.benchmarks.shapes.study import shapes_study

    plain = {name: getattr(value, "value", value) for name, value in options.items()}
    return shapes_study(config.value, **plain)
