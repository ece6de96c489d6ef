"""What failed experiments say of others: the probability that an experiment on x succeeds."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._state.learned import Learned
from wrlso._state.processes import processes
from wrlso._state.settings import Settings, surrogate_or_default
from wrlso.acquisition.state import Process
from wrlso.history import History
from wrlso.models.inference import encoded, evaluating, tensorized, to_model
from wrlso.models.protocol import LatentModel, Objects
from wrlso.outcomes import Aims, aims_of
from wrlso.surrogate.points import points_for
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.success import MOST_OUTCOMES, SuccessModel, traits_of

__all__ = ["Success", "outcomes", "probability_of_success", "success_of"]

_LEAST = 1e-6  # no limit is thought impossible to keep
_LATEST = MOST_OUTCOMES // 2  # of the outcomes that are looked at, at least


@dataclass(frozen=True)
class Success:
    """The probability of success of any x.

    Attributes
    ----------
    model : LatentModel
    surrogate : Surrogate
        Knows more of x, if it is one of features of x.
    predictor : SuccessModel or None
        None while no experiment has failed.
    limits : sequence of (Process, float, float)
        The process of each limited outcome, and from where to where the outcome, larger is better, may lie.
    """

    model: LatentModel
    surrogate: Surrogate
    predictor: SuccessModel | None
    limits: Sequence[tuple[Process, float, float]] = ()

    def probability(self, X: Sequence[Any], Z: Tensor) -> NDArray[np.float64]:
        """Return the probability (q,) that experiments on q objects with encodings Z (q, d) succeed.

        And that the limits hold. Nothing is thought impossible.
        """
        found = np.ones(len(X))
        if self.predictor is not None:
            found *= self.predictor.probability(traits_of(self.surrogate, self.model, X, Z))
        for process, low, high in self.limits:
            points = points_for(process.surrogate, self.model, lambda: X, lambda: Z.to("cpu", torch.float64))
            mean, variance = process.moments(points)
            deviation = variance.clamp_min(1e-300).sqrt()
            below, above = ((limit - mean) / deviation for limit in (low, high))
            inside = torch.special.ndtr(above) - torch.special.ndtr(below)
            found *= np.clip(inside.numpy(), _LEAST, 1.0)
        return found


def success_of(
    settings: Settings,
    learned: Learned,
    history: History,
    rows: NDArray[np.int64],
    success: NDArray[np.bool_],
) -> Success | None:
    """Return what the outcomes of rows say of others; None while nothing has failed and there is no limit.

    A limit counts as soon as its outcome has a process.
    """
    surrogate, model = surrogate_or_default(settings.surrogate), learned.model
    limits = _limits(learned, aims_of(settings.outcomes, settings.direction))
    if success.all():
        return Success(model, surrogate, None, limits) if limits else None
    X, Z = [history.records[row].x for row in rows], learned.encode(history, rows)
    predictor = SuccessModel.fit(traits_of(surrogate, model, X, Z), success)
    return Success(model, surrogate, predictor, limits)


def _limits(learned: Learned, aims: Aims) -> list[tuple[Process, float, float]]:
    """Return the process and the bounds of each outcome that has limits."""
    found: list[tuple[Process, float, float]] = []
    for name, process in processes(learned, aims).items():
        # in the process's direction, in which one side of a limit may be the other one of the user's
        sides = [(sign, process.sign * limit) for own, sign, limit in aims.limits if own == name]
        lows = [limit for sign, limit in sides if sign == process.sign]
        highs = [limit for sign, limit in sides if sign != process.sign]
        if sides:
            found.append((process, max(lows, default=-np.inf), min(highs, default=np.inf)))
    return found


def probability_of_success(
    settings: Settings, learned: Learned, history: History, X: Objects, lock: threading.RLock
) -> NDArray[np.float64]:
    """Return the probability (n,) that experiments on X (n) succeed; 1 while none has failed."""
    draft = learned.draft()
    model = draft.model
    inputs = to_model(model, tensorized(model, X), like_weights=False)
    with lock:  # another thread may tell meanwhile
        known = outcomes(history)
    success = success_of(settings, draft, history, *known)
    if success is None:
        return np.ones(len(X))
    with evaluating(model):
        Z = encoded(model, inputs)
    return success.probability(list(X), Z)


def outcomes(history: History) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return rows (n,) of experiments that succeeded or failed, those asked for last, and which succeeded.

    Of many the latest are taken, and others at random.
    """
    failed, observed = history.rows_with("failed"), history.observed_rows
    rows = np.concatenate([failed, observed])
    success = np.arange(len(rows)) >= len(failed)
    if len(failed) == 0:
        return rows, success
    asked = np.full(len(history), -1, dtype=np.int64)
    asked[np.asarray(history.asked, dtype=np.int64)] = np.arange(len(history.asked))
    # in an order of their own, because starting data may be sorted
    shuffled = np.random.default_rng(0).permutation(len(rows))
    order = shuffled[np.argsort(asked[rows[shuffled]], kind="stable")]
    if len(order) > MOST_OUTCOMES:
        earlier = order[:-_LATEST]
        some = np.linspace(0, len(earlier) - 1, MOST_OUTCOMES - _LATEST).astype(np.int64)
        order = np.concatenate([earlier[some], order[-_LATEST:]])
    return rows[order], success[order]
