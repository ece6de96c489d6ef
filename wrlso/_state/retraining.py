"""Training on all data, also while a search runs: how to stop it, and how to publish its result."""

import copy
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._state.learned import Learned
from wrlso._state.reconstruction import measure_reconstruction, rows_to_reconstruct
from wrlso._state.settings import Settings, sign_of
from wrlso._state.training_due import training_due_in
from wrlso._state.weights import training_weights
from wrlso.exceptions import NonFiniteLossError, TrainingDivergedWarning
from wrlso.history import History, RowSubset
from wrlso.training import Trainer

__all__ = ["StoppableRows", "TrainingStopped", "swap_in", "train", "training_is_due"]

_SMALLER_STEPS = (1.0, 0.1, 0.01)  # of the learning rate, until a retraining does not diverge


class TrainingStopped(Exception):
    """The user has stopped a training."""


@dataclass(frozen=True)
class StoppableRows(RowSubset):
    """Rows that raise :class:`TrainingStopped` once an event is set, which ends training at a minibatch."""

    stop: threading.Event | None = None

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the rows at int64 indices (m,) into the subset."""
        if self.stop is not None and self.stop.is_set():
            raise TrainingStopped
        return super().__getitem__(index)


def swap_in(trained: Learned, seen: History, learned: Learned, history: History) -> Learned | None:
    """Return the current learned part with a model trained meanwhile; None when it came too late.

    Parameters
    ----------
    trained : Learned
        A draft of an earlier state, with its model trained on ``seen``.
    learned, history
        The current state. Asks since then are kept; another training since then wins.
    """
    if history.uid != seen.uid or learned.n_trainings >= trained.n_trainings:
        return None
    draft = learned.draft()
    draft.take_training(trained)
    return draft


def training_is_due(learned: Learned, history: History, retrain_every: int | None) -> bool:
    """Whether the next ask trains first: before any training, and after r new distinct values."""
    n_at_training, n_trainings = learned.n_at_training, learned.n_trainings
    return training_due_in(retrain_every, history.n_observed, n_at_training, n_trainings) == 0


def train(
    settings: Settings,
    learned: Learned,
    history: History,
    lock: threading.RLock,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Train an unpublished draft on all data, and return the log.

    Raises
    ------
    TrainingStopped
        Once ``stop`` is set.
    """
    sign = sign_of(settings.direction)
    with lock:  # another thread may tell meanwhile
        observed, y = history.observed_rows, sign * history.y
        unlabelled = history.rows_with("unlabelled")
    weights = training_weights(y, len(unlabelled), settings.unlabelled_share, settings.weighting)
    rows = torch.from_numpy(np.concatenate([observed, unlabelled]))
    trainer = Trainer() if settings.trainer is None else settings.trainer
    sample = rows_to_reconstruct(observed, y, unlabelled)
    before = measure_reconstruction(learned.model, history, sample)
    log = _train_or_keep(
        learned, trainer, StoppableRows(history.inputs, rows, stop), weights, settings.verbose
    )
    after = measure_reconstruction(learned.model, history, sample)
    learned.n_at_training = len(y)
    return {"n_observed": len(y), "reconstruction": {"before": before, "after": after}} | log


def _train_or_keep(
    learned: Learned, trainer: Trainer, inputs: StoppableRows, weights: np.ndarray, verbose: int
) -> dict[str, Any]:
    """Train with ever smaller steps where a retraining diverges; keep the model where all of them do.

    The training counts in any case, and a campaign goes on. A first training that diverges raises: there is
    nothing to go on with.
    """
    for share in _SMALLER_STEPS:
        smaller = copy.copy(trainer)
        smaller.lr *= share
        smaller.retrain_lr = None if trainer.retrain_lr is None else trainer.retrain_lr * share
        try:
            return learned.train(trainer if share == 1.0 else smaller, inputs, weights, verbose)
        except NonFiniteLossError as error:
            if learned.n_trainings == 0:
                raise
            problem = str(error)
            _warn(f"a retraining diverged with {share:g} of the learning rate: {error}")
    _warn("the model stays as it was, and the search goes on with it: look at the trainer's lr and grad_clip")
    learned.n_trainings += 1
    return {"epochs": [], "seconds": 0.0, "diverged": problem}


def _warn(message: str) -> None:
    warnings.warn(message, TrainingDivergedWarning, stacklevel=2)
