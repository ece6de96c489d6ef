"""Ehrlich functions of the sizes that a published comparison has, and RNA that folds into a structure.

Searches stand beside a genetic algorithm, and for RNA beside RNAinverse of the ViennaRNA package. Sizes and
numbers of starting sequences of Ehrlich functions are those of González-Duque et al., "A survey and benchmark
of high-dimensional Bayesian optimization of discrete sequences", NeurIPS 2024 (hdbo_benchmark).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._sequences.variation import Changes, crossed
from wrlso._utils.validation import check_choices, check_count
from wrlso.benchmarks.method_study import Done, MethodRun, record_run
from wrlso.benchmarks.records import data_hash, read_records
from wrlso.benchmarks.study import SETTINGS, run_missing, setting_options
from wrlso.exceptions import ParameterError
from wrlso.sequences import sequence_search
from wrlso.tasks.sequences.ehrlich import Ehrlich
from wrlso.tasks.sequences.rna import InverseFolding, vienna_rna

__all__ = ["METHODS", "PROBLEMS", "SequencesRun", "genetic_search", "run_sequences", "summary_lines"]

PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "ehrlich-5": {"length": 5, "n_motifs": 1, "motif_length": 4, "n_start": 10},
    "ehrlich-15": {"length": 15, "n_motifs": 2, "motif_length": 5, "n_start": 10},
    "ehrlich-64": {"length": 64, "n_motifs": 4, "motif_length": 10, "n_start": 1000},
    "rna-loops": {"target": "loops", "n_start": 10},
    "rna-cross": {"target": "cross", "n_start": 10},
    "rna-bulges": {"target": "bulges", "n_start": 10},
}
"""Parameters of the tasks by name; a run on RNA ends once it is solved."""

METHODS = (*reversed(SETTINGS), "genetic", "rnainverse")
"""The four settings of the paper with nothing else set, a genetic algorithm, and RNAinverse for RNA only."""

Task = Ehrlich | InverseFolding

_PARENTS = 20  # of the genetic algorithm: the best sequences so far
_ATTEMPTS = 5000  # children for one new sequence


@dataclass(frozen=True)
class SequencesRun(MethodRun):
    """One run: a method on a problem with a seed, which is also that of the function."""

    batch: int

    def options(self) -> dict[str, Any]:
        """Return what a record must share with a run that is to be skipped."""
        return {"calls": self.calls, "batch": self.batch} | dict(PROBLEMS[self.problem])

    @property
    def is_rna(self) -> bool:
        """Whether RNA is designed."""
        return "target" in PROBLEMS[self.problem]

    def task(self) -> Task:
        """Return the task."""
        if self.is_rna:
            return InverseFolding(**PROBLEMS[self.problem])
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
    check_choices(PROBLEMS, problems=problems)
    check_choices(METHODS, methods=methods)
    check_count("calls", calls)
    check_count("batch", batch)
    runs = [SequencesRun(p, m, s, calls, batch) for s in seeds for p in problems for m in methods]
    others = [run.problem for run in runs if run.method == "rnainverse" and not run.is_rna]
    if others:
        raise ParameterError(f"the method rnainverse is for problems of RNA, got {others[0]}")
    return run_missing(runs, out, partial(record_run, "sequences", _work), n_jobs, progress)


def _work(run: SequencesRun, done: Done) -> dict[str, Any]:
    task = run.task()
    X, y = task.initial_data(run.seed)
    told: list[float | None] = []

    def evaluate(batch: Iterable[str]) -> list[float | None]:
        values = [task.objective(x) for x in batch]
        told.extend(values)
        done(len(values))
        return values

    method = {"genetic": genetic_search, "rnainverse": _rnainverse}.get(run.method, _searched)
    method(run, task, X, y, evaluate)
    return {
        "starting_data": {
            "sha256": data_hash(np.frombuffer("\n".join(X).encode(), dtype=np.uint8), y),
            "n": len(y),
            "best": float(y.max()),
        },
        "y": told,
    }


def summary_lines(out: Path) -> list[str]:
    """Return a table: mean best value of each method on each problem, and the share of failed experiments.

    Of RNA also how many runs solved the problem, and their median calls.
    """
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    solved: dict[tuple[str, str], list[int]] = {}  # calls of the runs that solved a problem of RNA
    for record in read_records(out):
        if record.get("kind") == "sequences":
            values = [value for value in record["y"] if value is not None]
            best = max([record["starting_data"]["best"], *values])
            failed = 1.0 - len(values) / max(len(record["y"]), 1)
            group = record["problem"], record["method"]
            groups.setdefault(group, []).append((best, failed))
            if 1.0 in record["y"]:
                solved.setdefault(group, []).append(record["y"].index(1.0) + 1)
    lines = [f"{'problem':<12}{'method':<12}{'runs':>5}{'best':>8}{'failed':>8}{'solved':>8}{'calls':>8}"]
    for group, found in sorted(groups.items()):
        best, failed = np.mean(found, axis=0)
        calls = solved.get(group, [])
        said = f"{np.median(calls):>8.0f}" if calls else ""
        problem, method = group
        lines.append(
            f"{problem:<12}{method:<12}{len(found):>5}{best:>8.3f}{failed:>8.2f}{len(calls):>8}{said}"
        )
    return lines


Evaluate = Callable[[Iterable[str]], list[float | None]]


def _searched(run: SequencesRun, task: Task, X: list[str], y: Any, evaluate: Evaluate) -> None:
    """Search with nothing set but what the setting says."""
    options = setting_options(run.method)
    opt = sequence_search(X, y, alphabet=task.alphabet, random_state=run.seed, **options)
    left = run.calls
    while left:
        batch = opt.ask(min(run.batch, left))
        opt.tell(batch, values := evaluate(batch))
        left = 0 if _is_solved(run, values) else left - len(batch)


def genetic_search(run: SequencesRun, task: Task, X: list[str], y: Any, evaluate: Evaluate) -> None:
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
        values = evaluate(batch)
        pairs = zip(values, batch, strict=True)
        best += [(value, x) for value, x in pairs if value is not None]
        best = sorted(best, reverse=True)[:_PARENTS]
        left = left - len(batch) if batch and not _is_solved(run, values) else 0


def _rnainverse(run: SequencesRun, task: Task, X: list[str], y: Any, evaluate: Evaluate) -> None:
    """Let RNAinverse change the starting sequences, and then random ones; what it returns is evaluated.

    Each of these takes it many foldings of its own, which it does not count.
    """
    vienna, rng, structure = vienna_rna(), np.random.default_rng(run.seed), getattr(task, "structure", "")
    vienna.init_rand(run.seed)
    for i in range(run.calls):
        start = X[i] if i < len(X) else "".join(task.alphabet[k] for k in rng.integers(4, size=task.length))
        # a copy, as it writes into the text that it is given
        found, _ = vienna.inverse_fold(start.encode().decode(), structure)
        if _is_solved(run, evaluate([found.upper()])):
            return


def _is_solved(run: SequencesRun, values: list[float | None]) -> bool:
    return run.is_rna and 1.0 in values
