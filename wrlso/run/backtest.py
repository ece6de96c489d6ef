"""Would the search have helped? A table of measurements is replayed as a catalogue."""

import copy
from collections.abc import Hashable, Sequence
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray

from wrlso._state.reading import read_start
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import draw_seed, stream
from wrlso._utils.validation import check_choice, check_count, check_seed
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.inference import key_of, tensorized
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.outcomes import aims_of
from wrlso.run.backtest_result import BacktestResult
from wrlso.run.replay import Replay, strategies_for
from wrlso.training.trainer import Trainer

__all__ = ["backtest"]

_LEAST = 20  # different objects with a value, fewer of which say nothing
_START, _QUERIES, _BATCHES = 10, 100, 10


def backtest(
    X: Sequence[Any] | NDArray[Any],
    y: Sequence[float | None] | NDArray[np.float64],
    *,
    model: Any = None,
    direction: str = "maximize",
    n_start: int | None = None,
    n_queries: int | None = None,
    batch_size: int | None = None,
    n_repeats: int = 10,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
    **options: Any,
) -> BacktestResult:
    """Replay measurements that are all known, to see whether a search would have found the best sooner.

    Each repeat knows a few random rows at the start and asks for others in batches, of which it is told the
    values: by this library's search, by log expected improvement with a process over features of x and one
    over Z, and at random. All strategies of a repeat start from the same rows. A repeat proposes rows of the
    table only, so the result says how well the data can be learned and searched, not what a model would
    make beyond them.

    Parameters
    ----------
    X : sequence of objects or ndarray (n, ...)
        Equal objects are one, with the mean of their values.
    y : sequence (n,) of float
        Their values; None or NaN: the experiment failed, which counts as a query that finds nothing.
    model : LatentModel, default=None
        As of :class:`wrlso.WeightedRetrainingOptimizer`; None: ``SelfiesVAE.pretrained()``, for SMILES. A
        model of your own is trained on all x first, without values; one of molecules is used as it is.
    direction : {"maximize", "minimize"}, default="maximize"
    n_start : int, default=None
        Random rows that are known at the start; None: 10, or a tenth of a small table.
    n_queries : int, default=None
        Rows that are asked for; None: 100, or half of a small table.
    batch_size : int, default=None
        Rows that are asked for at once; None: a tenth of ``n_queries``.
    n_repeats : int, default=10
    n_jobs : int, default=None
        Processes; None: as many as there are processors. The result does not depend on it.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        From 1 on a progress bar is shown.
    **options
        Parameters of the optimizer for the search, such as ``surrogate``.

    Returns
    -------
    BacktestResult

    Raises
    ------
    DataError, DataTypeError
        When fewer than 20 different objects have a value, all have the same, or X or y cannot be read.
    ParameterError, ParameterTypeError
        For an impossible parameter, such as more rows than the table has.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import VAE, backtest
    >>> X = np.eye(8, dtype=np.uint8)[np.arange(64) // 8] | np.eye(8, dtype=np.uint8)[np.arange(64) % 8]
    >>> model = VAE(nn.Linear(8, 4), nn.Linear(2, 8))
    >>> y = X @ np.arange(8.0)
    >>> result = backtest(X, y, model=model, n_repeats=2, n_queries=6, n_jobs=1, random_state=0)
    >>> sorted(result.strategies)
    ['features', 'latent', 'random', 'search']
    """
    check_choice("direction", direction, ("maximize", "minimize"))
    check_count("n_repeats", n_repeats, minimum=2)
    check_seed("random_state", random_state)
    for name, value in (("n_start", n_start), ("n_queries", n_queries), ("batch_size", batch_size)):
        check_count(name, value, none="by the size of the table")
    check_count("n_jobs", n_jobs, none="all processors")
    seed = draw_seed(random_state)
    model, X, values = _distinct(X, y, model)
    n_start, n_queries, batch_size = _sizes(len(X), n_start, n_queries, batch_size)
    model = _prepared(model, X, options, seed, verbose)
    strategies = strategies_for(model, X, options)
    replay = Replay(model, X, values, direction, n_start, n_queries, batch_size, seed, strategies)
    names = [*strategies, "random"]
    tasks = [(name, repeat) for repeat in range(n_repeats) for name in names]
    jobs = min(joblib.cpu_count() if n_jobs is None else n_jobs, len(tasks))
    made = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(replay.run)(name, repeat) for name, repeat in tasks
    )
    asked: dict[str, list[Any]] = {name: [] for name in names}
    bar = ProgressBar(made, total=len(tasks), desc="backtest", unit=" replays", disable=verbose < 1)
    for (name, _), rows in zip(tasks, bar, strict=True):
        asked[name].append(rows)
    starts = np.array([replay.start(repeat) for repeat in range(n_repeats)])
    found = {name: np.array(rows) for name, rows in asked.items()}
    return BacktestResult(values, direction, batch_size, starts, found)


def _distinct(X: Any, y: Any, model: Any) -> tuple[Any, Any, NDArray[np.float64]]:
    """Return the model, different objects, and the mean of the values of each, NaN where it has none."""
    X, read = read_start(X, y, aims_of(None))
    told = [value for value in read if value is None or isinstance(value, float)]
    if len(told) < len(read):
        raise DataError("a backtest replays exact values: leave out limits, such as above(10)")
    if model is None:
        from wrlso.models.selfies.vae import SelfiesVAE

        model = SelfiesVAE.pretrained()
    model = copy.deepcopy(model)
    missing_tokens = getattr(model, "missing_tokens", None)
    if callable(missing_tokens) and missing_tokens(X):
        model.extend(X)
    tensorized(model, X)  # names every x that cannot be read
    rows: dict[Hashable, list[int]] = {}
    for i, x in enumerate(X):
        rows.setdefault(key_of(model, x), []).append(i)
    values = np.array([_mean([told[i] for i in of_one]) for of_one in rows.values()])
    first = [of_one[0] for of_one in rows.values()]
    known = values[np.isfinite(values)]
    if len(known) < _LEAST:
        raise DataError(f"a backtest needs {_LEAST} different x with a value at least, got {len(known)}")
    if np.ptp(known) == 0:
        raise DataError(f"all {len(known)} values are {known[0]:g}: there is nothing to search for")
    return model, X[first] if isinstance(X, np.ndarray) else [X[i] for i in first], values


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _sizes(
    n: int, n_start: int | None, n_queries: int | None, batch_size: int | None
) -> tuple[int, int, int]:
    start = min(_START, max(5, n // 10)) if n_start is None else n_start
    queries = min(_QUERIES, max(1, (n - start) // 2)) if n_queries is None else n_queries
    if start + queries > n:
        raise ParameterError(
            f"n_start + n_queries must be at most the {n} different x of the table, got {start} + {queries}"
        )
    return start, queries, max(1, queries // _BATCHES) if batch_size is None else batch_size


def _prepared(model: Any, X: Any, options: dict[str, Any], seed: int, verbose: int) -> Any:
    """Train a user's model on all x, without values; models of molecules come trained."""
    if isinstance(model, MoleculeVAE):
        return model
    trainer = options.pop("trainer", None) or Trainer()
    inputs = tensorized(model, X)
    with torch.random.fork_rng():
        trainer.fit(model, inputs, np.ones(len(X)), stream(seed, 0, 3), verbose)
    model.train(False)
    return model
