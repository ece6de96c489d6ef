"""Latent-space optimization with weighted retraining as one object (Algorithm 1).

The optimizer holds a ``Session`` with two parts. The *history* holds the told
values and the pending points; ``tell``, ``update`` and ``release`` change only the history. The *learned*
part holds the model, the surrogate and counters; ``ask`` and ``retrain`` change a draft of it and publish
the draft at the end. So an interrupted ask changes nothing, and a tell never waits for training.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from wrlso._state.beliefs import believed
from wrlso._state.changes import Changes
from wrlso._state.merits import reference_of, standing, told_values
from wrlso._state.reading import read_correction, read_failed, read_objects, read_start, read_told
from wrlso._state.retraining import TrainingStopped, training_is_due
from wrlso._state.settings import check_parameters, trains
from wrlso._state.weights import weigh
from wrlso._utils.copies import keep
from wrlso._utils.domination import hypervolume
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count
from wrlso.acquisition.protocol import Acquisition
from wrlso.exceptions import NoCandidateError
from wrlso.history import History
from wrlso.models.protocol import LatentModel, Objects
from wrlso.models.vae import Codec
from wrlso.outcomes import Outcome
from wrlso.report.summary import html_summary, text_summary
from wrlso.rules.book import Feasible
from wrlso.storage.info import Notes
from wrlso.storage.loading import load_optimizer
from wrlso.storage.session import Session
from wrlso.surrogate.protocol import Surrogate
from wrlso.training.trainer import Trainer

__all__ = ["WeightedRetrainingOptimizer"]


class WeightedRetrainingOptimizer(BaseEstimator):
    """Search for the best x by latent-space optimization with weighted retraining.

    Call :meth:`fit` with starting data, then :meth:`ask`, run the experiment, and :meth:`tell`, in any order
    and at any pace (Tripp, Daxberger, Hernández-Lobato, 2020, Algorithm 1).

    Parameters
    ----------
    encoder, decoder : torch.nn.Module, default=None
        Two networks that make a :class:`wrlso.VAE`; the alternative is ``model``.
    model : LatentModel, default=None
        A generative model. The optimizer trains a copy.
    likelihood, beta, codec
        Passed to :class:`wrlso.VAE` with encoder and decoder; with ``model`` they must be the defaults.
    feasible : callable x → bool, str, Filters or list of these, default=None
        Rules that every candidate must keep to: a cheap test; for molecules "drug-like", "lead-like" or
        "no-alerts" (``wrlso.rules.NAMED``), or :class:`wrlso.rules.Filters`.
    candidates : sequence or ndarray (n, ...) or Catalogue, default=None
        x that can be had, up to a million, which ask may propose. They do not train the model.
    generate : bool, default=True
        Whether ask may propose what the model makes. False: only x without a value, and candidates.
    outcomes : sequence, default=None
        What an experiment measures, by name: :class:`wrlso.Maximize` and :class:`wrlso.Minimize` goals,
        :class:`wrlso.AtLeast` and :class:`wrlso.AtMost` limits, and :class:`wrlso.Record`. None: one number.
    direction : {"maximize", "minimize"}, default="maximize"
        Whether large or small values are better; outcomes say it by themselves.
    weighting : callable y → w, default=None
        Weights of the data in training, given larger-is-better values; None: rank weighting with
        k = max(1e-3, 10/N).
    surrogate : Surrogate or "auto", default=None
        Model of the objective; None and "auto": :class:`wrlso.AutoSurrogate`, over Z or features of x.
    acquisition : Acquisition, default=None
        Chooses the next points; None: log expected improvement and Thompson sampling in turns.
    trainer : Trainer, default=None
        How the model is trained; None: :class:`wrlso.Trainer`.
    retrain_every : int or None, default=50
        After this number r of new distinct values the next ask retrains first; None: never.
    refit_every : "auto", int or None, default="auto"
        When to refit the surrogate's hyperparameters between retrainings. "auto": when its errors at new
        values are evidence of 20 to 1 against it, when the values have doubled, or after 200 new values. An
        int: after so many new values. None: never. Until then it is conditioned on new values exactly.
        Replicates and corrections count as new values (:class:`wrlso.surrogate.TakesCorrections`).
    unlabelled_share : float in [0, 1], default=0.9
        Largest share of the training weight for all x without a value. No such x weighs more than average.
    device : str or torch.device, default="auto"
        Device of the model; "auto": a GPU if there is one.
    random_state : int, RandomState or None, default=None
        Determines all randomness. Global random state never changes.
    verbose : int, default=0
        From 1 on each training shows a progress bar.
    callbacks : sequence of objects, default=()
        Objects with any of the methods ``on_ask(opt, X)``, ``on_tell(opt, X, values)``,
        ``on_retrain(opt, log)`` and, called by :func:`wrlso.maximize`, ``on_stop(opt, result)``.

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
        feasible: Feasible = None,
        candidates: Any = None,
        generate: bool = True,
        outcomes: Sequence[Outcome] | None = None,
        direction: str = "maximize",
        weighting: Callable[[np.ndarray], np.ndarray] | None = None,
        surrogate: Surrogate | str | None = None,
        acquisition: Acquisition | None = None,
        trainer: Trainer | None = None,
        retrain_every: int | None = 50,
        refit_every: int | str | None = "auto",
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
        self.candidates = candidates
        self.generate = generate
        self.outcomes = outcomes
        self.direction = direction
        self.weighting = weighting
        self.surrogate = surrogate
        self.acquisition = acquisition
        self.trainer = trainer
        self.retrain_every = retrain_every
        self.refit_every = refit_every
        self.unlabelled_share = unlabelled_share
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self._session = Session(self)

    def fit(self, X: Objects, y: Any = None, *, sd: Any = None, failed: Any = None) -> Self:
        """Start over with new data: train a copy of the model on it, weighted by value.

        Parameters
        ----------
        X : sequence of objects or ndarray (n, ...)
            Starting points. Equal points become one point with replicates.
        y : sequence (n,), default=None
            Their values, each as in :meth:`tell`. None or NaN: no value; such an x trains the model, and ask
            may propose it.
        sd : float, mapping or sequence (n,), default=None
            Standard errors, as in :meth:`tell`.
        failed : sequence (n,) of bool, default=None
            Which of the experiments failed: these x are not asked for, and say what else may fail.

        Returns
        -------
        self

        Raises
        ------
        DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
            When X or y is empty, infinite, or has the wrong length or type; when the model breaks its
            contract; or when a parameter is invalid. The earlier state stays in place.
        """
        with self._session.training, self._session.working():
            check_parameters(self)
            X, values = read_start(X, y, self._session.aims, sd)
            failures = read_failed(failed, values)
            learned = self._session.fresh()
            start = Changes(History())
            start.expect(self._session.aims)
            start.add_start(learned.model, X, values, failures)
            start.apply()
            log = self._session.train(learned, start.history)
            self._session.publish(learned, log, start.history)
        self._call_back("on_retrain", log)
        return self

    def ask(self, n: int | None = None, *, retrain: bool = True) -> Any:
        """Return one new point to evaluate, or a list of ``n`` distinct points; retrain first when due.

        ``ask`` never returns a point that has a value, failed, or is pending, infeasible or invalid. A
        returned point is pending until you tell or release it.

        Parameters
        ----------
        n : int, default=None
            Number of points; None: one point, not in a list.
        retrain : bool, default=True
            False: search with the present model, unless it is untrained. In that case call :meth:`retrain`
            yourself when :attr:`training_due_` is true.

        Raises
        ------
        NotFittedError
            Before any fit or tell.
        NoCandidateError
            When a bounded search finds no new point.
        """
        check_count("n", n, none="one point")
        session = self._session
        # a call that may train waits for a running training, which may be the one that is due
        with session.training if retrain else nullcontext(), session.working():
            check_parameters(self)
            learned, history = session.require()
            draft = learned.draft()
            draft.n_asks += 1
            due = training_is_due(learned, history, self.retrain_every if retrain and trains(self) else None)
            log = session.train(draft, history) if due else None
            try:
                X = session.propose(draft, history, 1 if n is None else n, log)
            except NoCandidateError:
                session.publish(draft, log)  # keep the training, and let the next ask sample anew
                raise
        with self._session.handing_out(X):
            if log:
                self._call_back("on_retrain", log)
            self._call_back("on_ask", X)
        return X[0] if n is None else X

    def tell(self, x: Any, y: Any, *, sd: Any = None, reason: str | None = None) -> Self:
        """Record results: one point when y is a number, a mapping or None, a batch when y is a sequence.

        Parameters
        ----------
        x : object or sequence of objects
            Points from ask or any others.
        y : float, Reading, mapping, None, or a sequence of them
            Values in the user's sign. None or NaN: the experiment failed. A known point gets a replicate.
            With ``outcomes`` a mapping of name to value, which says nothing of other outcomes; None and NaN
            in it: not measured. A batch is a list of mappings, an array (n, m) in the order of the names, or
            a table with a column for each goal, and for other outcomes, "name sd" and "name n" as wanted. In
            these NaN says nothing; a row of an array without any value is an experiment that failed.
            :func:`wrlso.above` and :func:`wrlso.below` stand for ">10" and "<0.1".
        sd : float, mapping, or sequence of them, default=None
            Standard error of the values where it is known, > 0; one number counts for all values.
        reason : str, default=None
            Why the points without a value failed; the history keeps it.

        Raises
        ------
        DataError, DataTypeError
            For values that are no finite numbers, unknown outcomes, different lengths, or an unreadable x.
            Nothing changes.
        ParameterError
            When outcomes have other units than those in which values were told.
        """
        aims = self._session.aims
        X, values = read_told(x, y, aims, sd)
        check_parameters(self)
        with self._session.changing() as changes:
            learned = self._session.learned
            if learned is None:
                learned = changes.learned = self._session.fresh()
            changes.expect(aims)
            for row, value in zip(changes.add(learned.model, X), values, strict=True):
                changes.tell("tell", row, value, reason)
        self._call_back("on_tell", X, values)
        return self

    def update(self, x: Any, y: Any, *, sd: Any = None, reason: str | None = None) -> Self:
        """Correct a told point: y replaces all replicates, with outcomes those of the names that it has.

        y is as of :meth:`tell`, but NaN says that the one number was not measured, as None and NaN do in a
        mapping. None: the experiment failed. ``reason`` is kept with the event. Raises UnknownPointError when
        x was never told, and the errors of :meth:`tell` for a bad y.
        """
        aims = self._session.aims
        told = read_correction(x, y, aims, sd)
        with self._session.changing() as changes:
            row = self._session.known_row(x, "observed", "failed")
            changes.expect(aims)
            changes.tell("update", row, told, reason)
        return self

    def extend(self, X: Objects) -> Self:
        """Add to the model's vocabulary the tokens of some x that it lacks.

        Known objects keep their encodings. The next training teaches the new tokens.

        Parameters
        ----------
        X : sequence of objects

        Raises
        ------
        NotFittedError
            Before any fit or tell.
        ModelError
            When the model has no method ``extend``.
        DataError, DataTypeError
            For an x that the model cannot read with any vocabulary. Nothing changes then.
        """
        self._session.extend(read_objects(X, "X"))
        return self

    def release(self, x: Any, *, reason: str | None = None) -> Self:
        """Forget a pending point; ask may return it again, unless a ``reason`` says why it was rejected.

        Of a point that is told in part, what is missing is no longer awaited. A rejected point without a
        ``reason`` is one that ask may return again. Raises UnknownPointError for any other x.
        """
        self._session.release(x, reason)
        return self

    def note(self, x: Any, text: str) -> Self:
        """Add a note to a point; the history keeps all of them, with their times.

        Raises UnknownPointError for an unknown x, DataError and DataTypeError for what is no text.
        """
        self._session.annotate(x, text)
        return self

    def retrain(self, *, block: bool = True, stop: threading.Event | None = None) -> Self:
        """Train the model on all data now; asks retrain again after ``retrain_every`` new values.

        Parameters
        ----------
        block : bool, default=True
            Whether asks of other threads and processes wait. False: ``ask(retrain=False)`` continues with
            the present model until the trained copy replaces it. When another training has ended meanwhile,
            its model stays and this copy is discarded.
        stop : threading.Event, default=None
            Set it to end training at the next minibatch; nothing changes then.
        """
        with self._session.training:
            try:
                with self._session.working() if block else nullcontext():
                    log = self._session.retrain(stop)
            except TrainingStopped:
                return self
        if log is not None:
            self._call_back("on_retrain", log)
        return self

    @property
    def model_(self) -> Any:
        """The current model."""
        return self._session.require()[0].model

    @property
    def history_(self) -> History:
        """All records and events: what was given, asked, told and trained."""
        return self._session.require()[1]

    @property
    def X_(self) -> list[Any]:
        """Points with a value, starting data first."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.observed_rows]

    @property
    def y_(self) -> np.ndarray:
        """Their values (n,) in the user's sign; of outcomes (n, m) by name, NaN where not measured."""
        return told_values(self.history_, self._session.aims)

    @property
    def weights_(self) -> np.ndarray:
        """Their weights (n,) in training, mean 1."""
        learned, history = self._session.require()
        aims = self._session.aims
        merit, noisy = believed(learned.draft(), history, aims, standing(history, aims))
        return weigh(merit, history.n_start, self.weighting, noisy)

    @property
    def pending_(self) -> list[Any]:
        """Points that ask returned and that are not yet told."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.rows_with("pending")]

    @property
    def training_due_(self) -> bool:
        """Whether the next :meth:`ask` trains first."""
        return training_is_due(*self._session.require(), self.retrain_every if trains(self) else None)

    @property
    def best_x_(self) -> Any:
        """The point with the best value; with limits, of those that satisfy them. It needs one goal."""
        return keep(self.history_.records[self.history_.observed_rows[self._session.best()]].x)

    @property
    def best_y_(self) -> float:
        """The best value in the user's sign."""
        history, ((name, _), *_) = self.history_, self._session.aims.goals
        return float(history.observations(name).y[self._session.best()])

    @property
    def recommended_x_(self) -> Any:
        """The measured point with the best mean of the process, where :attr:`best_x_` may be a lucky one."""
        return keep(self.history_.records[self._session.recommended()].x)

    @property
    def pareto_X_(self) -> list[Any]:
        """Points that satisfy the limits, and that no such point dominates: all goals at least as good."""
        history = self.history_
        rows = history.observed_rows[standing(history, self._session.aims).on_front]
        return [keep(history.records[row].x) for row in rows]

    @property
    def pareto_Y_(self) -> np.ndarray:
        """Their values (n, m) of the goals, in the user's sign."""
        aims = self._session.aims
        state = standing(self.history_, aims)
        return np.asarray(state.goals[state.on_front] * [sign for _, sign in aims.goals])

    @property
    def hypervolume_(self) -> float:
        """Volume that :attr:`pareto_Y_` dominates; it counts from each goal's ``reference``."""
        history, aims = self.history_, self._session.aims
        state = standing(history, aims)
        return hypervolume(state.goals[state.on_front], reference_of(history, aims))

    def probability_of_success_(self, X: Objects) -> np.ndarray:
        """Return the probability (n,) that experiments on X (n) succeed; 1 while none has failed."""
        return self._session.probability_of_success(read_objects(X, "X"))

    @property
    def notes_(self) -> Notes:
        """Named texts that the campaign keeps."""
        return self._session.notes

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is any data."""
        return self._session.learned is not None

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the progress of the search; before any data, the parameters."""
        if self._session.learned is None:
            return str(super().__repr__(N_CHAR_MAX))
        return text_summary(self)

    def _repr_html_(self) -> str:
        return html_summary(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def save(self, path: str | Path) -> None:
        """Write everything to a campaign folder, from which ``load`` continues bit for bit.

        Parameters
        ----------
        path : path
            A new or empty folder, or this campaign's earlier folder, which gets the new changes.

        Raises
        ------
        StorageError
            When the folder holds something else, another process changed it, or writing fails.
        ParameterError, DataTypeError
            When something cannot be stored: a user's surrogate without ``get_state`` and ``set_state``, or
            objects that are not texts, numbers, arrays or tuples of these and that the codec does not
            reproduce. Nothing is written then.
        """
        self._session.save(path)

    def autosave(self, path: str | Path) -> Self:
        """Save now, and from now on commit every change before its call returns.

        Each call first reads what other processes have committed to the same campaign. Asks, fits and
        retrainings of different processes wait for one another; a tell never waits for them. A model that
        another process trained is read by the next ask, fit or retrain.

        Parameters
        ----------
        path : path
            As for :meth:`save`.

        Raises
        ------
        StorageError, ParameterError, DataTypeError
            As in :meth:`save`. A later call that cannot write raises StorageError and changes nothing.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from torch import nn
        >>> from wrlso import WeightedRetrainingOptimizer
        >>> X = np.tril(np.ones((12, 12)))[:6]
        >>> networks = {"encoder": nn.Linear(12, 4), "decoder": nn.Linear(2, 12)}
        >>> folder = tempfile.mkdtemp()
        >>> opt = WeightedRetrainingOptimizer(**networks).fit(X, X.sum(axis=1)).autosave(folder)
        >>> x = opt.ask()
        >>> later = WeightedRetrainingOptimizer.load(folder, **networks)
        >>> bool(np.array_equal(later.pending_[0], x))
        True
        """
        self._session.autosave(path)
        return self

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        encoder: Any = None,
        decoder: Any = None,
        model: Any = None,
        codec: Any = None,
        feasible: Feasible = None,
        candidates: Any = None,
        weighting: Any = None,
        surrogate: Any = None,
        acquisition: Any = None,
        trainer: Any = None,
        callbacks: Sequence[Any] = (),
        device: Any = None,
        autosave: bool = True,
    ) -> Self:
        """Return the optimizer of a campaign. It continues bit for bit as if it had never stopped.

        Parameters
        ----------
        path : path
            The campaign's folder.
        encoder, decoder, model, codec, feasible, candidates, weighting, surrogate, acquisition, trainer
            Parts that a file cannot hold: modules (any weights will do) and your own functions and classes.
            A given part of this library replaces the stored one.
        callbacks : sequence
            The campaign does not store them.
        device : str or torch.device, default=None
            None: as before.
        autosave : bool, default=True
            Whether to commit changes, as after ``autosave``; False: only read the folder.

        Raises
        ------
        ParameterError
            When parts are missing that the file cannot hold; the error names all of them.
        ModelError
            When the model's weights have other names or shapes than the campaign's.
        StorageError
            When the campaign is missing, damaged, foreign or of a newer format, or writing fails.
        """
        given = {
            "encoder": encoder, "decoder": decoder, "model": model, "codec": codec, "feasible": feasible,
            "candidates": candidates, "weighting": weighting, "surrogate": surrogate,
            "acquisition": acquisition, "trainer": trainer, "device": device, "callbacks": callbacks,
        }  # fmt: skip
        return load_optimizer(cls, path, given, autosave=autosave)

    def _call_back(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(self, *args)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._session.settings is not self:  # a shallow copy gets a session of its own
            self._session = self._session.copied(self)
