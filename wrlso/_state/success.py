"""What failed experiments say of others: the probability that an experiment on x succeeds."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wrlso._state.learned import Learned
from wrlso._state.settings import Settings, surrogate_or_default
from wrlso.history import History
from wrlso.models.inference import encoded, evaluating, tensorized, to_model
from wrlso.models.protocol import LatentModel, Objects
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.success import MOST_OUTCOMES, SuccessModel, traits_of

__all__ = ["Success", "outcomes", "probability_of_success", "success_of"]

_LATEST = MOST_OUTCOMES // 2  # of the outcomes that are looked at, at least


@dataclass(frozen=True)
class Success:
    """The probability of success of any x.

    Attributes
    ----------
    model : LatentModel
    surrogate : Surrogate
        Knows more of x, if it is one of features of x.
    predictor : SuccessModel
    """

    model: LatentModel
    surrogate: Surrogate
    predictor: SuccessModel

    def probability(self, X: Sequence[Any], Z: Tensor) -> NDArray[np.float64]:
        """Return the probability (q,) that experiments on q objects with encodings Z (q, d) succeed."""
        return self.predictor.probability(traits_of(self.surrogate, self.model, X, Z))


def success_of(
    settings: Settings,
    learned: Learned,
    history: History,
    rows: NDArray[np.int64],
    success: NDArray[np.bool_],
) -> Success | None:
    """Return what the outcomes of rows say of others; None while nothing has failed."""
    if success.all():
        return None
    surrogate = surrogate_or_default(settings.surrogate)
    X, Z = [history.records[row].x for row in rows], learned.encode(history, rows)
    model = learned.model
    return Success(model, surrogate, SuccessModel.fit(traits_of(surrogate, model, X, Z), success))


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
