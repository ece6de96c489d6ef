"""What a campaign is and what happened in it, for readers that need no model."""

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from wrlso.history import iso_time
from wrlso.storage.folder import Campaign, open_journal
from wrlso.storage.journal import FORMAT

__all__ = ["Campaign", "CampaignEvent", "Notes", "campaign_info", "events"]


class CampaignEvent(NamedTuple):
    """One thing that happened in a campaign.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    kind : str
        "start", "tell", "update", "ask", "release", "search" or "train".
    record : int or None
        Id of the record that it is about: its row in ``history_.records``.
    value : float or None
        In the user's sign; None where there is none, or for a failed experiment.
    old : list of float or None
        The values before an update.
    """

    time: str
    kind: str
    record: int | None
    value: float | None
    old: list[float] | None


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
    journal = open_journal(Path(path), read_only=True)
    try:
        with journal.transaction(write=False):
            number = journal.generation[0]
            return [
                CampaignEvent(
                    iso_time(event.time),
                    event.kind,
                    None if event.row < 0 else event.row,
                    event.value,
                    event.data if event.kind == "update" else None,
                )
                for event in journal.events(number, 0)
            ]
    finally:
        journal.close()


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
    journal = open_journal(Path(path), read_only=True)
    try:
        with journal.transaction(write=False):
            number, _ = journal.generation
            status: dict[int, str] = {}
            for first, n, _ in journal.objects(number, 0):
                status |= dict.fromkeys(range(first, first + n), "unlabelled")
            kinds = []
            for event in journal.events(number, 0):
                kinds.append(event.kind)
                status[event.row] = _status_after(event.kind, event.value, status.get(event.row))
            status.pop(-1, None)
            counts = {name: list(status.values()).count(name) for name in sorted(set(status.values()))}
            return {
                "format": FORMAT,
                **json.loads(journal.get("created") or "{}"),
                "parameters": json.loads(journal.get("parameters") or "{}"),
                "needs": json.loads(journal.get("needs") or "{}"),
                "counts": counts,
                "n_asks": kinds.count("search"),
                "n_trainings": kinds.count("train"),
                "notes": journal.notes(),
            }
    finally:
        journal.close()


def _status_after(kind: str, value: float | None, before: str | None) -> str:
    if kind in ("start", "tell"):
        return "observed" if value is not None or before == "observed" else "failed"
    if kind == "update":
        return "failed" if value is None else "observed"
    return {"ask": "pending", "release": "released"}.get(kind, "")


class Notes(MutableMapping[str, str]):
    """Texts by name that belong to a campaign; a change is written to its folder at once.

    Parameters
    ----------
    texts : dict
        Notes of an optimizer that stores itself nowhere.
    campaign : Campaign or None
        Where the notes are otherwise.
    """

    def __init__(self, texts: dict[str, str], campaign: Campaign | None) -> None:
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
