"""Latent-space optimization with weighted retraining as one object (Algorithm 1).

The optimizer holds a :class:`~wrlso.storage.session.Session` with two parts. The *history* holds what users
told and what is pending; only it changes in ``tell``, ``update`` and ``release``. What was *learned* is the
model, the surrogate and counters; ask and retrain work on a draft of it, which takes its place when it is
done. So an interrupted ask changes nothing, and a tell from another thread never waits for training.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator

from wrlso._state.changes import Changes
from wrlso._state.reading import read_objects, read_start, read_told
from wrlso._state.retraining import TrainingStopped, training_is_due
from wrlso._state.settings import check_parameters, sign_of
from wrlso._state.weights import weigh
from wrlso._utils.copies import keep
from wrlso._utils.validation import check_count
from wrlso.acquisition.functions import Acquisition
from wrlso.exceptions import ModelError, NoCandidateError
from wrlso.history import History
from wrlso.models.protocol import LatentModel, Objects
from wrlso.models.vae import Codec
from wrlso.report.summary import html_summary, text_summary
from wrlso.storage.info import Notes
from wrlso.storage.session import Session, load_optimizer
from wrlso.surrogate.protocol import Surrogate
from wrlso.training import Trainer

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
        When the surrogate's hyperparameters are fitted again between retrainings: "auto" when its errors at
        new values give evidence of 20 to 1 against it, once the values have doubled, or after 200; an int
        after so many new values; None never. Until then it is conditioned on new values exactly.
    fit_on : {"encoding", "asked", "inverted"}, default="encoding"
        Where a point lies for the surrogate: where the model encodes it; where it was asked since the last
        training (:class:`wrlso.CandidatePool` asks at encodings anyway); or where ten gradient steps have
        made the model more likely to decode it, with models that follow
        :class:`wrlso.models.HasLogLikelihood`.
    unlabelled_share : float in [0, 1], default=0.9
        Largest share of the training weight of all x without a value; none weighs more than the average.
    device : str or torch.device, default="auto"
        Where the model lives; "auto": a GPU if there is one.
    random_state : int, RandomState or None, default=None
        Determines all randomness; nothing touches global random state.
    verbose : int, default=0
        A progress bar for each training from 1 on.
    callbacks : sequence of objects, default=()
        Their methods ``on_ask(opt, X)``, ``on_tell(opt, X, values)``, ``on_retrain(opt, log)`` and, by
        :func:`wrlso.maximize`, ``on_stop(opt, result)`` are called where they exist.

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
        self._session = Session(self)

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
            contract, or a parameter is impossible. The earlier state stays in place.
        """
        with self._session.training, self._session.working():
            check_parameters(self)
            X, values = read_start(X, y)
            learned = self._session.fresh()
            start = Changes(History())
            start.add_start(learned.model, X, values)
            start.apply()
            log = self._session.train(learned, start.history)
            self._session.publish(learned, log, start.history)
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
            False: search with the present model though training is due or goes on in another thread. In that
            case call :meth:`retrain` yourself when :attr:`training_due_` is true. A model that was never
            trained is trained in any case.

        Raises
        ------
        NotFittedError
            When nothing has been given by fit or tell.
        NoCandidateError
            When a bounded search finds no new point.
        """
        check_count("n", n, none="one point")
        session = self._session
        # who may train waits for a training that is under way: it may be the one that is due
        with session.training if retrain else nullcontext(), session.working():
            check_parameters(self)
            learned, history = session.require()
            draft = learned.draft()
            draft.n_asks += 1
            due = training_is_due(learned, history, self.retrain_every if retrain else None)
            log = session.train(draft, history) if due else None
            try:
                X = session.propose(draft, history, 1 if n is None else n, log)
            except NoCandidateError:
                session.publish(draft, log)  # a training is not lost, and the next ask draws anew
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
        with self._session.changing() as changes:
            learned = self._session.learned
            if learned is None:
                learned = changes.learned = self._session.fresh()
            for row, value in zip(changes.add(learned.model, X), values, strict=True):
                changes.note("tell", row, value, reason if value is None else None)
        self._call_back("on_tell", X, values)
        return self

    def update(self, x: Any, y: float | None) -> Self:
        """Correct the value of a point that was told: y replaces all its replicates.

        Raises UnknownPointError when x has neither a value nor failed, and as :meth:`tell` for a bad y.
        """
        _, (value,) = read_told(x, y)
        with self._session.changing() as changes:
            row = self._session.known_row(x, "observed", "failed")
            changes.note("update", row, value, list(self._session.history.records[row].values))
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
        with self._session.training, self._session.working():
            learned, _ = self._session.require()
            if not callable(getattr(learned.model, "extend", None)):
                raise ModelError(
                    f"{type(learned.model).__name__} has no vocabulary to extend (no method extend)"
                )
            if learned.model.missing_tokens(X):
                self._session.publish(learned.extended(X), None)
        return self

    def release(self, x: Any) -> Self:
        """Forget a pending point: it may be asked again. Raises UnknownPointError when x is not pending."""
        with self._session.changing() as changes:
            changes.note("release", self._session.known_row(x, "pending"))
        return self

    def retrain(self, *, block: bool = True, stop: threading.Event | None = None) -> Self:
        """Train the model on all data now; until :attr:`retrain_every` new values the next ask does not.

        Parameters
        ----------
        block : bool, default=True
            Whether asks of other threads and processes wait. Otherwise ``ask(retrain=False)`` goes on with
            the present model until the trained copy takes its place, unless another was trained meanwhile.
        stop : threading.Event, default=None
            Once it is set, training ends at the next minibatch and nothing has changed.
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
        """Everything that was given, asked, told and trained."""
        return self._session.require()[1]

    @property
    def X_(self) -> list[Any]:
        """Points with a value, starting data first."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.observed_rows]

    @property
    def y_(self) -> np.ndarray:
        """Their values (n,) in the user's sign."""
        return self.history_.y

    @property
    def weights_(self) -> np.ndarray:
        """Their weights (n,) in training, mean 1."""
        return weigh(sign_of(self.direction) * self.history_.y, self.weighting)

    @property
    def pending_(self) -> list[Any]:
        """Points that were asked for and not yet told."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.rows_with("pending")]

    @property
    def training_due_(self) -> bool:
        """Whether the next :meth:`ask` trains first."""
        return training_is_due(*self._session.require(), self.retrain_every)

    @property
    def best_x_(self) -> Any:
        """The point with the best value."""
        return keep(self.history_.records[self.history_.observed_rows[self._session.best()]].x)

    @property
    def best_y_(self) -> float:
        """The best value in the user's sign."""
        return float(self.history_.y[self._session.best()])

    @property
    def notes_(self) -> Notes:
        """Texts by name that are kept with the campaign."""
        return self._session.notes

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is any data."""
        return self._session.learned is not None

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the progress of the search, or the parameters before there is any."""
        if self._session.learned is None:
            return str(super().__repr__(N_CHAR_MAX))
        return text_summary(self)

    def _repr_html_(self) -> str:
        return html_summary(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def save(self, path: str | Path) -> None:
        """Write everything to a campaign folder, from which :meth:`load` goes on as if nothing had happened.

        Parameters
        ----------
        path : path
            A new or empty folder, or one where this campaign was saved before, which is brought up to date.

        Raises
        ------
        StorageError
            When the folder holds something else, was changed by another process, or cannot be written.
        ParameterError, DataTypeError
            When something cannot be stored: a user's surrogate without ``get_state`` and ``set_state``, or
            objects other than texts, numbers, arrays and tuples of them that the codec does not return as
            they were. Nothing is written then.
        """
        self._session.save(path)

    def autosave(self, path: str | Path) -> Self:
        """Save, and from now on commit every change before the call that makes it returns.

        Each call first takes in what other processes have committed to the same campaign. One process at a
        time asks, fits or retrains, and others wait for it; telling never waits for these. The next of these
        three calls takes in a model that was trained elsewhere.

        Parameters
        ----------
        path : path
            As for :meth:`save`.

        Raises
        ------
        StorageError, ParameterError, DataTypeError
            As :meth:`save`; later calls raise StorageError when they cannot write, and change nothing then.

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
        feasible: Callable[[Any], bool] | None = None,
        weighting: Any = None,
        surrogate: Any = None,
        acquisition: Any = None,
        trainer: Any = None,
        callbacks: Sequence[Any] = (),
        device: Any = None,
        autosave: bool = True,
    ) -> Self:
        """Return the optimizer of a campaign, which goes on bit for bit like one that never stopped.

        Parameters
        ----------
        path : path
            Of the campaign's folder.
        encoder, decoder, model, codec, feasible, weighting, surrogate, acquisition, trainer
            What a file cannot hold: modules (any weights will do) and the user's own functions and classes.
            A part of this library that is given takes the place of the stored one.
        callbacks : sequence
            They are not stored.
        device : str or torch.device, default=None
            None: as before.
        autosave : bool, default=True
            Whether changes are committed as by :meth:`autosave`; False: the folder is only read.

        Raises
        ------
        ParameterError
            When something is missing that the file cannot hold; all of it is named.
        ModelError
            When the model has other weights than the campaign's.
        StorageError
            When the campaign is missing, damaged, foreign or of a newer format, or cannot be written to.
        """
        given = {
            "encoder": encoder, "decoder": decoder, "model": model, "codec": codec, "feasible": feasible,
            "weighting": weighting, "surrogate": surrogate, "acquisition": acquisition, "trainer": trainer,
            "device": device, "callbacks": callbacks,
        }  # fmt: skip
        return load_optimizer(cls, path, given, autosave=autosave)

    def _call_back(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(self, *args)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._session.settings is not self:  # a shallow copy goes its own way, too
            self._session = self._session.copied(self)
