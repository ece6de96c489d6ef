"""Searches from 100 molecules: their best values, and whether chemists would make what they propose.

``python -m wrlso.benchmarks.molecules.realism --out FOLDER --seeds 100,101 --calls 60``

Each run starts with 100 random molecules of ZINC250k and asks for ten molecules at a time, by
:func:`wrlso.molecules.molecule_search` as it is or with a setting changed, or by a genetic algorithm. Records
hold every proposal. Synthetic accessibility and ChEMBL's alerts take no part in the search.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from wrlso._chemistry.alerts import catalogue
from wrlso._chemistry.scores import logp, synthetic_accessibility
from wrlso._chemistry.smiles import canonical, parse
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count
from wrlso.benchmarks.molecules.peers import Objective, Trace, graph_ga, screened_ga
from wrlso.benchmarks.records import data_hash, machine, read_record, versions, write_record
from wrlso.benchmarks.study import MethodRun, quiet_about_small_k, run_missing, study_parser
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.molecules import molecule_search
from wrlso.tasks.molecules.guacamol import GUACAMOL_OBJECTIVES, guacamol_objective
from wrlso.weighting import UniformWeighting

__all__ = ["METHODS", "OBJECTIVES", "PEERS", "main", "measured", "run_realism", "table"]


def _guacamol(name: str) -> Callable[[Any], float]:
    return lambda molecule: guacamol_objective(name)(molecule)  # its references are read when first used


OBJECTIVES: dict[str, Callable[[Any], float]] = {
    **{name.replace("_", "-"): _guacamol(name) for name in GUACAMOL_OBJECTIVES},
    "logp-window": lambda molecule: -abs(logp(molecule) - 5.0),
}
"""What is searched for, of RDKit's molecule."""

METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "any": {"plausibility": None},
    "loose": {"plausibility": 0.0},
    "drug-like": {"feasible": "drug-like"},
    "neither": {"weighting": UniformWeighting(), "retrain_every": None},
}
"""Options of :func:`wrlso.molecules.molecule_search` by name."""

PEERS = {"genetic": graph_ga, "screened": screened_ga}
"""Other methods by name; "screened": our process chooses among the children of the genetic algorithm."""

_PROBLEMS = ("osimertinib-mpo", "perindopril-mpo", "logp-window")
_START = 100
_BATCH = 10
_SHOWN = 60  # proposals whose properties the table shows


def run_realism(
    out: Path,
    problems: Sequence[str] = _PROBLEMS,
    methods: Sequence[str] = ("default", "any"),
    seeds: Sequence[int] = (100,),
    *,
    calls: int = 60,
    n_jobs: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Run methods on objectives and write one record each; skip finished runs.

    Parameters
    ----------
    out : Path
        Folder of the records.
    problems, methods : sequence of str
        Names of :data:`OBJECTIVES`, and of :data:`METHODS` and :data:`PEERS`.
    seeds : sequence of int
    calls : int, default=60
        Proposals of each run.
    n_jobs : int, default=1
        Processes, -1: one for each core; each run uses one thread.
    progress : bool, default=True

    Raises
    ------
    ParameterError
        For an unknown name, or when the folder holds a run with other options.
    """
    for name, given, known in (("problems", problems, OBJECTIVES), ("methods", methods, METHODS | PEERS)):
        for each in given:
            check_choice(name, each, known)
    check_count("calls", calls)
    runs = [MethodRun(p, m, seed, calls) for seed in seeds for p in problems for m in methods]
    return run_missing(runs, out, _run_and_record, n_jobs, progress)


def measured(X: Sequence[str]) -> dict[str, list[float]]:
    """Return by name, for n SMILES, whether they pass alerts of BRENK and CHEMBL (1 or 0), SA and atoms."""
    molecules: list[Any] = [parse(x) for x in X]
    found = {
        name: [float(not catalogue(name).HasMatch(molecule)) for molecule in molecules]
        for name in ("BRENK", "CHEMBL")
    }
    found["SA"] = [round(synthetic_accessibility(molecule), 3) for molecule in molecules]
    return found | {"atoms": [float(molecule.GetNumHeavyAtoms()) for molecule in molecules]}


def _run_and_record(run: MethodRun, out: Path, progress: bool) -> None:
    molecules, objective = fetch_zinc250k(), OBJECTIVES[run.problem]
    rng = np.random.default_rng(run.seed)
    X = [molecules[row] for row in rng.choice(len(molecules), _START, replace=False)]
    y = [objective(parse(x)) for x in X]
    begin, worked = perf_counter(), process_time()
    title = f"{run.problem}, {run.method}, seed {run.seed}"
    with quiet_about_small_k(), ProgressBar(total=run.calls, desc=title, disable=not progress) as bar:

        def score(x: str) -> float:
            bar.update(1)
            return objective(parse(x))

        if run.method in PEERS:
            told = PEERS[run.method](score, [canonical(x) or x for x in X], y, run.calls, run.seed)
        else:
            told = _searched(run, X, y, score)
    asked, values = [x for x, _ in told], [value for _, value in told]
    seconds = {"total": perf_counter() - begin, "processor": process_time() - worked}
    write_record(
        run.path(out),
        {
            "kind": "realism",
            "problem": run.problem,
            "method": run.method,
            "seed": run.seed,
            "options": run.options(),
            "versions": versions(),
            "machine": machine(),
            "starting_data": {"sha256": data_hash(X, np.array(y)), "n": len(X), "best": max(y)}
            | {name: float(np.mean(each)) for name, each in measured(X).items()},
            "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
            "y": [float(f"{value:.9g}") for value in values],
            "asked": asked,
            "measured": measured(asked),
        },
    )


def _searched(run: MethodRun, X: Sequence[str], y: Sequence[float], score: Objective) -> Trace:
    opt = molecule_search(X, y, random_state=run.seed, **METHODS[run.method])
    told: Trace = []
    while len(told) < run.calls:
        batch = opt.ask(min(_BATCH, run.calls - len(told)))
        values = [score(x) for x in batch]
        opt.tell(batch, values)
        told += zip(batch, values, strict=True)
    return told


def table(records: Sequence[Mapping[str, Any]], at: Sequence[int] = (60, 200)) -> str:
    """Return means over seeds, of the first 60 proposals and of the starting data, and best values."""
    names = ("BRENK", "CHEMBL", "SA", "atoms")
    lines = [
        f"{'objective':16}{'search':10}{'seeds':>6}"
        + "".join(f"{name:>9}{'(data)':>8}" for name in names)
        + "".join(f"{f'best/{n}':>10}{f'passing/{n}':>12}" for n in at)
    ]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["problem"], record["method"]), []).append(record)
    for (problem, method), group in groups.items():
        line = f"{problem:16}{method:10}{len(group):>6}"
        for name in names:
            ours = np.mean([np.mean(record["measured"][name][:_SHOWN]) for record in group])
            line += f"{ours:9.2f}{np.mean([record['starting_data'][name] for record in group]):8.2f}"
        for n in at:
            for passing in (False, True):
                best = [_best(record, n, passing) for record in group if len(record["y"]) >= n]
                line += f"{np.mean(best) if best else np.nan:{12 if passing else 10}.4f}"
        lines.append(line)
    return "\n".join(lines)


def _best(record: Mapping[str, Any], n: int, passing: bool) -> float:
    """Return the best value of n proposals, or of those without an alert of BRENK; NaN without any."""
    clean = record["measured"]["BRENK"][:n]
    values = [y for y, passes in zip(record["y"][:n], clean, strict=True) if passes or not passing]
    return max(values, default=np.nan)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and print the table."""
    parser = study_parser(__doc__ or "")
    parser.add_argument("--problems", default=",".join(_PROBLEMS))
    parser.add_argument("--methods", default="default,any")
    given = parser.parse_args(arguments)
    problems, methods = given.problems.split(","), given.methods.split(",")
    run_realism(given.out, problems, methods, given.seeds, calls=given.calls, n_jobs=given.jobs)
    print(table([read_record(path) for path in sorted(given.out.glob("*.json"))]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
