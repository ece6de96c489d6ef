"""What an optimizer knows between calls: in memory, and in a campaign where there is one.

Every change goes through :meth:`Session.changing`: it takes in what other processes have committed, lets the
caller collect changes, commits them, and only then lets them take effect in memory. So what a call has
returned is on disk, and what could not be written has not happened.
"""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from wrlso._state.asking import has_small_networks, largest_product, search
from wrlso._state.changes import Changes
from wrlso._state.learned import Learned
from wrlso._state.merits import best_position
from wrlso._state.recommended import recommended_row
from wrlso._state.retraining import swap_in, train
from wrlso._state.screen import screen_of
from wrlso._state.settings import (
    Settings,
    acquisition_of,
    build_model,
    check_parameters,
    surrogate_or_default,
)
from wrlso._state.shelf import Shelf
from wrlso._state.success import probability_of_success
from wrlso._utils.copies import keep
from wrlso._utils.random import draw_seed
from wrlso._utils.threads import bounded_threads
from wrlso._utils.validation import check_text
from wrlso.catalogue import Catalogue
from wrlso.exceptions import (
    ModelError,
    NoCandidateError,
    NotFittedError,
    ParameterError,
    StorageError,
    UnknownPointError,
)
from wrlso.history import History
from wrlso.models.inference import key_of
from wrlso.models.protocol import Objects
from wrlso.outcomes import Aims, aims_of
from wrlso.storage.catalogue import file_name, keep_shelf, restore_shelf
from wrlso.storage.folder import Campaign, create_campaign
from wrlso.storage.info import Notes, authors_of
from wrlso.storage.learned import check_state, model_fields
from wrlso.storage.names import is_campaign
from wrlso.storage.parameters import pack_parameters

__all__ = ["Session"]


class Session:
    """What was learned, the history, the locks, and the campaign's folder.

    Parameters
    ----------
    settings : Settings
        The optimizer, whose constructor arguments may change between calls.

    Attributes
    ----------
    learned : Learned or None
    history : History
    campaign : Campaign or None
        Where every change goes.
    lock : RLock
        Of the state; held briefly.
    training : RLock
        One training at a time; taken before the others.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.learned: Learned | None = None
        self.history = History()
        self.campaign: Campaign | None = None
        self._known = [self.history.uid]  # identities of the histories that this optimizer has had
        self._stale = False  # whether memory may hold only a part of what was committed
        self._texts: dict[str, str] = {}
        self._authors: list[tuple[int, str]] = []  # of a campaign that was read: from which event on
        self._shelf: tuple[Any, Shelf] | None = None
        self._has_new_list = False  # whether the campaign's folder may hold files of a former one
        self.lock = threading.RLock()
        self._work = threading.RLock()  # one fit, ask or retrain at a time
        self.training = threading.RLock()

    def copied(self, settings: Settings) -> Self:
        """Return the same for another optimizer, which goes its own way from here."""
        session = type(self)(settings)
        session.__dict__ |= self.__getstate__() | {"_settings": settings}
        session.history = copy.deepcopy(self.history)
        session._known, session._texts = list(self._known), dict(self._texts)
        return session

    @property
    def settings(self) -> Settings:
        """The optimizer that it belongs to."""
        return self._settings

    def __getstate__(self) -> dict[str, Any]:
        # a copy has locks of its own and no campaign: it must be loaded to take part in one
        own = ("lock", "_work", "training", "campaign")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Session.__init__(self, state["_settings"])
        self.__dict__ |= state

    def require(self) -> tuple[Learned, History]:
        """Return what was learned and the history.

        Raises
        ------
        NotFittedError
            When nothing has been given by fit or tell.
        """
        if self.learned is None or len(self.history) == 0:
            raise NotFittedError("no x is known yet: call fit(X, y) with starting data, or tell(x, y), first")
        return self.learned, self.history

    def known_row(self, x: Any, *statuses: str, expected: str = "") -> int:
        """Return the row of an x; raises UnknownPointError when it has none of the statuses.

        ``expected``: how the error calls these statuses.
        """
        learned, history = self.require()
        key = key_of(learned.model, x)
        row = history.row(key)
        if row is not None and history.records[row].status not in statuses:
            # rows of a stored campaign may have come to be one point: another of them may have the status
            rows = (i for i, r in enumerate(history) if r.status in statuses and r.key == key)
            row = next(rows, row)
        status = None if row is None else history.records[row].status
        if row is None or status not in statuses:
            raise UnknownPointError(
                f"x must be {expected or ' or '.join(statuses)}, but it is {status or 'unknown'}: {x!r:.80}"
            )
        return row

    def best(self) -> int:
        """Return the position of the best point; see :func:`wrlso._state.merits.best_position`."""
        return best_position(self.require()[1], self.aims)

    @property
    def aims(self) -> Aims:
        """The goals and limits."""
        return aims_of(self._settings.outcomes, self._settings.direction)

    def recommended(self) -> int:
        """Return the row of :attr:`wrlso.WeightedRetrainingOptimizer.recommended_x_`."""
        return recommended_row(self._settings, *self.require(), self.lock)

    def probability_of_success(self, X: Objects) -> NDArray[np.float64]:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.probability_of_success_`."""
        return probability_of_success(self._settings, *self.require(), X, self.lock)

    @property
    def shelf(self) -> Shelf | None:
        """The user's list of candidates, with what was computed of them; None without one."""
        candidates = self._settings.candidates
        if candidates is None:
            self._shelf = None
        elif self._shelf is None or self._shelf[0] is not candidates:
            self._has_new_list = self._shelf is not None
            self._shelf = (candidates, Shelf(Catalogue.of(candidates)))
            if self.campaign is not None:
                restore_shelf(self.campaign.path, self._shelf[1])
        if self._shelf is None:
            return None
        self._shelf[1].verbose = self._settings.verbose
        return self._shelf[1]

    def identified(self) -> Shelf:
        """Return the list of candidates, looked at with the user's model and surrogate."""
        shelf = self.shelf
        if shelf is None:
            raise ParameterError("this optimizer has no candidates")
        shelf.identify(build_model(self._settings), surrogate_or_default(self._settings.surrogate))
        return shelf

    @property
    def notes(self) -> Notes:
        """Texts by name that are kept with the campaign."""
        return Notes(self._texts, self.campaign)

    # ---------------------------------------------------------------- changes

    @contextmanager
    def changing(self, learned: Learned | None = None, history: History | None = None) -> Iterator[Changes]:
        """Collect changes; on leaving they are committed and take effect, together with what was learned.

        ``changes.learned`` may be set inside. With an error nothing is changed.
        """
        with self.lock:
            campaign = self.campaign
            if campaign is None:
                changes = Changes(history or self.history, learned)
                yield changes
            else:
                with campaign.transaction():
                    self._take_in()
                    changes = Changes(history or self.history, learned)
                    yield changes
                    self._commit(campaign, changes)
                    self._stale = True
            trained = _has_trained(changes.learned, self.learned)
            self.learned, self.history = changes.learned or self.learned, changes.history
            if self.history.uid not in self._known:
                self._known.append(self.history.uid)
            changes.apply()
            self._stale = False
        if campaign is not None and (trained or self._has_new_list):
            self._has_new_list = False
            campaign.clean()

    def authors(self) -> list[str]:
        """Return who made each event happen, "" where that is not known."""
        if self.campaign is not None:
            with self.lock, self.campaign.transaction(write=False):
                self._authors = self.campaign.journal.authors(self.campaign.generation[0])
        return authors_of(self._authors, len(self.history.events))

    def publish(self, learned: Learned, log: dict[str, Any] | None, history: History | None = None) -> None:
        """Let a finished draft take effect, and a new history where there is one."""
        with self.changing(learned, history) as changes:
            if log is not None:
                changes.note("train", data=log)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be the only one that asks, fits or retrains, with what all others have committed."""
        with self._work:
            if self.campaign is None:
                yield
                return
            with self.campaign.lock.held():
                with self.lock, self.campaign.transaction(write=False):
                    self._take_in()
                    if self.campaign.has_learned_more:
                        self.learned = self._read_learned(self.campaign, self.history)
                yield

    def _commit(self, campaign: Campaign, changes: Changes) -> None:
        learned, before = changes.learned, self.learned
        if learned is None and before is not None and campaign.has_grown(before.model):
            learned = changes.learned = before.with_model(before.model)
            before = None
        if changes.history.uid != campaign.generation[1]:
            campaign.begin(changes.history)
        if learned is not None:
            keep_shelf(campaign.path, self.shelf)
            campaign.write_parameters(*self._packed())  # first: it drops what is void now
            campaign.write_learned(learned, before if changes.history is self.history else None)
        current = learned or self.learned
        if current is not None:
            campaign.write_changes(current.model, changes.history, changes)

    # ---------------------------------------------------------------- work on drafts

    def fresh(self) -> Learned:
        """Return what is learned before any training: the user's model, and the counters."""
        settings, given = self._settings, None
        model = build_model(settings)
        if settings.trainer is not None and settings.trainer.retrain == "scratch":
            given = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        acquisition = clone(acquisition_of(settings), safe=False)
        return Learned(model, given, draw_seed(settings.random_state), acquisition)

    def train(self, draft: Learned, history: History, stop: threading.Event | None = None) -> dict[str, Any]:
        """Train a draft on all data, and return the log."""
        log = train(self._settings, draft, history, self.lock, stop)
        if self.campaign is not None:
            self.campaign.prepare(draft)  # before the transaction, which makes others wait
        return log

    def retrain(self, stop: threading.Event | None) -> dict[str, Any] | None:
        """Train a draft and let it take effect; return the log, None where it came too late."""
        with self.working():
            check_parameters(self._settings)
            learned, history = self.require()
            draft = learned.draft()
        log = self.train(draft, history, stop)
        with self.working():
            now = swap_in(draft, history, *self.require())
            if now is None:
                return None
            self.publish(now, log)
        return log

    def propose(self, draft: Learned, history: History, n: int, log: dict[str, Any] | None) -> list[Any]:
        """Search with a draft; publish it, the log of its training and the pending points together."""
        settings = self._settings
        for _ in range(10):
            small = has_small_networks(draft.model)
            with bounded_threads(largest_product(settings, history), networks=small):
                proposals, predictions, record = search(settings, draft, history, n, self.lock, self.shelf)
            X = [proposal.x for proposal in proposals]
            if self.campaign is not None:
                keep_shelf(self.campaign.path, self.shelf)  # before the transaction, which makes others wait
            with self.changing() as changes:
                screen = screen_of(draft.model, changes.history, settings.feasible)
                # a tell from another thread or process may have made a proposal known meanwhile
                if any(screen(x) is not None for x in X):
                    continue
                changes.learned = draft
                if log is not None:
                    changes.note("train", data=log)
                rows = changes.add(draft.model, X)
                for row, proposal, prediction in zip(rows, proposals, predictions, strict=True):
                    more = [proposal.success, dict(proposal.expected)]
                    while more and more[-1] in (None, {}):  # what is not known takes no room
                        more.pop()
                    data = (proposal.z.numpy(), prediction, proposal.source, *more)
                    changes.note("ask", row, data=data)
                changes.note("search", data=record)
            return [keep(x) for x in X]
        raise NoCandidateError("others told every proposed point before it could be returned, 10 times")

    def release(self, x: Any, reason: str | None) -> None:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.release`."""
        check_text("reason", reason)
        names = self.aims.names
        with self.changing() as changes:
            statuses = ("pending", "observed") if reason else ("pending", "observed", "rejected")
            row = self.known_row(x, *statuses, expected="pending")
            record = changes.history.records[row]
            if record.status == "observed" and not record.lacks(names):
                row = self.known_row(x, "pending")
            changes.note("release", row, data=reason)

    def annotate(self, x: Any, text: str) -> None:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.note`."""
        check_text("text", text)
        with self.changing() as changes:
            learned, history = self.require()
            row = history.row(key_of(learned.model, x))
            if row is None:
                raise UnknownPointError(f"x must be a point of this optimizer, but it is unknown: {x!r:.80}")
            changes.note("note", row, data=text.strip())

    def extend(self, X: Objects) -> None:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.extend`."""
        with self.training, self.working():
            learned, _ = self.require()
            if not callable(getattr(learned.model, "extend", None)):
                name = type(learned.model).__name__
                raise ModelError(f"{name} has no vocabulary to extend (no method extend)")
            if learned.model.missing_tokens(X):
                self.publish(learned.extended(X), None)

    @contextmanager
    def handing_out(self, X: list[Any]) -> Iterator[None]:
        """Release points that were asked for where the block fails, so that nobody gets them."""
        try:
            yield
        except BaseException:
            with self.changing() as changes:
                learned, history = self.require()
                for row in (history.row(learned.model.key(x)) for x in X):
                    if row is not None and history.records[row].status == "pending":
                        changes.note("release", row)
            raise

    # ---------------------------------------------------------------- reading what others have committed

    def _take_in(self) -> None:
        """Take in what other processes have committed; inside a transaction."""
        campaign = self.campaign
        if campaign is None:
            return
        if self._stale or campaign.generation[1] != self.history.uid:
            self._reload(campaign)
        elif self.learned is not None and campaign.has_new_state:
            self._reload(campaign)  # only the stored model can read what was told since
        elif self.learned is None:
            if campaign.has_learned:
                self._reload(campaign)
        else:
            self._stale = True
            campaign.read_changes(self.learned.model, self.history).apply()
            self._stale = False

    def _reload(self, campaign: Campaign) -> None:
        """Replace everything by what the campaign holds; inside a transaction."""
        history = History()
        history.uid = campaign.generation[1]
        learned: Learned | None = None
        if campaign.has_learned:
            learned = self._read_learned(campaign, history, with_changes=True)
        self.learned, self.history, self._stale = learned, history, False
        self._known.append(history.uid)

    def _read_learned(self, campaign: Campaign, history: History, *, with_changes: bool = False) -> Learned:
        """Return what was learned, with the history brought up to date in between where it is wanted."""
        model = build_model(self._settings)
        acquisition = acquisition_of(self._settings)
        learned = Learned(model, campaign.read_model(model), 0, acquisition)
        if with_changes:
            campaign.read_changes(model, history).apply()
        if len(history) and model_fields(model) is None:
            # what a model learns from the first x, such as its shape, and cannot say
            model.tensorize([history.records[0].x])
        campaign.read_learned(learned, history, acquisition, self._settings.surrogate)
        return learned

    def read(self, campaign: Campaign) -> None:
        """Take over all that a campaign holds; inside a transaction."""
        self._reload(campaign)
        self._texts = campaign.journal.notes()
        self._authors = campaign.journal.authors(campaign.generation[0])
        campaign.report_environment()

    # ---------------------------------------------------------------- saving

    def save(self, path: str | Path) -> None:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.save`."""
        path = Path(path).absolute()
        with self._work:
            check_state(self.learned, self._settings.surrogate)
            if self.campaign is not None and self.campaign.path == path:
                self._update(self.campaign)
                return
            with self.lock:
                if not is_campaign(path):
                    origin = None if self.campaign is None else self.campaign.path
                    create_campaign(
                        path, self.history, self.learned, self._packed(), self.notes, origin, self.shelf
                    )
                    return
                campaign = Campaign(path)
                try:
                    self._update(campaign)
                finally:
                    campaign.close()

    def autosave(self, path: str | Path) -> None:
        """See :meth:`wrlso.WeightedRetrainingOptimizer.autosave`."""
        path = Path(path).absolute()
        with self._work:
            if self.campaign is not None and self.campaign.path == path:
                self.save(path)
                return
            with self.lock:
                self.save(path)
                self.campaign = Campaign(path)
                if self.learned is not None:
                    self.campaign.note_learned(self.learned)

    def _update(self, campaign: Campaign) -> None:
        """Bring a folder that holds an earlier state of this campaign up to date."""
        with campaign.lock.held():
            with self.lock, campaign.transaction():
                # first, because it drops what is void now
                keep_shelf(campaign.path, self.shelf)
                campaign.write_parameters(*self._packed())
                if campaign is self.campaign:
                    self._take_in()
                else:
                    self._overwrite(campaign)
            campaign.clean()

    def _packed(self) -> tuple[str, str]:
        return pack_parameters(self._settings, file_name(self.shelf))

    def _overwrite(self, campaign: Campaign) -> None:
        self._check_is_ahead(campaign)
        if campaign.generation[1] != self.history.uid:
            campaign.begin(self.history)
        if self.learned is not None:
            campaign.write_changes(self.learned.model, self.history)
            campaign.write_learned(self.learned, None)
        for key, text in self._texts.items():
            campaign.journal.put(key, text, "notes")

    def _check_is_ahead(self, campaign: Campaign) -> None:
        number, uid = campaign.generation
        if uid not in self._known:
            raise StorageError(f"{campaign.path} holds another campaign: name a new folder")
        stored = list(campaign.journal.events(number, 0)) if uid == self.history.uid else []
        same = [event[:4] for event in self.history.events[: len(stored)]] == [e[:4] for e in stored]
        if not same:
            raise StorageError(
                f"the campaign in {campaign.path} was changed by another process since it was loaded or "
                "saved here: save to a new folder, or load it again (autosave keeps both sides up to date)"
            )


def _has_trained(learned: Learned | None, before: Learned | None) -> bool:
    if learned is None or learned.n_trainings == 0:
        return False
    return before is None or learned.model is not before.model
