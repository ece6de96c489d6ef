"""Seeded studies: the four settings of the paper on one task, with a record for every run."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeVar, runtime_checkable

import joblib
import numpy as np
import torch

from wrlso._utils.files import check_folder
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count, check_jobs
from wrlso.benchmarks.records import (
    data_hash,
    is_recorded,
    machine,
    versions,
    write_record,
)
from wrlso.exceptions import LowEffectiveSampleSizeWarning, NoCandidateError, ParameterError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.weighting import UniformWeighting

__all__ = [
    "SETTINGS",
    "DescribesRuns",
    "KnowsEnough",
    "Run",
    "Study",
    "configured",
    "quiet_about_small_k",
    "run_in_processes",
    "run_missing",
    "run_queries",
    "run_study",
]

S = TypeVar("S")

SETTINGS = ("neither", "weighting", "retraining", "both")


def setting_options(setting: str) -> dict[str, Any]:
    """Return the optimizer's parameters for a setting of the paper, where nothing else is set."""
    options: dict[str, Any] = {}
    if setting in ("neither", "retraining"):
        options["weighting"] = UniformWeighting()
    if setting in ("neither", "weighting"):
        options["retrain_every"] = None
    return options


class OneRun(Protocol):
    """One run of a study: it knows its record, and what the record must share with a run that is skipped."""

    def path(self, out: Path) -> Path:
        """Return the file of the record."""

    def options(self) -> dict[str, Any]:
        """Return what must be the same."""


R = TypeVar("R", bound=OneRun)


class Study(Protocol):
    """The task-specific part of a study; everything else is the same for all tasks."""

    @property
    def name(self) -> str:
        """Name of the task, and first part of the records' file names."""

    @property
    def budget(self) -> int:
        """Number of queries of a run."""

    @property
    def batch(self) -> int:
        """Number of points asked for at once."""

    @property
    def variant(self) -> str:
        """Second part of the file names, which distinguishes this study's runs, such as the search."""

    def options(self) -> dict[str, Any]:
        """Return every option that affects a result, for the record."""

    def objective(self, x: Any) -> float:
        """Return the value of x, larger is better."""

    def initial_data(self, seed: int) -> tuple[Any, Any]:
        """Return X and y, the same for all settings of a seed."""

    def prepare(self, seed: int, folder: Path) -> None:
        """Make the files that all settings of a seed share, such as a pretrained model, if missing."""

    def optimizer(self, setting: str, seed: int, folder: Path) -> WeightedRetrainingOptimizer:
        """Return the optimizer of one run, not yet fitted."""


@runtime_checkable
class KnowsEnough(Protocol):
    """A study whose runs may end before the budget is spent."""

    @property
    def enough(self) -> float:
        """The value with which a run ends."""


@runtime_checkable
class DescribesRuns(Protocol):
    """A study that records more than values."""

    def describe(
        self, X: Sequence[Any], y: Sequence[float], optimizer: WeightedRetrainingOptimizer
    ) -> dict[str, Any]:
        """Return further entries of a run's record, by name; X (n,) are the evaluated points in order."""


def configured(configurations: Mapping[str, S], config: str, options: Mapping[str, Any]) -> S:
    """Return a configuration (a dataclass) with some options changed; None keeps an option.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown configuration or option, or an invalid value.
    """
    check_choice("config", config, configurations)
    study: Any = configurations[config]
    names = {field.name for field in fields(study)}
    given = {name: value for name, value in options.items() if value is not None}
    if unknown := set(given) - names:
        raise ParameterError(f"unknown options {sorted(unknown)}; known are {sorted(names)}")
    changed: S = replace(study, **given)
    return changed


@dataclass
class Run:
    """Values and seconds of a run so far."""

    values: list[float] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    retrained_at: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: str = "budget"


def run_study(
    study: Study,
    settings: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    n_jobs: int = 1,
    threads: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Run every setting with every seed and write one record each; skip finished runs.

    Parameters
    ----------
    study : Study
        The task with its options.
    settings : sequence of {"neither", "weighting", "retraining", "both"}
    seeds : sequence of int
        All settings of a seed share the starting data and any pretrained model.
    out : Path
        Folder of the records.
    n_jobs : int, default=1
        Processes, -1: one for each core. Results do not depend on this number.
    threads : int, default=1
        Threads of each run. They change the order of sums and so the results; records hold this number.
    progress : bool, default=True
        Show a bar: over queries with one process, over runs with several.

    Returns
    -------
    list of Path
        The records, including existing ones.

    Raises
    ------
    ParameterError
        For an unknown setting, or when the folder holds a run of another study. No run has started then.
    """
    for setting in settings:
        check_choice("settings", setting, SETTINGS)
    check_jobs(n_jobs)
    check_count("threads", threads)
    paths = {
        (setting, seed): out / f"{study.name}-{study.variant}-{setting}-seed{seed}.json"
        for seed in seeds
        for setting in settings
    }
    check_folder(out)
    due = [
        (setting, seed, path)
        for (setting, seed), path in paths.items()
        if not is_recorded(path, study.options())
    ]
    run_in_processes(
        [(study.prepare, (seed, out)) for seed in sorted({seed for _, seed, _ in due})],
        n_jobs,
        threads,
        description="shared models" if progress and n_jobs != 1 else None,
    )
    queries = progress and n_jobs == 1
    run_in_processes(
        [(_run_and_record, (study, setting, seed, path, queries)) for setting, seed, path in due],
        n_jobs,
        threads,
        description="runs" if progress and n_jobs != 1 else None,
    )
    return list(paths.values())


def run_missing(
    runs: Sequence[R], out: Path, record: Callable[[R, Path, bool], None], n_jobs: int, progress: bool
) -> list[Path]:
    """Call ``record(run, out, progress)`` for each run without a record, on one thread; return all records.

    Raises
    ------
    ParameterError
        When the folder holds a run with other options. No run has started then.
    """
    check_jobs(n_jobs)
    check_folder(out)
    missing = [run for run in runs if not is_recorded(run.path(out), run.options())]
    due = [(record, (run, out, progress and n_jobs == 1)) for run in missing]
    run_in_processes(due, n_jobs, 1, description="runs" if progress and n_jobs != 1 else None)
    return [run.path(out) for run in runs]


def run_in_processes(
    calls: Sequence[tuple[Callable[..., None], tuple[Any, ...]]],
    n_jobs: int,
    threads: int,
    description: str | None,
) -> None:
    """Make calls one after the other, or in processes with a bar of this name; None: without a bar."""
    if n_jobs == 1:
        for function, arguments in calls:
            _on_threads(threads, function, *arguments)
        return
    jobs = (joblib.delayed(_on_threads)(threads, function, *arguments) for function, arguments in calls)
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        finished = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
        for _ in ProgressBar(finished, total=len(calls), desc=description, disable=description is None):
            pass


def _on_threads(threads: int, function: Callable[..., None], *arguments: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        function(*arguments)
    finally:
        torch.set_num_threads(before)


def _run_and_record(study: Study, setting: str, seed: int, path: Path, progress: bool) -> None:
    X, y = study.initial_data(seed)
    starting_data = {"sha256": data_hash(X, y), "n": len(y), "best": float(np.max(y))}
    optimizer = study.optimizer(setting, seed, path.parent)
    start = perf_counter()
    with (
        quiet_about_small_k(),
        ProgressBar(total=study.budget, desc=f"{setting}, seed {seed}", disable=not progress) as bar,
    ):
        # like fit(X, y), but X, a gigabyte with all squares, is freed before the training
        optimizer.tell(X, y)
        del X, y
        optimizer.retrain()
        enough = study.enough if isinstance(study, KnowsEnough) else math.inf
        run = run_queries(study, optimizer, bar, target=enough)
    seconds = {"total": round(perf_counter() - start, 2)} | run.seconds
    more = study.describe(run.asked, run.values, optimizer) if isinstance(study, DescribesRuns) else {}
    write_record(
        path,
        {
            "kind": "run",
            "task": study.name,
            "setting": setting,
            "seed": seed,
            "options": study.options(),
            "versions": versions(),
            "machine": machine(),
            "threads": torch.get_num_threads(),
            "starting_data": starting_data,
            "stopped": run.stopped,
            "seconds": seconds,
            "retrained_at": run.retrained_at,
            "y": run.values,
            **more,
        },
    )


def run_queries(
    study: Study, optimizer: WeightedRetrainingOptimizer, bar: Any, *, target: float = math.inf
) -> Run:
    """Ask, evaluate and tell until the budget is spent, ``target`` is reached, or no new point is found."""
    run = Run()
    objective_seconds = 0.0
    while len(run.values) < study.budget and max(run.values, default=-math.inf) < target:
        try:
            X = _ask_what_there_is(optimizer, min(study.batch, study.budget - len(run.values)))
        except NoCandidateError as error:
            run.stopped = f"no candidate: {error}"
            break
        start = perf_counter()
        y = [study.objective(x) for x in X]
        objective_seconds += perf_counter() - start
        optimizer.tell(X, y)
        run.values += y
        run.asked += X
        bar.update(len(y))
        bar.set_postfix(best=max(run.values))
    if run.stopped == "budget" and len(run.values) < study.budget:
        run.stopped = "target"
    run.seconds = _seconds_by_stage(optimizer) | {"objective": round(objective_seconds, 2)}
    history = optimizer.history_
    run.retrained_at = [training["n_observed"] - history.n_start for training in history.trainings[1:]]
    return run


def _seconds_by_stage(optimizer: WeightedRetrainingOptimizer) -> dict[str, float]:
    first, *later = (training["seconds"] for training in optimizer.history_.trainings)
    seconds = {"train": first, "retrain": sum(later), "fit": 0.0, "acquire": 0.0, "decode": 0.0}
    for ask in optimizer.history_.asks:
        for stage, spent in ask.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    return {stage: round(spent, 2) for stage, spent in seconds.items()}


def _ask_what_there_is(optimizer: WeightedRetrainingOptimizer, n: int) -> list[Any]:
    """Ask for n points, or for fewer when the search finds fewer new ones."""
    while True:
        try:
            return list(optimizer.ask(n))
        except NoCandidateError:
            if n == 1:
                raise
            n = (n + 1) // 2


@contextmanager
def quiet_about_small_k() -> Iterator[None]:
    """Silence the warning about few effective points: a study chooses k on purpose and records it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowEffectiveSampleSizeWarning)
        yield
