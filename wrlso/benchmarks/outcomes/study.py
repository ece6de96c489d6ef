"""Runs of the study of several goals: one record each, with the values that were told in order."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from wrlso._utils.domination import hypervolume
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count
from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.pairs import PAIRS
from wrlso.benchmarks.outcomes.problems import BOXES, GoalsProblem
from wrlso.benchmarks.records import (
    data_hash,
    machine,
    read_record,
    versions,
    write_record,
)
from wrlso.benchmarks.study import MethodRun, run_missing

__all__ = ["PROBLEMS", "hypervolume_table", "run_outcomes"]

PROBLEMS: dict[str, GoalsProblem] = {problem.name: problem for problem in (*BOXES, *PAIRS)}
_DIGITS = 9


def run_outcomes(
    out: Path,
    problems: Sequence[str] = tuple(PROBLEMS),
    methods: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = (100,),
    *,
    calls: int = 300,
    n_jobs: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Run methods on problems and write one record each; skip finished runs.

    Parameters
    ----------
    out : Path
        Folder of the records.
    problems, methods : sequence of str
    seeds : sequence of int
    calls : int, default=300
        Evaluations of each run, after the start.
    n_jobs : int, default=1
        Processes, -1: one for each core; each run uses one thread.
    progress : bool, default=True

    Raises
    ------
    ParameterError
        For an unknown name, or when the folder holds a run with other options.
    """
    for name, given, known in (("problems", problems, PROBLEMS), ("methods", methods, METHODS)):
        for each in given:
            check_choice(name, each, known)
    check_count("calls", calls)
    runs = [MethodRun(p, m, seed, calls) for seed in seeds for p in problems for m in methods]
    return run_missing(runs, out, _run_and_record, n_jobs, progress)


def _run_and_record(run: MethodRun, out: Path, progress: bool) -> None:
    problem = PROBLEMS[run.problem]
    X, Y = problem.start(run.seed)
    title = f"{run.problem}, {run.method}, seed {run.seed}"
    with ProgressBar(total=run.calls, desc=title, disable=not progress) as bar:
        begin, worked = perf_counter(), process_time()
        told = METHODS[run.method](problem, run.seed, run.calls, bar.update)
        seconds = {"total": perf_counter() - begin, "processor": process_time() - worked}
    write_record(
        run.path(out),
        {
            "kind": "outcomes",
            "problem": run.problem,
            "method": run.method,
            "seed": run.seed,
            "options": run.options(),
            "reference": list(problem.reference),
            "larger": problem.larger,
            "batch": problem.batch,
            "versions": versions(),
            "machine": machine(),
            "starting_data": {"sha256": data_hash(X, Y[:, 0]), "n": len(X)},
            "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
            "start": [[float(f"{value:.{_DIGITS}g}") for value in row] for row in Y],
            "y": [[float(f"{value:.{_DIGITS}g}") for value in row] for row in told],
        },
    )


def hypervolume_table(paths: Sequence[Path], at: Sequence[int] = (50, 100, 200, 300)) -> str:
    """Return mean hypervolumes over seeds, by problem and method, after so many evaluations."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for path in paths:
        record = read_record(path)
        sign = 1.0 if record["larger"] else -1.0
        reference = sign * np.array(record["reference"])
        Y = sign * np.array([*record["start"], *record["y"]])
        n = len(record["start"])
        volumes = [hypervolume(Y[: n + k], reference) for k in at if k <= len(record["y"])]
        found.setdefault((record["problem"], record["method"]), []).append(volumes)
    lines = [f"{'problem':15}{'method':15}{'seeds':>6}" + "".join(f"{k:>10}" for k in at)]
    for (problem, method), rows in found.items():
        means = np.mean(np.array(rows), axis=0)
        lines.append(f"{problem:15}{method:15}{len(rows):>6}" + "".join(f"{v:>10.4f}" for v in means))
    return "\n".join(lines)
