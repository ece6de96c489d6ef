"""The optimizer's state between calls: in memory, and in a campaign where there is one.

Every change goes through :meth:`PersistentState._changing`: it takes in what other processes have committed,
lets the caller collect changes, commits them, and only then lets them take effect in memory. So what a call
has returned is on disk, and what could not be written has not happened.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from wrlso._state.changes import Changes
from wrlso._state.learned import Core
from wrlso._state.settings import build_model
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.exceptions import StorageError
from wrlso.history import History
from wrlso.storage.folder import Campaign, create_campaign
from wrlso.storage.info import Notes
from wrlso.storage.learned import check_state, model_fields
from wrlso.storage.names import is_campaign
from wrlso.storage.parameters import load_parameters, pack_parameters

__all__ = ["PersistentState"]


class PersistentState:
    """State of an optimizer that can be kept in a campaign; see :mod:`wrlso.storage`."""

    _core: Core | None
    _history: History
    _campaign: Campaign | None  # where every change goes
    _known: list[str]  # identities of the histories that this optimizer has had
    _stale: bool  # whether memory may hold only a part of what was committed
    _texts: dict[str, str]
    _lock: threading.RLock  # state; held briefly
    _work: threading.RLock  # one fit, ask or retrain at a time
    _training: threading.RLock  # one training at a time; taken before the others

    # ---------------------------------------------------------------- for users

    def save(self, path: str | Path) -> None:
        """Write everything to a campaign folder, from which :meth:`load` goes on as if nothing had happened.

        Parameters
        ----------
        path : path
            A new or empty folder, or one where this campaign was saved before, which is brought up to date.

        Raises
        ------
        StorageError
            When the folder holds something else, another process has changed the campaign in it meanwhile, or
            it cannot be written.
        ParameterError, DataTypeError
            When something cannot be stored: a surrogate of the user's without ``get_state`` and
            ``set_state``, or objects that are neither texts, numbers, arrays or tuples of them, nor come back
            the same from the codec. Nothing is written then.
        """
        path = Path(path).absolute()
        with self._work:
            check_state(self._core, self._surrogate_template())
            if self._campaign is not None and self._campaign.path == path:
                self._update(self._campaign)
                return
            with self._lock:
                if not is_campaign(path):
                    create_campaign(
                        path,
                        self._history,
                        self._core,
                        pack_parameters(self),
                        self.notes_,
                        None if self._campaign is None else self._campaign.path,
                    )
                    return
                campaign = Campaign(path)
                try:
                    self._update(campaign)
                finally:
                    campaign.close()

    def autosave(self, path: str | Path) -> Self:
        """Save, and from now on commit every change before the call that makes it returns.

        Each fit, ask, tell, update, release and retrain first takes in what other processes have committed
        to the same campaign. Asking, fitting and retraining is done by one process at a time, for which
        others wait; telling never waits for these. A model that was trained elsewhere is taken in by the next
        of these three calls.

        Parameters
        ----------
        path : path
            As for :meth:`save`.

        Returns
        -------
        self

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
        path = Path(path).absolute()
        with self._work:
            if self._campaign is not None and self._campaign.path == path:
                self.save(path)
                return self
            with self._lock:
                self.save(path)
                self._campaign = Campaign(path)
                if self._core is not None:
                    self._campaign.note_core(self._core)
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
            What the campaign's optimizer was built with and a file cannot hold: modules (any weights will do)
            and the user's own functions and classes. Parts of this library need not be given; one that is
            given takes the place of the stored one.
        callbacks : sequence
            They are not stored.
        device : str or torch.device, default=None
            None: as before.
        autosave : bool, default=True
            Whether changes are committed to the campaign as by :meth:`autosave`. Without, the folder is only
            read.

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
            "device": device,
        }  # fmt: skip
        for attempt in range(3):
            campaign = Campaign(Path(path).absolute(), read_only=not autosave)
            try:
                opt = cls._loaded(campaign, given | {"callbacks": callbacks})
            except BaseException as error:
                campaign.close()
                # another process may have put new weights in the place of those that were to be read
                if attempt == 2 or not isinstance(error.__cause__, FileNotFoundError):
                    raise
                continue
            break
        if autosave:
            opt._campaign = campaign
        else:
            campaign.close()
        return opt

    @classmethod
    def _loaded(cls, campaign: Campaign, given: dict[str, Any]) -> Self:
        with campaign.transaction(write=False):
            campaign.journal.check()
            parameters = load_parameters(campaign, given)
            try:
                opt = cls(**parameters)
            except TypeError as error:
                raise StorageError(
                    f"{campaign.path} was saved by a newer wrlso, install it: {error}"
                ) from error
            opt._reload(campaign)
            opt._texts = campaign.journal.notes()
            campaign.report_environment()
        return opt

    @property
    def notes_(self) -> Notes:
        """Texts by name that are kept with the campaign."""
        return Notes(self._texts, self._campaign)

    # ---------------------------------------------------------------- for the optimizer

    @contextmanager
    def _changing(self, core: Core | None = None, history: History | None = None) -> Iterator[Changes]:
        """Collect changes; on leaving they are committed and take effect, together with a new core.

        ``changes.core`` may be set inside. With an error nothing is changed.
        """
        with self._lock:
            campaign = self._campaign
            if campaign is None:
                changes = Changes(history or self._history, core)
                yield changes
            else:
                with campaign.transaction():
                    self._take_in()
                    changes = Changes(history or self._history, core)
                    yield changes
                    self._commit(campaign, changes)
                    self._stale = True
            self._core, self._history = changes.core or self._core, changes.history
            if self._history.uid not in self._known:
                self._known.append(self._history.uid)
            changes.apply()
            self._stale = False
        if campaign is not None and changes.core is not None and changes.core.trained:
            campaign.clean()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Be the only one that asks, fits or retrains, with what all others have committed."""
        with self._work:
            if self._campaign is None:
                yield
                return
            with self._campaign.lock.held():
                with self._lock, self._campaign.transaction(write=False):
                    self._take_in()
                    if self._campaign.has_new_core:
                        self._read_core(self._campaign)
                yield

    def _commit(self, campaign: Campaign, changes: Changes) -> None:
        core = changes.core
        if core is None and self._core is not None and campaign.has_grown(self._core.model):
            core = changes.core = self._core.with_model(self._core.model)
        if changes.history.uid != campaign.generation[1]:
            campaign.begin(changes.history)
        if core is not None:
            everything = self._core is None or changes.history is not self._history
            campaign.write_core(core, everything=everything)
            campaign.write_parameters(*pack_parameters(self))
        learned = core or self._core
        if learned is not None:
            campaign.write_changes(learned.model, changes.history, changes)

    def _take_in(self) -> None:
        """Take in what other processes have committed; inside a transaction."""
        campaign = self._campaign
        if campaign is None:
            return
        if self._stale or campaign.generation[1] != self._history.uid:
            self._reload(campaign)
        elif self._core is not None and campaign.has_new_state:
            self._reload(campaign)  # only the stored model can read what was told since
        elif self._core is None:
            if campaign.has_core:
                self._reload(campaign)
        else:
            self._stale = True
            campaign.read_changes(self._core.model, self._history).apply()
            self._stale = False

    def _reload(self, campaign: Campaign) -> None:
        """Replace everything by what the campaign holds; inside a transaction."""
        history = History()
        history.uid = campaign.generation[1]
        core: Core | None = None
        if campaign.has_core:
            core = self._stored_core(campaign)
            campaign.read_changes(core.model, history).apply()
            _relearn(core.model, history)
            campaign.read_core(core, history, self._acquisition_template(), self._surrogate_template())
        self._core, self._history, self._stale = core, history, False
        self._known.append(history.uid)

    def _read_core(self, campaign: Campaign) -> None:
        core = self._stored_core(campaign)
        _relearn(core.model, self._history)
        campaign.read_core(core, self._history, self._acquisition_template(), self._surrogate_template())
        self._core = core

    def _stored_core(self, campaign: Campaign) -> Core:
        model, given, weights_file, given_file = campaign.read_model(self._built_model())
        core = Core(model, given, 0, self._acquisition_template())
        core.weights_file, core.given_file = weights_file, given_file
        return core

    def _update(self, campaign: Campaign) -> None:
        """Bring a folder that holds an earlier state of this campaign up to date."""
        with campaign.lock.held():
            with self._lock, campaign.transaction():
                if campaign is self._campaign:
                    self._take_in()
                else:
                    self._overwrite(campaign)
                campaign.write_parameters(*pack_parameters(self))
            campaign.clean()

    def _overwrite(self, campaign: Campaign) -> None:
        self._check_is_ahead(campaign)
        if campaign.generation[1] != self._history.uid:
            campaign.begin(self._history)
        if self._core is not None:
            campaign.write_changes(self._core.model, self._history)
            campaign.write_core(self._core, everything=True)
        for key, text in self._texts.items():
            campaign.journal.put(key, text, "notes")

    def _check_is_ahead(self, campaign: Campaign) -> None:
        number, uid = campaign.generation
        if uid not in self._known:
            raise StorageError(f"{campaign.path} holds another campaign: name a new folder")
        stored = list(campaign.journal.events(number, 0)) if uid == self._history.uid else []
        same = [event[:4] for event in self._history.events[: len(stored)]] == [e[:4] for e in stored]
        if not same:
            raise StorageError(
                f"the campaign in {campaign.path} was changed by another process since it was loaded or "
                "saved here: save to a new folder, or load it again (autosave keeps both sides up to date)"
            )

    def _built_model(self) -> Any:
        opt: Any = self
        return build_model(
            opt.model, opt.encoder, opt.decoder, opt.likelihood, opt.beta, opt.codec, opt.device
        )

    def _acquisition_template(self) -> Any:
        acquisition = getattr(self, "acquisition", None)
        return LogExpectedImprovement() if acquisition is None else acquisition

    def _surrogate_template(self) -> Any:
        return getattr(self, "surrogate", None)

    def _make_state(self) -> None:
        self._core = None
        self._history = History()
        self._campaign = None
        self._known = [self._history.uid]
        self._stale = False
        self._texts = {}
        self._lock = threading.RLock()
        self._work = threading.RLock()
        self._training = threading.RLock()


def _relearn(model: Any, history: History) -> None:
    """Show a model that cannot say what it has learned from the first x, such as a shape, that x again."""
    if len(history) and model_fields(model) is None:
        model.tensorize([history.records[0].x])
