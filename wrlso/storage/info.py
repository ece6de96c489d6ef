"""What a campaign is and what happened in it, for readers that need no model."""

import json
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wrlso.history import History, iso_time
from wrlso.outcomes import Reading
from wrlso.storage.blocks import objects_shown
from wrlso.storage.journal import Journal, open_journal

if TYPE_CHECKING:
    from wrlso.storage.folder import Campaign

__all__ = [
    "CampaignEvent", "CampaignView", "Notes", "authors_of", "campaign_info", "campaign_settings", "events",
    "view_campaign",
]  # fmt: skip


class CampaignEvent(NamedTuple):
    """One thing that happened in a campaign.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    kind : str
        "start", "tell", "update", "ask", "release", "note", "search", "train" or "outcomes".
    record : int or None
        Id of the record that it is about: its row in ``history_.records``.
    value : float or None
        In the user's sign; None where there is none, or for a failed experiment.
    old : list of float or None
        The plain values before an update.
    by : str
        Who made it happen: the variable WRLSO_USER, or the user of the operating system; "": not known.
    readings : dict of str to Reading, or None
        What a "start", "tell" or "update" says of each outcome; None for a failed experiment.
    text : str
        The text of a note, or the reason of a release, a failure or a correction.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> from wrlso.storage import events
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(4, 4), nn.Linear(2, 4)).autosave("campaign")
    >>> opt = opt.tell([0, 1, 0, 1], 2.0)
    >>> [(event.kind, event.record, event.value) for event in events("campaign")]
    [('tell', 0, 2.0)]
    """

    time: str
    kind: str
    record: int | None
    value: float | None
    old: list[float] | None
    by: str = ""
    readings: dict[str, Reading] | None = None
    text: str = ""


def events(path: str | Path) -> list[CampaignEvent]:
    """Return everything that happened in a campaign since its last fit, in order.

    Parameters
    ----------
    path : path
        Of the campaign's folder.

    Raises
    ------
    StorageError
        When there is no campaign, or a damaged one.
    """
    with _reading(path) as journal:
        number = journal.generation[0]
        found = list(journal.events(number, 0))
        return [
            CampaignEvent(
                iso_time(event.time),
                event.kind,
                None if event.row < 0 else event.row,
                event.value,
                event.data if event.kind == "update" and isinstance(event.data, list) else None,
                by,
                event.readings,
                str(event.data) if event.kind == "note" else event.reason or "",
            )
            for event, by in zip(found, authors_of(journal.authors(number), len(found)), strict=True)
        ]


def authors_of(authors: Sequence[tuple[int, str]], n: int) -> list[str]:
    """Return who added each of n events, from the first events of each author."""
    found, ends = [""] * n, [number for number, _ in authors[1:]]
    for (first, name), end in zip(authors, [*ends, n], strict=False):
        found[first:end] = [name] * (end - first)
    return found


def campaign_info(path: str | Path) -> dict[str, Any]:
    """Return what a campaign is, without loading a model.

    Parameters
    ----------
    path : path
        Of the campaign's folder.

    Returns
    -------
    dict
        "format" (int), "versions" and "created" (when it was first saved, and with what), "parameters" (of
        the optimizer, as JSON: parts of the library by class name), "needs" (names that ``load`` must be
        given, with the type that each had), "counts" (records by status), "n_asks", "n_trainings" and
        "notes".

    Raises
    ------
    StorageError
        When there is no campaign, or a damaged one.
    """
    with _reading(path) as journal:
        return _info(journal, _history(journal, objects=False))


def campaign_settings(path: str | Path) -> dict[str, Any]:
    """Return what :func:`campaign_info` does, without what has to be counted: it takes no time."""
    with _reading(path) as journal:
        return _settings(journal)


class CampaignView(NamedTuple):
    """A campaign as it was at one moment, to be looked at.

    Attributes
    ----------
    info : dict
        As of :func:`campaign_info`; "authors": who made each event happen, "" where that is not known.
    history : History
        All records and events, without tensors and identities. Where only a model's codec makes the x, they
        are arrays.
    """

    info: dict[str, Any]
    history: History


def view_campaign(path: str | Path) -> CampaignView:
    """Return all that is known of a campaign, without loading a model and without waiting for anybody.

    Parameters
    ----------
    path : path
        Of the campaign's folder.

    Raises
    ------
    StorageError
        When there is no campaign, or a damaged one.
    """
    with _reading(path) as journal:
        history = _history(journal, objects=True)
        authors = authors_of(journal.authors(journal.generation[0]), len(history.events))
        return CampaignView(_info(journal, history) | {"authors": authors}, history)


@contextmanager
def _reading(path: str | Path) -> Iterator[Journal]:
    """Open the journal of a campaign, all of which is read as it is at one moment."""
    journal = open_journal(Path(path), read_only=True)
    try:
        with journal.transaction(write=False):
            yield journal
    finally:
        journal.close()


def _history(journal: Journal, *, objects: bool) -> History:
    """Return the records, with or without their x, and what happened to them."""
    number, _ = journal.generation
    history = History()
    for first, n, data in journal.objects(number, 0):
        X = objects_shown(data) if objects else [None] * n
        history.add(X, range(first, first + n), None)  # each record is its own point, whatever its x
    events = list(journal.events(number, 0))
    journal.expect_objects(len(history), events)
    for event in events:
        history.apply(event)
    return history


def _settings(journal: Journal) -> dict[str, Any]:
    return {
        "format": journal.format,
        **json.loads(journal.get("created") or "{}"),
        "parameters": json.loads(journal.get("parameters") or "{}"),
        "needs": json.loads(journal.get("needs") or "{}"),
        "notes": journal.notes(),
    }


def _info(journal: Journal, history: History) -> dict[str, Any]:
    return _settings(journal) | {
        "counts": dict(sorted(Counter(record.status for record in history).items())),
        "n_asks": len(history.asks),
        "n_trainings": len(history.trainings),
    }


class Notes(MutableMapping[str, str]):
    """Texts by name that belong to a campaign; a change is written to its folder at once.

    Parameters
    ----------
    texts : dict
        Notes of an optimizer that stores itself nowhere.
    campaign : Campaign or None
        Where the notes are otherwise.

    Examples
    --------
    >>> notes = Notes({}, None)  # of an optimizer that is in no folder
    >>> notes["assay"] = "kinase, 37 °C"
    >>> dict(notes)
    {'assay': 'kinase, 37 °C'}
    """

    def __init__(self, texts: dict[str, str], campaign: "Campaign | None") -> None:
        self._texts = texts
        self._campaign = campaign

    def _all(self) -> dict[str, str]:
        if self._campaign is None:
            return self._texts
        with self._campaign.transaction(write=False):
            return self._campaign.journal.notes()

    def __getitem__(self, key: str) -> str:
        """Return a note."""
        return self._all()[key]

    def __setitem__(self, key: str, value: str) -> None:
        """Write a note."""
        if self._campaign is not None:
            with self._campaign.transaction():
                self._campaign.journal.put(str(key), str(value), "notes")
        self._texts[str(key)] = str(value)

    def __delitem__(self, key: str) -> None:
        """Remove a note."""
        if key not in self:
            raise KeyError(key)
        if self._campaign is not None:
            with self._campaign.transaction():
                self._campaign.journal.remove_note(key)
        self._texts.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._all())

    def __len__(self) -> int:
        """Return the number of notes."""
        return len(self._all())

    def __repr__(self) -> str:
        """Show all notes."""
        return repr(self._all())
