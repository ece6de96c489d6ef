"""Utilization of workers, effects of faults, and overhead of the loop.

``python -m wrlso.benchmarks.speed.parallel utilization --engine processes``: 200 evaluations that sleep 0.5
to 4 s on 8 workers, with 4 trainings of a real model beside them, against synchronous batches of 8 with the
trainings in between. ``faults``: 1,000 evaluations that raise, return NaN and hang, on workers that are
killed.
``overhead``: a trivial objective and a trivial search.
"""

import argparse
import copy
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loky import ProcessPoolExecutor
from torch import nn

from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.acquisition.state import Proposal
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.run.loop import maximize
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.tasks.shapes import Shapes
from wrlso.timeline import Timeline, utilization_chart
from wrlso.training.trainer import Trainer

__all__ = ["faults", "loop_overhead", "main", "utilization"]

_N_WORKERS = 8


def utilization(
    engine: str = "processes",
    *,
    n_calls: int = 200,
    retrain_epochs: float = 4.0,
    n_candidates: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Any], Timeline]:
    """Compare the asynchronous loop with synchronous batches of 8, with the same engine and start.

    Parameters
    ----------
    engine : {"processes", "dask"}
        A pool of 8 loky processes, or a :class:`distributed.LocalCluster` of 8.
    n_calls : int, default=200
    retrain_epochs : float, default=4.0
        Passes of a training over the shapes and all found points; one follows every n_calls // 5 calls.
    n_candidates : int, default=1000
        Points that one ask decodes.
    seed : int, default=0

    Returns
    -------
    record : dict
        For both loops: seconds, share of the workers' time that evaluations took, number and seconds of
        trainings and asks; and their ratio of calls per second.
    timeline : Timeline
        Timeline of the asynchronous loop.
    """
    X, y = Shapes().initial_data()
    opt = WeightedRetrainingOptimizer(
        model=Shapes().model(random_state=seed),
        trainer=Trainer(initial_epochs=2, retrain_epochs=retrain_epochs, lr=1e-3),
        surrogate=SparseGP(n_inducing=100),
        acquisition=LogExpectedImprovement(search=CandidatePool(n_candidates=n_candidates)),
        retrain_every=n_calls // 5,
        random_state=seed,
    ).fit(X, y)
    with _workers(engine) as options:
        # start all workers and import what an evaluation needs, before any clock runs
        maximize(_sleeper(seed), _small(seed), 16, batch_size=8, verbose=0, **options)
        loops = {}
        for name, batch in (("asynchronous", None), ("synchronous", _N_WORKERS)):
            start = time.perf_counter()
            result = maximize(
                _sleeper(seed), copy.deepcopy(opt), n_calls, batch_size=batch, verbose=0, **options
            )
            loops[name] = _described(result, time.perf_counter() - start)
            if batch is None:
                timeline = result.timeline
    ratio = loops["synchronous"]["seconds"] / loops["asynchronous"]["seconds"]
    return {
        "kind": "parallel-utilization",
        "engine": engine,
        "n_calls": n_calls,
        "n_workers": _N_WORKERS,
        "retrain_epochs": retrain_epochs,
        "n_candidates": n_candidates,
        "seed": seed,
        "loops": loops,
        "throughput_ratio": round(ratio, 2),
    }, timeline


def _described(result: Any, seconds: float) -> dict[str, Any]:
    timeline = result.timeline
    history = result.opt.history_
    asks = [end - begin for begin, end in timeline.asks]
    return {
        "seconds": round(seconds, 2),
        "calls_per_second": round(result.nfev / seconds, 3),
        "utilization": round(timeline.utilization, 4),
        "objective_seconds": round(sum(a.ended - a.started for a in timeline.attempts), 1),
        "n_retrainings": len(history.trainings) - 1,
        "retraining_seconds": [round(training["seconds"], 2) for training in history.trainings[1:]],
        "n_asks": len(asks),
        "ask_seconds": [round(ask, 2) for ask in asks],
        "failed": int(np.isnan(result.func_vals).sum()),
        "best": result.fun,
    }


@contextmanager
def _workers(engine: str) -> Iterator[dict[str, Any]]:
    if engine == "processes":
        with ProcessPoolExecutor(_N_WORKERS) as pool:
            yield {"executor": pool}
        return
    distributed = import_module("distributed")
    options = {"n_workers": _N_WORKERS, "threads_per_worker": 1, "processes": True}
    cluster = distributed.LocalCluster(**options, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        yield {"executor": client}


def _sleeper(seed: int) -> Callable[[Any], float]:
    # nested, so that workers do not import this library
    def objective(x: Any) -> float:
        import hashlib
        import time

        digest = hashlib.sha256(bytes([seed]) + x.tobytes()).digest()
        time.sleep(0.5 + 3.5 * int.from_bytes(digest[:4]) / 2**32)
        return float((x > 0).sum())

    return objective


def _small(
    seed: int, acquisition: Any = None, letters: int = 24, retrain_every: int | None = None
) -> WeightedRetrainingOptimizer:
    """Return an optimizer over binary words that proposes without a surrogate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = nn.Linear(letters, 16), nn.Linear(8, letters)
    X = (np.random.default_rng(seed).random((200, letters)) < 0.5).astype(np.uint8)
    opt = WeightedRetrainingOptimizer(
        *networks,
        trainer=Trainer(initial_epochs=2, retrain_epochs=1),
        acquisition=PriorSampling() if acquisition is None else acquisition,
        retrain_every=retrain_every,
        random_state=seed,
    )
    return opt.fit(X, X.sum(axis=1))


def faults(n_calls: int = 1000, *, n_kills: int = 10, timeout: float = 3.0, seed: int = 0) -> dict[str, Any]:
    """Evaluate points of which 20 % raise, 5 % return NaN and 2 % hang, while workers are killed.

    Every evaluation records its begin in a database, which shows lost and repeated evaluations.

    Returns
    -------
    dict
        Numbers of points by outcome, of executions, of points executed more than once or never, and of points
        without a result in the optimizer.
    """
    opt = _small(seed, retrain_every=100)
    with tempfile.TemporaryDirectory(prefix="wrlso-faults-") as folder:
        log = str(Path(folder) / "log.sqlite")
        with sqlite3.connect(log) as db:
            db.execute("CREATE TABLE begun (x TEXT, pid INTEGER, ended INTEGER)")
        ended = threading.Event()
        killer = ThreadPoolExecutor(1).submit(_kill, log, n_kills, 0.6 * n_calls / n_kills, ended)
        start = time.perf_counter()
        result = maximize(_faulty(log), opt, n_calls, n_jobs=_N_WORKERS, timeout=timeout, verbose=0)
        seconds = time.perf_counter() - start
        ended.set()
        with sqlite3.connect(log) as db:
            executions = Counter(x for (x,) in db.execute("SELECT x FROM begun"))
    points = [bytes(x).hex() for x in result.x_iters]
    reasons = Counter(_category(e.reason) for e in result.timeline.evaluations)
    statuses = Counter(record.status for record in opt.history_ if record.asked)
    return {
        "kind": "parallel-faults",
        "n_calls": n_calls,
        "n_workers": _N_WORKERS,
        "timeout": timeout,
        "seed": seed,
        "seconds": round(seconds, 1),
        "message": result.message,
        "workers_killed": killer.result(),
        "became": dict(sorted(reasons.items())),
        "statuses": dict(sorted(statuses.items())),
        "accounted_for": len(points),
        "told_twice": len(points) - len(set(points)),
        "executions": sum(executions.values()),
        "executed_twice": sum(n > 1 for n in executions.values()),
        "told_but_not_executed": len(set(points) - set(executions)),
        "executed_but_not_told": len(set(executions) - set(points)),
        "pending": len(opt.pending_),
        "retrainings": len(opt.history_.trainings) - 1,
    }


def _faulty(log: str) -> Callable[[Any], float]:
    def objective(x: Any) -> float:
        import hashlib
        import os
        import sqlite3
        import time

        with sqlite3.connect(log, timeout=60) as db:
            row = db.execute("INSERT INTO begun VALUES (?, ?, 0)", (bytes(x).hex(), os.getpid())).lastrowid
        kind = int.from_bytes(hashlib.sha256(x.tobytes()).digest()[:4]) / 2**32
        time.sleep(0.02 + 0.1 * (kind * 1000 % 1))
        if kind < 0.02:
            time.sleep(3600)
        with sqlite3.connect(log, timeout=60) as db:
            db.execute("UPDATE begun SET ended = 1 WHERE rowid = ?", (row,))
        if kind < 0.22:
            raise RuntimeError("the assay broke")
        return float("nan") if kind < 0.27 else float(x.sum())

    return objective


def _kill(log: str, n: int, every: float, ended: threading.Event) -> int:
    """Kill n workers during evaluations, one per ``every`` evaluations; return the number killed."""
    killed = 0
    rng = np.random.default_rng(0)
    while killed < n and not ended.wait(0.05):
        with sqlite3.connect(log, timeout=60) as db:
            (begun,) = db.execute("SELECT COUNT(*) FROM begun").fetchone()
            running = [
                pid for (pid,) in db.execute("SELECT pid FROM begun WHERE ended = 0 ORDER BY rowid DESC")
            ]
        if running and begun > every * (killed + 0.5):
            try:
                os.kill(int(rng.choice(running[:_N_WORKERS])), signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed += 1
    return killed


def _category(reason: str | None) -> str:
    if reason is None:
        return "value"
    known = {"RuntimeError": "raised", "the objective returned nan": "NaN", "no result within": "hung"}
    found = [name for begin, name in known.items() if reason.startswith(begin)]
    return found[0] if found else "died" if reason.startswith("the worker died") else reason


class _Coin:
    """The cheapest search: random letters, no decoding."""

    uses_surrogate = False

    def propose(self, state: Any, n: int, rng: np.random.Generator) -> tuple[list[Proposal], AskRecord]:
        X = (rng.random((n, 60)) < 0.5).astype(np.uint8)
        z = torch.zeros(state.model.latent_dim, dtype=torch.float64)
        return [Proposal(x, z, float("nan")) for x in X], AskRecord(strategy="coin")


def loop_overhead(n_calls: int = 2000) -> dict[str, Any]:
    """Return milliseconds per call with a trivial objective and search; "by hand" has no loop."""
    milliseconds = {}
    opt = _small(0, _Coin(), letters=60)
    start = time.perf_counter()
    for _ in range(n_calls):
        x = opt.ask()
        opt.tell(x, 0.0)
    milliseconds["by hand"] = 1e3 * (time.perf_counter() - start) / n_calls
    engines: dict[str, dict[str, Any]] = {
        "in process": {},
        "threads": {"executor": lambda: ThreadPoolExecutor(_N_WORKERS), "max_pending": _N_WORKERS},
        "threads, rounds of 8": {"executor": lambda: ThreadPoolExecutor(_N_WORKERS), "batch_size": 8},
        "processes": {"n_jobs": 2},
    }
    for name, options in engines.items():
        opt = _small(0, _Coin(), letters=60)
        if name == "processes":  # these need a second to start
            maximize(lambda x: 0.0, _small(1, _Coin(), letters=60), 4, verbose=0, **options)
        start = time.perf_counter()
        maximize(lambda x: 0.0, opt, n_calls, verbose=0, **options)
        milliseconds[name] = 1e3 * (time.perf_counter() - start) / n_calls
    rounded = {name: round(value, 3) for name, value in milliseconds.items()}
    return {"kind": "parallel-overhead", "n_calls": n_calls, "milliseconds_per_call": rounded}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the record, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", choices=["utilization", "faults", "overhead"])
    parser.add_argument("--engine", choices=["processes", "dask"], default="processes")
    parser.add_argument("--n-calls", type=int)
    parser.add_argument("--retrain-epochs", type=float, default=4.0)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the record here, and a chart beside it")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    given = {} if options.n_calls is None else {"n_calls": options.n_calls}
    timeline = None
    if options.study == "utilization":
        record, timeline = utilization(
            options.engine,
            retrain_epochs=options.retrain_epochs,
            n_candidates=options.candidates,
            seed=options.seed,
            **given,
        )
    elif options.study == "faults":
        record = faults(seed=options.seed, **given)
    else:
        record = loop_overhead(**given)
    record |= {"load": round(os.getloadavg()[0], 2), "versions": versions(), "machine": machine()}
    if options.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
        return 0
    write_record(options.out, record)
    if timeline is not None:
        utilization_chart(timeline).savefig(options.out.with_suffix(".png"), dpi=110)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
