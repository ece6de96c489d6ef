"""Runs of the study of several goals: one record each, with the values that were told in order."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._utils.domination import hypervolume
from wrlso.benchmarks.method_study import Done, MethodRun, MethodStudy
from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.pairs import PAIRS
from wrlso.benchmarks.outcomes.problems import BOXES, GoalsProblem
from wrlso.benchmarks.records import data_hash, read_record

__all__ = ["OUTCOMES", "PROBLEMS", "hypervolume_table"]

PROBLEMS: dict[str, GoalsProblem] = {problem.name: problem for problem in (*BOXES, *PAIRS)}
_DIGITS = 9


def _work(run: MethodRun, done: Done) -> dict[str, Any]:
    problem = PROBLEMS[run.problem]
    X, Y = problem.start(run.seed)
    told = METHODS[run.method](problem, run.seed, run.calls, partial(done, 1))
    return {
        "reference": list(problem.reference),
        "larger": problem.larger,
        "batch": problem.batch,
        "starting_data": {"sha256": data_hash(X, Y[:, 0]), "n": len(X)},
        "start": [[float(f"{value:.{_DIGITS}g}") for value in row] for row in Y],
        "y": [[float(f"{value:.{_DIGITS}g}") for value in row] for row in told],
    }


OUTCOMES = MethodStudy("outcomes", PROBLEMS, METHODS, _work)
"""Searches with two goals."""


def hypervolume_table(paths: Sequence[Path], at: Sequence[int] = (50, 100, 200, 300)) -> str:
    """Return mean hypervolumes over seeds, by problem and method, after so many evaluations."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    records = [read_record(path) for path in paths]
    most = max((len(record["y"]) for record in records), default=0)
    at = [*(k for k in at if k < most), most]  # of short runs what there is
    for record in records:
        sign = 1.0 if record["larger"] else -1.0
        reference = sign * np.array(record["reference"])
        Y = sign * np.array([*record["start"], *record["y"]])
        n = len(record["start"])
        volumes = [hypervolume(Y[: n + k], reference) if k <= len(record["y"]) else math.nan for k in at]
        found.setdefault((record["problem"], record["method"]), []).append(volumes)
    lines = [f"{'problem':15}{'method':15}{'seeds':>6}" + "".join(f"{k:>10}" for k in at)]
    for (problem, method), rows in found.items():
        means = np.mean(np.array(rows), axis=0)
        lines.append(f"{problem:15}{method:15}{len(rows):>6}" + "".join(f"{v:>10.4f}" for v in means))
    return "\n".join(lines)
