"""The learned part of the optimizer: calls change a draft of it and publish the draft at the end."""

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wrlso._state.encodings import Encodings
from wrlso._state.fitted import Fitted, Values
from wrlso._utils.random import stream
from wrlso.acquisition.protocol import Acquisition
from wrlso.exceptions import ParameterError
from wrlso.history import History
from wrlso.models.inference import encoded
from wrlso.models.protocol import Objects
from wrlso.surrogate.points import points_for
from wrlso.surrogate.protocol import Surrogate
from wrlso.training.loop import Inputs
from wrlso.training.trainer import Trainer

__all__ = ["ASKING", "FITTING", "TRAINING", "Learned"]

TRAINING, ASKING, FITTING = 0, 1, 2  # purposes of the random streams


@dataclass
class Learned:
    """Model, surrogate and counters; every ask and retrain makes a changed copy.

    Copies share tensors and arrays, so no method overwrites these: methods replace them or append rows that
    no other copy reads. A training replaces the model.
    """

    model: Any
    given_weights: dict[str, Tensor] | None  # kept only when retraining starts from them
    seed: int
    acquisition: Acquisition
    n_asks: int = 0
    n_trainings: int = 0
    n_at_training: int = 0  # distinct values at the last training
    Z: Encodings | None = None  # by this model, of the rows needed so far
    fitted: Fitted = field(default_factory=Fitted)  # of the one goal, or of merits
    others: dict[str, Fitted] = field(default_factory=dict)  # of the other outcomes that get a process

    def draft(self) -> Self:
        """Return a copy to work on; this one stays as it is."""
        return replace(self, acquisition=copy.deepcopy(self.acquisition))

    def train(
        self,
        trainer: Trainer,
        inputs: Inputs,
        weights: np.ndarray,
        verbose: int,
        *,
        n_new: int | None = None,
        beta_share: float = 1.0,
    ) -> dict[str, Any]:
        """Replace the model by a trained copy, and forget encodings and the surrogate's data.

        Returns the log and the seconds of the training; see :meth:`wrlso.training.Trainer.fine_tune`.
        """
        start = time.perf_counter()
        model = copy.deepcopy(self.model)
        log: list[dict[str, float]] = []
        if len(inputs):
            initial = self.n_trainings == 0 or trainer.retrain == "scratch"
            if self.n_trainings and initial:
                if self.given_weights is None:
                    raise ParameterError(
                        "the trainer must have retrain='scratch' before fit to start from there"
                    )
                model.load_state_dict(self.given_weights)
            rng = stream(self.seed, TRAINING, self.n_trainings)
            if initial:
                log = trainer.fit(model, inputs, weights, rng, verbose)
            else:
                log = trainer.fine_tune(
                    model, inputs, weights, rng, verbose, n_new=n_new, beta_share=beta_share
                )
        self._put_in_place(model)
        self.n_trainings += 1
        return {"epochs": log, "seconds": time.perf_counter() - start}

    def with_model(self, model: Any) -> Self:
        """Return a copy with another model and without encodings."""
        draft = self.draft()
        draft._put_in_place(model)
        return draft

    def extended(self, X: Objects) -> Self:
        """Return a copy whose model has the tokens of some objects in its vocabulary."""
        model = copy.deepcopy(self.model)
        given = self.given_weights
        if given is not None:  # a training from scratch needs the new tokens, too
            first = copy.deepcopy(model)
            first.load_state_dict(given)
            first.extend(X)
            given = copy.deepcopy(first.state_dict())
        model.extend(X)
        model.tensorize(X)  # raises an error that names each object that the model still cannot read
        draft = self.with_model(model)
        draft.given_weights = given
        return draft

    def take_model(self, other: "Learned") -> None:
        """Take over another model, and the given weights that belong to it."""
        self._put_in_place(other.model)
        self.given_weights = other.given_weights

    def take_training(self, trained: "Learned") -> None:
        """Take over the model that another draft has trained while this one searched."""
        self._put_in_place(trained.model)
        self.n_trainings, self.n_at_training = trained.n_trainings, trained.n_at_training

    def _put_in_place(self, model: Any) -> None:
        self.model, self.Z, self.fitted = model, None, self.fitted.without_rows()
        self.others = {name: fitted.without_rows() for name, fitted in self.others.items()}

    def encode(self, history: History, rows: np.ndarray) -> Tensor:
        """Return the latent points (m, d) float64 of rows: encoded once per model."""
        missing = rows if self.Z is None else self.Z.missing(rows)
        if len(missing):
            inputs = history.inputs[torch.from_numpy(missing)]
            self.place(missing, encoded(self.model, inputs))
        return self.encodings[rows]

    def place(self, rows: np.ndarray, Z: Tensor) -> None:
        """Set the latent points of rows to Z (m, d) until the next training."""
        self.Z = self.encodings.with_rows(rows, Z)

    @property
    def encodings(self) -> Encodings:
        """Latent points of the rows needed so far."""
        return self.Z or Encodings.none(self.model.latent_dim)

    def refresh(
        self,
        history: History,
        values: Values,
        surrogate: Surrogate | str | None,
        refit_every: int | str | None,
        *,
        fit: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Update the surrogate; return the search's rows and their values.

        See :meth:`wrlso._state.fitted.Fitted.refreshed`.
        """
        self.fitted = self._refreshed(self.fitted, history, values, surrogate, refit_every, fit=fit)
        return np.asarray(self.fitted.rows), np.asarray(self.fitted.y)

    def refresh_others(
        self,
        history: History,
        values: Mapping[str, Values],
        surrogate: Surrogate | str | None,
        refit_every: int | str | None,
    ) -> None:
        """Update the processes of outcomes, one for each, from the values of each."""
        others: dict[str, Fitted] = {}
        for place, (name, of_outcome) in enumerate(values.items()):
            before = self.others.get(name, Fitted())
            others[name] = self._refreshed(
                before, history, of_outcome, surrogate, refit_every, fit=True, purpose=(place,)
            )
        self.others = others

    def _refreshed(
        self,
        fitted: Fitted,
        history: History,
        values: Values,
        surrogate: Surrogate | str | None,
        refit_every: int | str | None,
        *,
        fit: bool,
        purpose: tuple[int, ...] = (),
    ) -> Fitted:
        def inputs(surrogate: Surrogate, rows: np.ndarray) -> Any:
            return self.points(surrogate, history, rows)

        def rng() -> np.random.Generator:
            return stream(self.seed, FITTING, self.n_asks, *purpose)

        return fitted.refreshed(values, surrogate, refit_every, inputs, rng, fit=fit)

    def points(self, surrogate: Surrogate, history: History, rows: np.ndarray) -> Any:
        """Return rows (m,) of the history as a surrogate takes them."""
        return points_for(
            surrogate,
            self.model,
            lambda: [history.records[row].x for row in rows],
            lambda: self.encode(history, rows),
        )
