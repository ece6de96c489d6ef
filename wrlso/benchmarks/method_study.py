"""Studies that compare methods on problems: one record for each run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol, TypeVar

import torch

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choices, check_count
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.study import OneRun, run_missing

__all__ = ["Done", "MethodRun", "MethodStudy", "record_run"]

Done = Callable[[int], Any]


@dataclass(frozen=True)
class MethodRun:
    """One run: a method on a problem."""

    problem: str
    method: str
    seed: int
    calls: int

    def path(self, out: Path) -> Path:
        """Return the file of its record."""
        return out / f"{self.problem}-{self.method}-seed{self.seed}.json"

    def options(self) -> dict[str, Any]:
        """Return what a record must share with a run that is to be skipped."""
        return {"calls": self.calls}


class _Run(OneRun, Protocol):
    """What the head of a record needs."""

    @property
    def problem(self) -> str:
        """Name of the problem."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def seed(self) -> int:
        """Of all that is random."""

    @property
    def calls(self) -> int:
        """Evaluations, after the start."""


R = TypeVar("R", bound=_Run)


@dataclass(frozen=True)
class MethodStudy:
    """Methods on problems.

    Parameters
    ----------
    kind : str
        Of the records.
    problems, methods : collection of str
        Their names.
    work : callable
        ``work(run, done)`` does a run, calls ``done(n)`` after n evaluations, and returns the rest of the
        record. A function of a module, so that processes can do it.
    calls : int
        Evaluations of a run, after the start, where nothing else is said.
    """

    kind: str
    problems: Collection[str]
    methods: Collection[str]
    work: Callable[[MethodRun, Done], Mapping[str, Any]]
    calls: int = 300

    def run(
        self,
        out: Path,
        problems: Sequence[str],
        methods: Sequence[str],
        seeds: Sequence[int] = (100,),
        *,
        calls: int | None = None,
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
            All methods share the starting data of a seed.
        calls : int, default=None
            Evaluations of each run, after the start; None: as many as is usual in this study.
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
        check_choices(self.problems, problems=problems)
        check_choices(self.methods, methods=methods)
        calls = self.calls if calls is None else calls
        check_count("calls", calls)
        runs = [MethodRun(p, m, seed, calls) for seed in seeds for p in problems for m in methods]
        return run_missing(runs, out, partial(record_run, self.kind, self.work), n_jobs, progress)


def record_run(
    kind: str, work: Callable[[R, Done], Mapping[str, Any]], run: R, out: Path, progress: bool
) -> None:
    """Do a run and write its record, unless another process has written it by now."""
    if run.path(out).exists():
        return
    title = f"{run.problem}, {run.method}, seed {run.seed}"
    begin, worked = perf_counter(), process_time()
    with ProgressBar(total=run.calls, desc=title, disable=not progress) as bar:
        found = work(run, bar.update)
    write_record(
        run.path(out),
        {
            "kind": kind,
            "problem": run.problem,
            "method": run.method,
            "seed": run.seed,
            "options": run.options(),
            "versions": versions(),
            "machine": machine(),
            "threads": torch.get_num_threads(),
            "seconds": {
                "total": round(perf_counter() - begin, 2),
                "processor": round(process_time() - worked, 2),
            },
            **found,
        },
    )
