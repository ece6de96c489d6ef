"""Latent-space optimization with weighted retraining as one object (Algorithm 1).

The state machine has two parts. The *history* holds what users told and what is pending; only it changes
in ``tell``, ``update`` and ``release``. The *core* holds what was learned (model, surrogate, counters); ask
and retrain work on a draft of it, which replaces the core when the work is done. So an interrupted ask
changes nothing, a tell from another thread never waits for training, and an ask need not.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone

from wrlso._known import Known
from wrlso._state.beside import StoppableRows, TrainingStopped, swap_in
from wrlso._state.changes import Changes
from wrlso._state.codec import is_alike, is_own
from wrlso._state.learned import ASKING, Core
from wrlso._state.reading import read_objects, read_start, read_told
from wrlso._state.reconstruction import measure_reconstruction, rows_to_reconstruct
from wrlso._state.screen import screen_of
from wrlso._state.settings import check_parameters
from wrlso._state.weights import training_weights, weigh
from wrlso._utils.copies import keep
from wrlso._utils.random import draw_seed, stream
from wrlso._utils.validation import check_count
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.acquisition.protocol import Acquisition
from wrlso.acquisition.state import AskRecord, Proposal, SearchState, predict_proposals
from wrlso.exceptions import ModelError, NoCandidateError, UnknownPointError
from wrlso.history import History
from wrlso.models.protocol import LatentModel, Objects
from wrlso.models.vae import Codec
from wrlso.storage.session import PersistentState
from wrlso.surrogate.protocol import Surrogate
from wrlso.training import Trainer

__all__ = ["WeightedRetrainingOptimizer"]

_MIN_VALUES = 5  # below this a surrogate knows too little to search with
_MAX_CANDIDATES = 10_000  # x without a value that one ask considers


class WeightedRetrainingOptimizer(Known, PersistentState, BaseEstimator):
    """Search for the best x by latent-space optimization with weighted retraining.

    Call :meth:`fit` with starting data, then :meth:`ask`, run the experiment, and :meth:`tell`, in any order
    and at any pace (Tripp, Daxberger, Hernández-Lobato, 2020, Algorithm 1).

    Parameters
    ----------
    encoder, decoder : torch.nn.Module, default=None
        Two networks that make a :class:`wrlso.VAE`; the alternative is ``model``.
    model : LatentModel, default=None
        A generative model. It is copied; the given one stays as it was.
    likelihood, beta, codec
        Passed to :class:`wrlso.VAE` with encoder and decoder.
    feasible : callable x → bool, default=None
        A cheap test that every candidate must pass.
    direction : {"maximize", "minimize"}, default="maximize"
        Whether large or small values are better.
    weighting : callable y → w, default=None
        Weights of the data in training, given larger-is-better values; None: rank weighting with
        k = max(1e-3, 1/N).
    surrogate : Surrogate, default=None
        Model of the objective over Z; None: :class:`wrlso.SparseGP`.
    acquisition : Acquisition, default=None
        What to query next; None: :class:`wrlso.LogExpectedImprovement`.
    trainer : Trainer, default=None
        How the model is trained; None: :class:`wrlso.Trainer`.
    retrain_every : int or None, default=50
        Number r of new distinct values after which the next ask retrains first; None: never.
    refit_every : "auto", int or None, default="auto"
        When the surrogate's hyperparameters are fitted again (they always are after a retraining; in between
        it is conditioned on new values exactly): "auto" when its errors at new values give evidence of 20 to
        1 against it, once the values have doubled, or after 200; an int after so many new values; None never.
    fit_on : {"encoding", "asked", "inverted"}, default="encoding"
        Where a point lies for the surrogate: where the model encodes it; where it was asked, if that was
        since the last training, which differs for :class:`wrlso.LatentSearch` only (a
        :class:`wrlso.CandidatePool` asks at encodings); or at an encoding that ten gradient steps have made
        more likely to be decoded to the point. The last needs a model that follows
        :class:`wrlso.models.HasLogLikelihood`; with others it is the encoding.
    unlabelled_share : float in [0, 1], default=0.9
        Largest share of the training weight that all x without a value have together; they never weigh
        more than the average point.
    device : str or torch.device, default="auto"
        Where the model lives; "auto": a GPU if there is one.
    random_state : int, RandomState or None, default=None
        Determines all randomness; nothing touches global random state.
    verbose : int, default=0
        A progress bar for each training from 1 on.
    callbacks : sequence of objects, default=()
        Their methods ``on_ask(opt, X)``, ``on_tell(opt, X, values)``, ``on_retrain(opt, log)`` and, by
        :func:`wrlso.maximize`, ``on_stop(opt, result)`` are called where they exist, in the thread that did
        it.

    Attributes
    ----------
    best_x_, best_y_ : object, float
        The best point so far and its value.
    X_, y_ : list (n,), ndarray (n,) float64
        Successful observations, starting data first; values are means over replicates.
    weights_ : ndarray (n,) float64
        The weights of X_ in training, mean 1.
    pending_ : list
        Points that were asked for and not yet told.
    model_ : LatentModel
        The current model.
    history_ : History
        Everything that was given, asked, told and trained.
    notes_ : dict of str
        Texts by name that are kept with the campaign.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import Trainer, WeightedRetrainingOptimizer
    >>> X = np.tril(np.ones((12, 12)))[:6]
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(12, 4), nn.Linear(2, 12), random_state=0)
    >>> x = opt.fit(X, X.sum(axis=1)).ask()
    >>> opt.tell(x, x.sum()).best_y_ >= 6
    True
    """

    def __init__(
        self,
        encoder: torch.nn.Module | None = None,
        decoder: torch.nn.Module | None = None,
        *,
        model: LatentModel | None = None,
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        codec: Codec | None = None,
        feasible: Callable[[Any], bool] | None = None,
        direction: str = "maximize",
        weighting: Callable[[np.ndarray], np.ndarray] | None = None,
        surrogate: Surrogate | None = None,
        acquisition: Acquisition | None = None,
        trainer: Trainer | None = None,
        retrain_every: int | None = 50,
        refit_every: int | str | None = "auto",
        fit_on: str = "encoding",
        unlabelled_share: float = 0.9,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.model = model
        self.likelihood = likelihood
        self.beta = beta
        self.codec = codec
        self.feasible = feasible
        self.direction = direction
        self.weighting = weighting
        self.surrogate = surrogate
        self.acquisition = acquisition
        self.trainer = trainer
        self.retrain_every = retrain_every
        self.refit_every = refit_every
        self.fit_on = fit_on
        self.unlabelled_share = unlabelled_share
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self._make_state()

    # ---------------------------------------------------------------- the five calls

    def fit(self, X: Objects, y: Sequence[float | None] | np.ndarray | None = None) -> Self:
        """Start over with data D: train a copy of the model on it, weighted by value.

        Parameters
        ----------
        X : sequence of objects or ndarray (n, ...)
            Starting points; equal ones become one point with replicates.
        y : sequence (n,) of float, default=None
            Their values; None or NaN marks an x without a value, which trains the model and may be proposed.

        Returns
        -------
        self

        Raises
        ------
        DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
            When X or y is empty, of the wrong length, infinite or of the wrong type, the model breaks its
            contract, or when a parameter cannot be. The earlier state stays in place.
        """
        with self._training, self._working():
            check_parameters(self)
            X, values = read_start(X, y)
            core = self._fresh_core()
            start = Changes(History())
            start.add_start(core.model, X, values)
            start.apply()
            log = self._train(core, start.history)
            self._publish(core, log, start.history)
        self._call_back("on_retrain", log)
        return self

    def ask(self, n: int | None = None, *, retrain: bool = True) -> Any:
        """Return one new point to evaluate, or a list of ``n`` distinct ones; retrain first when due.

        A point is never returned twice, unless it was released, nor one that has a value, failed, is
        infeasible or invalid. It is pending until it is told or released.

        Parameters
        ----------
        n : int, default=None
            Number of points; None: one point, not in a list.
        retrain : bool, default=True
            False: search with the present model though training is due or goes on in another thread; who
            asks so calls :meth:`retrain` when :attr:`training_due_` says so. A model that was never trained
            is trained in any case.

        Raises
        ------
        NotFittedError
            When nothing has been given by fit or tell.
        NoCandidateError
            When a bounded search finds no new point.
        """
        check_count("n", n, none="one point")
        # who may train waits for a training that is under way: it may be the one that is due
        with self._training if retrain else nullcontext(), self._working():
            check_parameters(self)
            core, history = self._require_core()
            draft = core.draft()
            draft.n_asks += 1
            due = self._training_due(core, history) if retrain else core.n_trainings == 0
            log = self._train(draft, history) if due else None
            try:
                X = self._propose(draft, history, 1 if n is None else n, log)
            except NoCandidateError:
                self._publish(draft, log)  # a training is not lost, and the next ask draws anew
                raise
        if log:
            self._call_back("on_retrain", log)
        self._call_back("on_ask", X)
        return X[0] if n is None else X

    def tell(self, x: Any, y: Any, *, reason: str | None = None) -> Self:
        """Report results: one point when y is a number or None, a batch when y is a sequence.

        Parameters
        ----------
        x : object or sequence of objects
            Any points, asked for or not.
        y : float, None or sequence of them
            Values in the user's sign; None or NaN means that the experiment failed. A point that already
            has a value gets a replicate.
        reason : str, default=None
            Why those without a value failed; kept in the history.

        Raises
        ------
        DataError, DataTypeError
            For infinite or non-numeric values, lengths that differ, or an x that the model cannot read.
            Nothing is recorded then.
        """
        X, values = read_told(x, y)
        check_parameters(self)
        with self._changing() as changes:
            core = self._core
            if core is None:
                core = changes.core = self._fresh_core()
            for row, value in zip(changes.add(core.model, X), values, strict=True):
                changes.note("tell", row, value, reason if value is None else None)
        self._call_back("on_tell", X, values)
        return self

    def update(self, x: Any, y: float | None) -> Self:
        """Correct the value of a point that was told: all its replicates are replaced by y.

        Raises UnknownPointError when x has neither a value nor failed, and as :meth:`tell` for a bad y.
        """
        _, (value,) = read_told(x, y)
        with self._changing() as changes:
            row = self._known_row(x, "observed", "failed")
            changes.note("update", row, value, list(self._history.records[row].values))
        return self

    def extend(self, X: Objects) -> Self:
        """Let the model learn to read some x: its vocabulary takes in what they have and it lacks.

        What is known keeps its encodings. The model learns at the next training what the new words mean.

        Parameters
        ----------
        X : sequence of objects

        Raises
        ------
        NotFittedError
            When nothing has been given by fit or tell.
        ModelError
            When the model has no vocabulary that could grow: no method ``extend``.
        DataError, DataTypeError
            For what it cannot read whatever its vocabulary. Nothing has changed then.
        """
        X = read_objects(X, "X")
        with self._training, self._working():
            core, _ = self._require_core()
            if not callable(getattr(core.model, "extend", None)):
                raise ModelError(
                    f"{type(core.model).__name__} has no vocabulary to extend (no method extend)"
                )
            if core.model.missing_tokens(X):
                self._publish(core.extended(X), None)
        return self

    def release(self, x: Any) -> Self:
        """Forget a pending point: it may be asked again. Raises UnknownPointError when x is not pending."""
        with self._changing() as changes:
            changes.note("release", self._known_row(x, "pending"))
        return self

    def retrain(self, *, block: bool = True, stop: threading.Event | None = None) -> Self:
        """Train the model on all data now; until :attr:`retrain_every` new values the next ask does not.

        Parameters
        ----------
        block : bool, default=True
            Whether asks of other threads and processes wait. Otherwise ``ask(retrain=False)`` goes on with
            the present model; the trained copy takes its place when it is ready, unless something else was
            trained or fitted meanwhile.
        stop : threading.Event, default=None
            Once it is set, training ends at the next minibatch and nothing has changed.
        """
        with self._training:
            try:
                if block:
                    with self._working():
                        log = self._retrain(stop)
                else:
                    log = self._retrain(stop)
            except TrainingStopped:
                return self
        if log is not None:
            self._call_back("on_retrain", log)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is any data."""
        return self._core is not None

    # ---------------------------------------------------------------- training

    def _retrain(self, stop: threading.Event | None) -> dict[str, Any] | None:
        """Train a draft and let it take effect; return the log, None where it came too late."""
        with self._working():
            check_parameters(self)
            core, history = self._require_core()
            draft = core.draft()
        log = self._train(draft, history, stop)
        with self._working():
            now = swap_in(draft, history, *self._require_core())
            if now is None:
                return None
            self._publish(now, log)
        return log

    def _train(self, core: Core, history: History, stop: threading.Event | None = None) -> dict[str, Any]:
        """Train the (unpublished) core on all data."""
        with self._lock:
            observed, y = history.observed_rows, history.y
            unlabelled = history.rows_with("unlabelled")
        weights = training_weights(self._sign * y, len(unlabelled), self.unlabelled_share, self.weighting)
        rows = torch.from_numpy(np.concatenate([observed, unlabelled]))
        trainer = self.trainer if self.trainer is not None else Trainer()
        sample = rows_to_reconstruct(observed, self._sign * y, unlabelled)
        before = measure_reconstruction(core.model, history, sample)
        log = core.train(trainer, StoppableRows(history.inputs, rows, stop), weights, self.verbose)
        after = measure_reconstruction(core.model, history, sample)
        core.n_at_training = len(y)
        if self._campaign is not None:
            self._campaign.prepare(core)  # before the transaction, which makes others wait
        return {"n_observed": len(y), "reconstruction": {"before": before, "after": after}} | log

    # ---------------------------------------------------------------- searching

    def _propose(self, core: Core, history: History, n: int, log: dict[str, Any] | None) -> list[Any]:
        """Search, and publish the draft core and the pending points together."""
        for _ in range(10):
            proposals, predictions, record = self._search(core, history, n)
            X = [proposal.x for proposal in proposals]
            with self._changing() as changes:
                screen = screen_of(core.model, changes.history, self.feasible)
                # a tell from another thread or process may have made a proposal known meanwhile
                if any(screen(x) is not None for x in X):
                    continue
                changes.core = core
                if log is not None:
                    changes.note("train", data=log)
                rows = changes.add(core.model, X)
                if self.fit_on == "asked":
                    core.place(np.array(rows), torch.stack([proposal.z for proposal in proposals]))
                for row, proposal, prediction in zip(rows, proposals, predictions, strict=True):
                    changes.note("ask", row, data=(proposal.z.numpy(), prediction))
                changes.note("search", data=record)
            return [keep(x) for x in X]
        raise NoCandidateError("others told every proposed point before it could be returned, 10 times")

    def _search(
        self, core: Core, history: History, n: int
    ) -> tuple[list[Proposal], list[tuple[float, float] | None], AskRecord]:
        start = time.perf_counter()
        rng = stream(core.seed, ASKING, core.n_asks)
        with self._lock:
            pending, unlabelled = history.rows_with("pending"), history.rows_with("unlabelled")
            n_values = history.n_observed
        wanted, core.fit_on = self._acquisition_template(), self.fit_on
        if is_own(wanted) and not is_alike(core.acquisition, wanted):  # set since fit
            core.acquisition = clone(wanted, safe=False)
        acquisition = core.acquisition
        if acquisition.uses_surrogate and n_values < _MIN_VALUES:
            acquisition = PriorSampling()
        with self._lock:
            known = (history.observed_rows, self._sign * history.y, history.revision)
            n_rows, n_told = len(history), history.n_observed + len(history.rows_with("failed"))
        fit = acquisition.uses_surrogate
        rows, y = core.refresh(
            history, *known, fit=fit, surrogate=self.surrogate, refit_every=self.refit_every
        )
        if len(unlabelled) > _MAX_CANDIDATES:
            unlabelled = rng.choice(unlabelled, _MAX_CANDIDATES, replace=False)
        state = SearchState(
            model=core.model,
            surrogate=core.surrogate if acquisition.uses_surrogate else None,
            Z=core.encode(history, rows),
            y=torch.from_numpy(y),
            weights=torch.from_numpy(weigh(y, self.weighting)),
            pending=core.encode(history, pending),
            screen=screen_of(core.model, history, self.feasible),
            pending_X=[history.records[row].x for row in pending],
            candidates=[history.records[row].x for row in unlabelled],
            candidates_Z=core.encode(history, unlabelled) if len(unlabelled) else None,
            rows=rows,
            n_rows=n_rows,
            n_told=n_told,
            point=lambda i: history.records[rows[i]].x,
        )
        seconds = {"fit": time.perf_counter() - start}
        proposals, record = acquisition.propose(state, n, rng)
        record.seconds = seconds | record.seconds
        return proposals, predict_proposals(state.surrogate, proposals, self._sign), record

    # ---------------------------------------------------------------- data

    def _known_row(self, x: Any, *statuses: str) -> int:
        core, history = self._require_core()
        row = history.row(core.model.key(x))
        status = None if row is None else history.records[row].status
        if row is None or status not in statuses:
            raise UnknownPointError(
                f"x must be {' or '.join(statuses)}, but it is {status or 'unknown'}: {x!r:.80}"
            )
        return row

    def _fresh_core(self) -> Core:
        model = self._built_model()
        given = None
        if self.trainer is not None and self.trainer.retrain == "scratch":
            given = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        acquisition = clone(self._acquisition_template(), safe=False)
        return Core(model, given, draw_seed(self.random_state), acquisition)

    def _call_back(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(self, *args)

    def _publish(self, core: Core, log: dict[str, Any] | None, history: History | None = None) -> None:
        """Let a finished draft take effect, and a new history where there is one."""
        with self._changing(core, history) as changes:
            if log is not None:
                changes.note("train", data=log)

    def __getstate__(self) -> dict[str, Any]:
        # a copy has locks of its own and no campaign: it must be loaded to take part in one
        own = ("_lock", "_work", "_training", "_campaign")
        return {k: v for k, v in super().__getstate__().items() if k not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make_state()
        super().__setstate__(state)
