"""A small campaign that is killed repeatedly, to test that no result is lost and no later result changes.

:func:`drive` continues a campaign of binary words from any state to its end. It asks for one and two points,
tells, corrects, releases, retrains automatically and explicitly, and saves. Its next step depends only on the
campaign's state, so a killed and continued run must end in the same state as an uninterrupted one;
:func:`digest` compares them bit by bit.
"""

import copy
import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from wrlso._state.codec import dump
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.storage.info import events
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.training.trainer import Trainer

__all__ = ["digest", "drive", "kill_often", "make_optimizer", "networks"]

_LETTERS = 12
_N_TELLS = 24


def networks() -> dict[str, Any]:
    """Return a small encoder and decoder, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(_LETTERS, 16), nn.Tanh(), nn.Linear(16, 6))
        decoder = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, _LETTERS))
        return {"encoder": encoder, "decoder": decoder}


def make_optimizer() -> WeightedRetrainingOptimizer:
    """Return an optimizer fitted to 30 words with few ones, some without a value."""
    opt = WeightedRetrainingOptimizer(
        **networks(),
        trainer=Trainer(initial_epochs=5, retrain_epochs=1, batch_size=16, lr=0.01, retrain="scratch"),
        surrogate=SparseGP(max_iter=5, warm_iter=3),
        acquisition=LogExpectedImprovement(search=CandidatePool(n_candidates=60, generations=2)),
        retrain_every=6,
        refit_every=4,
        random_state=0,
    )
    rng = np.random.default_rng(0)
    every = (np.arange(2**_LETTERS)[:, None] >> np.arange(_LETTERS)) & 1
    few = every[every.sum(axis=1) <= 4]
    X = few[rng.choice(len(few), 30, replace=False)].astype(np.uint8)
    return opt.fit(X, [float(x.sum()) if i % 10 else None for i, x in enumerate(X)])


def drive(folder: Path | None, acknowledged: int | None = None) -> WeightedRetrainingOptimizer:
    """Run the campaign in a folder (None: in memory) to its end; begin a new one if the folder is empty.

    After each tell returns, its number is written to the file descriptor ``acknowledged``.
    """
    if folder is None:
        opt = make_optimizer()
    elif (folder / "journal.sqlite").exists():
        opt = WeightedRetrainingOptimizer.load(folder, **networks())
    else:
        opt = make_optimizer().autosave(folder)
    while (done := opt.history_.n_observed - opt.history_.n_start) < _N_TELLS:
        pending = opt.pending_
        last = opt.history_.records[int(opt.history_.observed_rows[-1])]
        if done == 15 and not last.revisions:
            opt.update(last.x, float(last.values[0]) - 0.25)
        elif done == 8 and opt.history_.trainings[-1]["n_observed"] != opt.history_.n_observed:
            opt.retrain()
        elif not pending:
            opt.ask(2) if done % 4 == 0 else opt.ask()
        elif done == 11 and not len(opt.history_.rows_with("released")):
            opt.release(pending[0])
        else:
            x = pending[0]
            opt.tell(x, float(x.sum()))
            if acknowledged is not None:
                os.write(acknowledged, f"{len(opt.history_.records)} {done + 1}\n".encode())
            if folder is not None and done % 5 == 0:
                opt.save(folder)
    return opt


def digest(opt: WeightedRetrainingOptimizer) -> str:
    """Return a checksum of all state that affects later results, and of the next three asks."""
    opt = copy.deepcopy(opt)
    core: Any = opt._session.learned
    fitted = core.fitted
    parts = [
        [
            (r.x, r.status, r.values, r.asked, r.z, r.prediction, r.n_failures, r.revisions)
            for r in opt.history_
        ],
        [event[:3] for event in opt.history_.events],
        [opt.history_.observed_rows, opt.y_, opt.history_.revision, opt.history_.n_start],
        [core.seed, core.n_asks, core.n_trainings, core.n_at_training, fitted.n_seen, fitted.n_at_fit],
        [fitted.revision, fitted.rows, fitted.y, fitted.errors, fitted.surrogate, core.Z.rows, core.Z.Z],
        list(opt.model_.state_dict().values()),
        [opt.ask() for _ in range(3)],
    ]
    return hashlib.sha256(b"".join(dump(part) for part in parts)).hexdigest()


def kill_often(n_kills: int, *, seed: int = 0) -> dict[str, Any]:
    """Kill the campaign at random moments, continue it each time, and compare each end with the true one.

    Parameters
    ----------
    n_kills : int
        Number of SIGKILLs of a running campaign, each within a third of the time of a run, or later when the
        last kills came before any tell. A new campaign follows a finished one.

    Returns
    -------
    dict
        "kills", "campaigns" (finished ones), "lost" (acknowledged tells missing after a kill), "different"
        (ends that differ from an uninterrupted run in memory), "seconds".
    """
    torch.set_num_threads(1)
    expected = digest(drive(None))
    start = time.perf_counter()
    drive(None)
    longest = (time.perf_counter() - start) / 3
    rng = np.random.default_rng(seed)
    result = {"kills": 0, "campaigns": 0, "lost": 0, "different": 0}
    while result["kills"] < n_kills:
        with tempfile.TemporaryDirectory(prefix="wrlso-crashes-") as name:
            folder, told = Path(name) / "campaign", Path(name) / "told"
            n_told, in_vain = 0, 0
            while not _run_for(folder, told, float(rng.uniform(0, longest * 1.2**in_vain))):
                result["kills"] += 1
                result["lost"] += _n_lost(folder, told)
                # otherwise a slower machine would make no progress
                in_vain = in_vain + 1 if _n_told(told) == n_told else 0
                n_told = _n_told(told)
            opt = WeightedRetrainingOptimizer.load(folder, **networks())
            result["campaigns"] += 1
            result["different"] += digest(opt) != expected
    return result | {"seconds": round(time.perf_counter() - start, 1)}


def _run_for(folder: Path, told: Path, seconds: float) -> bool:
    """Drive the campaign in a process, kill it after some time, and return whether it had finished."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            drive(folder, os.open(told, os.O_CREAT | os.O_WRONLY | os.O_APPEND))
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f"the campaign failed with status {status}")
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def _n_lost(folder: Path, told: Path) -> int:
    """Return the number of acknowledged tells that the campaign lacks."""
    acknowledged = _n_told(told)
    if not acknowledged:
        return 0
    return max(0, acknowledged - sum(event.kind == "tell" for event in events(folder)))


def _n_told(told: Path) -> int:
    return told.read_text().count("\n") if told.exists() else 0
