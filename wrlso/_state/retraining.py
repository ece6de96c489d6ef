"""Training on all data, also while a search runs: how to stop it, and how to publish its result."""

import copy
import logging
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._state.asking import has_small_networks
from wrlso._state.beliefs import believed
from wrlso._state.broken_rules import warn_of_broken_rules
from wrlso._state.learned import Learned
from wrlso._state.merits import standing
from wrlso._state.reconstruction import measure_reconstruction, rows_to_reconstruct
from wrlso._state.settings import Settings, trains
from wrlso._state.training_due import training_due_in
from wrlso._state.training_log import in_words
from wrlso._state.weights import training_weights, weighting_now
from wrlso._utils.threads import ENOUGH_WORK, bounded_threads
from wrlso.exceptions import NonFiniteLossError, TrainingDivergedWarning
from wrlso.history import History, RowSubset
from wrlso.outcomes import aims_of
from wrlso.training.automatic import active_dimensions
from wrlso.training.trainer import Trainer
from wrlso.weighting import RankWeighting, effective_sample_size

__all__ = ["StoppableRows", "TrainingStopped", "swap_in", "train", "training_is_due"]

_logger = logging.getLogger(__name__)

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
    aims = aims_of(settings.outcomes, settings.direction)
    if learned.n_trainings == 0:
        warn_of_broken_rules(settings.feasible, learned.model, history)
    with lock:  # another thread may tell meanwhile
        state = standing(history, aims)
        unlabelled = history.rows_with("unlabelled")
        n_start = history.n_start if history.trainings else len(state.rows)
    observed, (y, noisy) = state.rows, believed(learned, history, aims, state)
    share, weighting = settings.unlabelled_share, settings.weighting
    weights = training_weights(y, n_start, len(unlabelled), share, weighting, noisy)
    rows = torch.from_numpy(np.concatenate([observed, unlabelled]))
    if not trains(settings):
        learned.n_trainings, learned.n_at_training = learned.n_trainings + 1, len(y)
        return {"n_observed": len(y), "epochs": [], "seconds": 0.0}
    trainer = Trainer() if settings.trainer is None else settings.trainer
    sample = rows_to_reconstruct(observed, y, unlabelled)
    before = measure_reconstruction(learned.model, history, sample)
    inputs = StoppableRows(history.inputs, rows, stop)
    retraining = {"n_new": len(y) - learned.n_at_training, "beta_share": _share_of_beta(history)}
    with bounded_threads(0.0 if has_small_networks(learned.model) else ENOUGH_WORK, networks=True):
        log = _train_or_keep(learned, trainer, inputs, weights, settings.verbose, retraining)
        after = measure_reconstruction(learned.model, history, sample)
    learned.n_at_training = len(y)
    log = {"n_observed": len(y), "reconstruction": {"before": before, "after": after}} | log
    if len(rows):
        log |= _described(learned.model, RowSubset(history.inputs, rows), weights)
        now = weighting_now(y, n_start, settings.weighting) if len(y) else None
        log["k"] = now.k if isinstance(now, RankWeighting) else None
    _logger.info("training: %s", in_words(log))
    return log


def _share_of_beta(history: History) -> float:
    """Return the share of β with which the last training kept the latent points apart."""
    epochs = history.trainings[-1]["epochs"] if history.trainings else []
    return float(epochs[-1].get("beta_share", 1.0)) if epochs else 1.0


def _described(model: Any, inputs: RowSubset, weights: np.ndarray) -> dict[str, Any]:
    return {
        "active": active_dimensions(model, inputs),
        "latent_dim": int(model.latent_dim),
        "effective_sample_size": effective_sample_size(weights),
    }


def _train_or_keep(
    learned: Learned,
    trainer: Trainer,
    inputs: StoppableRows,
    weights: np.ndarray,
    verbose: int,
    retraining: dict[str, Any],
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
            used = trainer if share == 1.0 else smaller
            return learned.train(used, inputs, weights, verbose, **retraining)
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
