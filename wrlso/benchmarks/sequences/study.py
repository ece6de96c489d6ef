"""Ehrlich functions of the sizes that a published comparison has: searches beside a genetic algorithm.

Sizes and numbers of starting sequences are those of González-Duque et al., "A survey and benchmark of
high-dimensional Bayesian optimization of discrete sequences", NeurIPS 2024 (hdbo_benchmark).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from wrlso._sequences.variation import Changes, crossed
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count
from wrlso.benchmarks.records import (
    data_hash,
    machine,
    read_records,
    versions,
    write_record,
)
from wrlso.benchmarks.study import SETTINGS, run_missing, setting_options
from wrlso.sequences import sequence_search
from wrlso.tasks.sequences.ehrlich import Ehrlich

__all__ = ["METHODS", "PROBLEMS", "SequencesRun", "run_sequences", "summary_lines"]

PROBLEMS: Mapping[str, Mapping[str, int]] = {
    "ehrlich-5": {"length": 5, "n_motifs": 1, "motif_length": 4, "n_start": 10},
    "ehrlich-15": {"length": 15, "n_motifs": 2, "motif_length": 5, "n_start": 10},
    "ehrlich-64": {"length": 64, "n_motifs": 4, "motif_length": 10, "n_start": 1000},
}
"""Parameters of the tasks by name."""

METHODS = (*reversed(SETTINGS), "genetic")
"""The four settings of the paper with nothing else set, and a genetic algorithm."""

_PARENTS = 20  # of the genetic algorithm: the best sequences so far
_ATTEMPTS = 5000  # children for one new sequence


@dataclass(frozen=True)
class SequencesRun:
    """One run: a method on a problem with a seed, which is also that of the function."""

    problem: str
    method: str
    seed: int
    calls: int
    batch: int

    def path(self, out: Path) -> Path:
        """Return the file of its record."""
        return out / f"{self.problem}-{self.method}-seed{self.seed}.json"

    def options(self) -> dict[str, Any]:
        """Return what a record must share with a run that is to be skipped."""
        return {"calls": self.calls, "batch": self.batch} | dict(PROBLEMS[self.problem])

    def task(self) -> Ehrlich:
        """Return the task."""
        return Ehrlich(20, seed=self.seed, **PROBLEMS[self.problem])


def run_sequences(
    out: Path,
    problems: Sequence[str] = tuple(PROBLEMS),
    methods: Sequence[str] = ("both", "genetic"),
    seeds: Sequence[int] = (100,),
    *,
    calls: int = 300,
    batch: int = 10,
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
        All methods share the function and the starting data of a seed.
    calls : int, default=300
        Sequences evaluated in each run, infeasible ones included.
    batch : int, default=10
        Sequences asked for at once.
    n_jobs : int, default=1
        Processes, -1: one for each core; each run uses one thread.
    progress : bool, default=True

    Returns
    -------
    list of Path
        The records, including existing ones.

    Raises
    ------
    ParameterError
        For an unknown name, or when the folder holds a run with other options. No run has started then.
    """
    for name, given, known in (("problems", problems, PROBLEMS), ("methods", methods, METHODS)):
        for each in given:
            check_choice(name, each, known)
    check_count("calls", calls)
    check_count("batch", batch)
    runs = [SequencesRun(p, m, s, calls, batch) for s in seeds for p in problems for m in methods]
    return run_missing(runs, out, run_and_record, n_jobs, progress)


def run_and_record(run: SequencesRun, out: Path, progress: bool) -> None:
    """Do a run and write its record, unless another process has written it by now."""
    if run.path(out).exists():
        return
    task = run.task()
    X, y = task.initial_data(run.seed)
    told: list[float | None] = []
    title = f"{run.problem}, {run.method}, seed {run.seed}"
    begin, worked = perf_counter(), process_time()
    with ProgressBar(total=run.calls, desc=title, disable=not progress) as bar:

        def evaluate(batch: Iterable[str]) -> list[float | None]:
            values = [task.objective(x) for x in batch]
            told.extend(values)
            bar.update(len(values))
            return values

        (_genetic if run.method == "genetic" else _searched)(run, task, X, y, evaluate)
    seconds = {"total": perf_counter() - begin, "processor": process_time() - worked}
    write_record(
        run.path(out),
        {
            "kind": "sequences",
            "problem": run.problem,
            "method": run.method,
            "seed": run.seed,
            "options": run.options(),
            "versions": versions(),
            "machine": machine(),
            "threads": torch.get_num_threads(),
            "starting_data": {
                "sha256": data_hash(np.frombuffer("\n".join(X).encode(), dtype=np.uint8), y),
                "n": len(y),
                "best": float(y.max()),
            },
            "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
            "y": told,
        },
    )


def summary_lines(out: Path) -> list[str]:
    """Return a table: mean best value of each method on each problem, and the share of failed experiments."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record in read_records(out):
        if record.get("kind") == "sequences":
            values = [value for value in record["y"] if value is not None]
            best = max([record["starting_data"]["best"], *values])
            failed = 1.0 - len(values) / max(len(record["y"]), 1)
            groups.setdefault((record["problem"], record["method"]), []).append((best, failed))
    lines = [f"{'problem':<12}{'method':<12}{'runs':>5}{'best':>8}{'failed':>8}"]
    for (problem, method), found in sorted(groups.items()):
        best, failed = np.mean(found, axis=0)
        lines.append(f"{problem:<12}{method:<12}{len(found):>5}{best:>8.3f}{failed:>8.2f}")
    return lines


Evaluate = Callable[[Iterable[str]], list[float | None]]


def _searched(run: SequencesRun, task: Ehrlich, X: list[str], y: Any, evaluate: Evaluate) -> None:
    """Search with nothing set but what the setting says."""
    options = setting_options(run.method)
    opt = sequence_search(X, y, alphabet=task.alphabet, random_state=run.seed, **options)
    left = run.calls
    while left:
        batch = opt.ask(min(run.batch, left))
        opt.tell(batch, evaluate(batch))
        left -= len(batch)


def _genetic(run: SequencesRun, task: Ehrlich, X: list[str], y: Any, evaluate: Evaluate) -> None:
    """Cross and change the best sequences so far, by the same moves as the search has, batch by batch."""
    rng = np.random.default_rng(run.seed)
    v, length = task.n_letters, task.length
    place = {letter: i for i, letter in enumerate(task.alphabet)}
    changes = Changes(v, None, np.ones((v, v), dtype=bool), length, length)
    known, best = set(X), sorted(zip(y.tolist(), X, strict=True), reverse=True)[:_PARENTS]
    left = run.calls
    while left:
        batch: list[str] = []
        for _ in range(_ATTEMPTS):
            pair = [np.array([place[c] for c in best[i][1]]) for i in rng.integers(len(best), size=2)]
            (child,) = crossed(pair[:1], pair[1:], length, length, rng)
            (child,) = changes.mutated([child], rng)
            text = "".join(task.alphabet[i] for i in child)
            if text not in known:
                known.add(text)
                batch.append(text)
            if len(batch) == min(run.batch, left):
                break
        pairs = zip(evaluate(batch), batch, strict=True)
        best += [(value, x) for value, x in pairs if value is not None]
        best = sorted(best, reverse=True)[:_PARENTS]
        left = left - len(batch) if batch else 0
