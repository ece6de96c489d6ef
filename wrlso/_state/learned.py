"""What the optimizer has learned, as one value that is drafted, and published when the work is done."""

import copy
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from wrlso._state.codec import is_alike, is_own
from wrlso._state.encodings import Encodings
from wrlso._utils.random import stream
from wrlso._utils.validation import check_count
from wrlso.acquisition.protocol import Acquisition
from wrlso.exceptions import ParameterError
from wrlso.history import History
from wrlso.models.inversion import FIT_ON, invert
from wrlso.models.protocol import Objects
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.refit import refit_is_due, standardized_errors
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.surrogate.subset import select_subset
from wrlso.training import Inputs, Trainer

__all__ = ["ASKING", "FITTING", "TRAINING", "Core"]

TRAINING, ASKING, FITTING = 0, 1, 2  # purposes of the random streams

_MODEL_METHODS = (
    "tensorize", "encode", "decode", "loss", "key", "parameters", "state_dict", "load_state_dict", "train",
    "to",
)  # fmt: skip


@dataclass
class Core:
    """Model, surrogate and counters; every ask and retrain makes a changed copy.

    Its tensors and arrays are replaced or extended by rows that no other copy reads, never overwritten.
    """

    model: Any
    given_weights: dict[str, Tensor] | None  # kept only where retraining starts from them
    seed: int
    acquisition: Acquisition
    fit_on: str = FIT_ON[0]  # where a point lies for the surrogate
    n_asks: int = 0
    n_trainings: int = 0
    n_at_training: int = 0  # distinct values when the model was last trained
    Z: Encodings | None = None  # by this model, of the rows that were needed so far
    surrogate: Surrogate | None = None
    rows: np.ndarray | None = None  # rows that the search sees: a subset at the last fit, and all since
    y: np.ndarray | None = None  # their values, larger is better
    n_seen: int = 0  # distinct values that the search has taken in
    n_at_fit: int = 0  # distinct values at the last fit
    revision: int = -1  # of the history, at the last fit
    errors: np.ndarray = field(default_factory=lambda: np.empty(0))  # standardised, of values since the fit
    # what happened since this draft was made, for a campaign that stores just that
    trained: bool = False
    fitted: bool = False
    encoded: list[np.ndarray] = field(default_factory=list)  # rows
    conditioned: list[dict[str, Any]] = field(default_factory=list)
    # names of the files in which a campaign keeps the weights, where they are in one
    weights_file: str | None = None
    given_file: str | None = None

    def draft(self) -> Self:
        """Return a copy to work on; this one stays as it is."""
        acquisition = copy.deepcopy(self.acquisition)
        return replace(self, acquisition=acquisition, trained=False, fitted=False, encoded=[], conditioned=[])

    def train(self, trainer: Trainer, inputs: Inputs, weights: np.ndarray, verbose: int) -> dict[str, Any]:
        """Train a copy of the model and put it in place; encodings and the surrogate's data are void then.

        Returns the trainer's log and the seconds that it took.
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
            log = (trainer.fit if initial else trainer.fine_tune)(model, inputs, weights, rng, verbose)
        self._put_in_place(model, None)
        self.n_trainings += 1
        return {"epochs": log, "seconds": time.perf_counter() - start}

    def with_model(self, model: Any) -> Self:
        """Return a copy with another model, whose encodings are yet to be made."""
        draft = self.draft()
        draft._put_in_place(model, None)
        return draft

    def extended(self, X: Objects) -> Self:
        """Return a copy whose model has learned to read some objects."""
        model = copy.deepcopy(self.model)
        given = self.given_weights
        if given is not None:  # what a training from scratch begins with grows, too
            first = copy.deepcopy(model)
            first.load_state_dict(given)
            first.extend(X)
            given = copy.deepcopy(first.state_dict())
        model.extend(X)
        model.tensorize(X)  # what it cannot read even so is named
        draft = self.with_model(model)
        draft.given_weights, draft.given_file = given, None
        return draft

    def take_training(self, trained: "Core") -> None:
        """Put the model in place that another draft has trained, while this one's search went on."""
        self._put_in_place(trained.model, trained.weights_file)
        self.n_trainings, self.n_at_training = trained.n_trainings, trained.n_at_training

    def _put_in_place(self, model: Any, weights_file: str | None) -> None:
        self.model, self.Z, self.rows, self.y = model, None, None, None
        self.trained, self.weights_file, self.encoded = True, weights_file, []

    def encode(self, history: History, rows: np.ndarray) -> Tensor:
        """Return where some rows lie in Z (m, d) float64: made once per model, unless they were placed."""
        missing = rows if self.Z is None else self.Z.missing(rows)
        if len(missing):
            inputs = history.inputs[torch.from_numpy(missing)]
            Z = self.model.encode(inputs)
            self.place(missing, invert(self.model, inputs, Z) if self.fit_on == "inverted" else Z)
        known = self.Z or Encodings.none(self.model.latent_dim)
        return known[rows]

    def place(self, rows: np.ndarray, Z: Tensor) -> None:
        """Let rows lie at Z (m, d) until the next training."""
        known = self.Z or Encodings.none(self.model.latent_dim)
        self.encoded.append(rows)
        self.Z = known.with_rows(rows, Z)

    def refresh(
        self,
        history: History,
        observed: np.ndarray,
        y: np.ndarray,
        revision: int,
        *,
        fit: bool,
        surrogate: Surrogate | None,
        refit_every: int | str | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bring the surrogate up to date with the values y (n,), larger is better, of the rows ``observed``.

        It is fitted to a subset after a training, a correction or when ``refit_every`` says so (see
        :mod:`wrlso.surrogate.refit`), and conditioned on new values otherwise. Returns the rows that the
        search sees and their values.
        """
        wanted = SparseGP() if surrogate is None else surrogate
        if fit:
            self._let_go_of_another(wanted)
        n, new = len(observed), slice(self.n_seen, len(observed))
        arrived = n > self.n_seen
        stale = self.rows is None or self.revision != revision or (fit and self.surrogate is None)
        inputs, errors = None, None
        if fit and not stale and self.surrogate is not None and arrived:
            inputs = self._surrogate_inputs(history, self.surrogate, observed[new])
            if refit_every == "auto":
                errors = standardized_errors(self.surrogate, inputs, torch.from_numpy(y[new]))
        since_fit = None if errors is None else np.concatenate([self.errors, errors])
        if stale or (arrived and refit_is_due(refit_every, self.n_at_fit, n - self.n_at_fit, since_fit)):
            self._fit(history, observed, y, wanted, fit=fit)
            self.n_at_fit, self.revision = n, revision
        elif arrived:
            self._take_in(observed[new], y[new], inputs, errors)
        self.n_seen = n
        return np.asarray(self.rows), np.asarray(self.y)

    def _let_go_of_another(self, wanted: Surrogate) -> None:
        """Forget the surrogate where the user has set another one since, or other parameters."""
        comparable = is_own(self.surrogate) or is_own(wanted)  # of the user's own nothing is known
        if self.surrogate is not None and comparable and not is_alike(self.surrogate, wanted):
            self.surrogate = None

    def _fit(
        self, history: History, observed: np.ndarray, y: np.ndarray, template: Surrogate, *, fit: bool
    ) -> None:
        """Choose a subset of the values, and fit the surrogate to it."""
        rng = stream(self.seed, FITTING, self.n_asks)
        # chosen here, so that only the members of the subset need encoding
        n_best, n_random = getattr(template, "n_best", 2000), getattr(template, "n_random", 8000)
        check_count("n_best", n_best, minimum=0)
        check_count("n_random", n_random, minimum=0)
        chosen = select_subset(y, n_best, n_random, rng, n_latest=max(len(y) - history.n_start, 0))
        self.rows, self.y = observed[chosen], y[chosen]
        self.fitted, self.conditioned, self.errors = True, [], np.empty(0)
        if fit:
            # a copy, as an interrupted ask must leave the last fit as it was
            warm = copy.deepcopy(self.surrogate) or clone(template, safe=False)
            inputs = self._surrogate_inputs(history, warm, self.rows)
            self.surrogate = warm.fit(inputs, torch.from_numpy(self.y), rng)

    def _take_in(self, rows: np.ndarray, y: np.ndarray, inputs: Any, errors: np.ndarray | None) -> None:
        """Condition the surrogate on new values, where it has been given their ``inputs``."""
        self.rows, self.y = np.concatenate([self.rows, rows]), np.concatenate([self.y, y])
        known = inputs is not None and self.surrogate is not None
        if known and self.surrogate is not None:
            self.surrogate = self.surrogate.condition_on(inputs, torch.from_numpy(y))
        errors = np.empty(0) if errors is None else errors
        self.errors = np.concatenate([self.errors, errors])
        Z = inputs if isinstance(inputs, Tensor) else None
        self.conditioned.append({"rows": rows, "y": y, "Z": Z, "known": known, "errors": errors})

    def _surrogate_inputs(self, history: History, surrogate: Surrogate, rows: np.ndarray) -> Any:
        if surrogate.space == "features":
            return [history.records[row].x for row in rows]
        return self.encode(history, rows)
