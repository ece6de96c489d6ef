"""Runs of the panel: every method on every problem, with the same starting data and calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_choices, check_count
from wrlso.benchmarks.panel.calls import Calls, NothingNew, Spent
from wrlso.benchmarks.panel.peers import PEERS, applies
from wrlso.benchmarks.panel.problems import HALVES, STARTS, problem
from wrlso.benchmarks.records import (
    data_hash,
    machine,
    versions,
    write_record,
)
from wrlso.benchmarks.study import run_missing
from wrlso.exceptions import ParameterError

__all__ = ["PanelRun", "panel_names", "run_panel", "start_hash"]

_DIGITS = 9  # of the values in records


@dataclass(frozen=True)
class PanelRun:
    """One run: a method on a problem from a start."""

    problem: str
    start: str
    peer: str
    seed: int
    calls: int

    def path(self, out: Path) -> Path:
        """Return the file of its record."""
        return out / f"{self.problem}-{self.start}-{self.peer}-seed{self.seed}.json"

    def options(self) -> dict[str, Any]:
        """Return what a record must share with a run that is to be skipped."""
        return {"calls": self.calls}


def panel_names(half: str | None, names: Sequence[str] | None) -> list[str]:
    """Return the problems of a half, or those named; with neither, all of them.

    Raises
    ------
    ParameterError
        For an unknown half or problem, and where both are given.
    """
    if half is not None and names is not None:
        raise ParameterError("give half or problems, not both: each says which problems are run")
    every = [name for part in HALVES.values() for name in part]
    if names is not None:
        for name in names:
            check_choice("problems", name, every)
        return list(names)
    if half is None:
        return every
    check_choice("half", half, HALVES)
    return list(HALVES[half])


def run_panel(
    out: Path,
    problems: Sequence[str],
    starts: Sequence[str] = STARTS,
    peers: Sequence[str] = tuple(PEERS),
    seeds: Sequence[int] = (100,),
    *,
    calls: int = 200,
    n_jobs: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Run methods on problems and write one record each; skip finished runs.

    Parameters
    ----------
    out : Path
        Folder of the records.
    problems, starts, peers : sequence of str
        A peer is left out on problems that it cannot work on.
    seeds : sequence of int
        All methods share the starting data of a seed.
    calls : int, default=200
        Calls of the objective in each run.
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
    check_choices(STARTS, starts=starts)
    check_choices(PEERS, peers=peers)
    panel_names(None, problems)
    check_count("calls", calls)
    runs = [
        PanelRun(name, start, peer, seed, calls)
        for seed in seeds
        for name in problems
        for start in starts
        for peer in peers
        if applies(peer, problem(name).space)
    ]
    return run_missing(runs, out, run_and_record, n_jobs, progress)


def run_and_record(run: PanelRun, out: Path, progress: bool) -> None:
    """Do a run and write its record, unless another process has written it by now."""
    path, task = run.path(out), problem(run.problem)
    if path.exists():
        return
    X, y = task.start(run.start, run.seed)
    title = f"{run.problem}, {run.start}, {run.peer}, seed {run.seed}"
    with ProgressBar(total=run.calls, desc=title, disable=not progress) as bar:
        calls = Calls(task, X, y, run.calls, bar.update)
        stopped, begin, worked = "budget", perf_counter(), process_time()
        try:
            PEERS[run.peer](calls, run.seed)
        except Spent:
            pass
        except NothingNew as error:
            stopped = f"nothing new: {error.__cause__ or ''}".rstrip(": ")
        seconds = {"total": perf_counter() - begin, "processor": process_time() - worked}
    best = float(task.sign * np.max(task.sign * y))
    write_record(
        path,
        {
            "kind": "panel",
            "problem": task.name,
            "type": task.kind,
            "half": task.half,
            "direction": task.direction,
            "reference": task.reference,
            "start": run.start,
            "peer": run.peer,
            "seed": run.seed,
            "options": run.options(),
            "versions": versions(),
            "machine": machine(),
            "threads": torch.get_num_threads(),
            "starting_data": {"sha256": start_hash(X, y), "n": len(y), "best": best},
            "stopped": stopped,
            "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
            "y": [None if value is None else float(f"{value:.{_DIGITS}g}") for value in calls.told],
        },
    )


def start_hash(X: Any, y: Any) -> str:
    """Return the sha256 of starting data of any kind."""
    if isinstance(X, np.ndarray):
        return data_hash(X, y)
    text = json.dumps(list(X), sort_keys=True)
    return data_hash(np.frombuffer(text.encode(), dtype=np.uint8), y)
