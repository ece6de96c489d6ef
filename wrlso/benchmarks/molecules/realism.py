"""Searches from 100 molecules: their best values, and whether chemists would make what they propose.

``wrlso bench realism --out FOLDER --seeds 100-101``

Each run starts with 100 random molecules of ZINC250k and asks for ten molecules at a time, by
:func:`wrlso.molecules.molecule_search` as it is or with a setting changed, or by a genetic algorithm. Records
hold every proposal. Synthetic accessibility and ChEMBL's alerts take no part in the search.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._chemistry.alerts import catalogue
from wrlso._chemistry.scores import logp, synthetic_accessibility
from wrlso._chemistry.smiles import canonical, parse
from wrlso.benchmarks.method_study import Done, MethodRun, MethodStudy
from wrlso.benchmarks.molecules.peers import Objective, Trace, graph_ga, screened_ga
from wrlso.benchmarks.records import data_hash, read_record
from wrlso.benchmarks.study import quiet_about_small_k
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.molecules import molecule_search
from wrlso.tasks.molecules.guacamol import GUACAMOL_OBJECTIVES, guacamol_objective
from wrlso.weighting import UniformWeighting

__all__ = ["METHODS", "OBJECTIVES", "PEERS", "REALISM", "measured", "realism_table"]


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

_START = 100
_BATCH = 10
_SHOWN = 60  # proposals whose properties the table shows


def measured(X: Sequence[str]) -> dict[str, list[float]]:
    """Return by name, for n SMILES, whether they pass alerts of BRENK and CHEMBL (1 or 0), SA and atoms."""
    molecules: list[Any] = [parse(x) for x in X]
    found = {
        name: [float(not catalogue(name).HasMatch(molecule)) for molecule in molecules]
        for name in ("BRENK", "CHEMBL")
    }
    found["SA"] = [round(synthetic_accessibility(molecule), 3) for molecule in molecules]
    return found | {"atoms": [float(molecule.GetNumHeavyAtoms()) for molecule in molecules]}


def _work(run: MethodRun, done: Done) -> dict[str, Any]:
    molecules, objective = fetch_zinc250k(), OBJECTIVES[run.problem]
    rng = np.random.default_rng(run.seed)
    X = [molecules[row] for row in rng.choice(len(molecules), _START, replace=False)]
    y = [objective(parse(x)) for x in X]

    def score(x: str) -> float:
        done(1)
        return objective(parse(x))

    with quiet_about_small_k():
        if run.method in PEERS:
            told = PEERS[run.method](score, [canonical(x) or x for x in X], y, run.calls, run.seed)
        else:
            told = _searched(run, X, y, score)
    asked = [x for x, _ in told]
    return {
        "starting_data": {"sha256": data_hash(X, np.array(y)), "n": len(X), "best": max(y)}
        | {name: float(np.mean(each)) for name, each in measured(X).items()},
        "y": [float(f"{value:.9g}") for _, value in told],
        "asked": asked,
        "measured": measured(asked),
    }


def _searched(run: MethodRun, X: Sequence[str], y: Sequence[float], score: Objective) -> Trace:
    opt = molecule_search(X, y, random_state=run.seed, **METHODS[run.method])
    told: Trace = []
    while len(told) < run.calls:
        batch = opt.ask(min(_BATCH, run.calls - len(told)))
        values = [score(x) for x in batch]
        opt.tell(batch, values)
        told += zip(batch, values, strict=True)
    return told


def realism_table(paths: Sequence[Path], at: Sequence[int] = (60, 200)) -> str:
    """Return means over seeds, of the first 60 proposals and of the starting data, and best values."""
    names = ("BRENK", "CHEMBL", "SA", "atoms")
    found = [read_record(path) for path in paths]
    most = max((len(record["y"]) for record in found), default=0)
    at = [*(n for n in at if n < most), most]  # of short runs what there is
    lines = [
        f"{'objective':16}{'search':10}{'seeds':>6}"
        + "".join(f"{name:>9}{'(data)':>8}" for name in names)
        + "".join(f"{f'best/{n}':>10}{f'passing/{n}':>12}" for n in at)
    ]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in found:
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


REALISM = MethodStudy("realism", OBJECTIVES, (*METHODS, *PEERS), _work, calls=60)
"""Searches over molecules, and what a chemist would say of their proposals."""
