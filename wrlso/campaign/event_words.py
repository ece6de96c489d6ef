"""What happened in a campaign, in words: who did what and when, and the notes on its points."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wrlso.campaign.results_table import describe_value
from wrlso.history import POINT_NOTE, Event, History, iso_time
from wrlso.outcomes import Reading

__all__ = [
    "Happening",
    "Remark",
    "event_in_words",
    "happenings",
    "notes_in_a_cell",
    "notes_on",
    "old_in_words",
]

_KINDS = {
    "start": "starting value", "tell": "result", "update": "correction", "ask": "asked for",
    "release": "released", "note": "note", "search": "search", "train": "training", "outcomes": "units",
}  # fmt: skip


class Remark(NamedTuple):
    """A note on a point.

    Attributes
    ----------
    time : str
        ISO 8601, UTC; "" where a former version did not keep it.
    by : str
        Who wrote it; "" where that is not known.
    text : str
    """

    time: str
    by: str
    text: str


class Happening(NamedTuple):
    """An event in words.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    by : str
        Who made it happen; "" where that is not known.
    what : str
        "result", "correction", "rejected", …
    row : int
        The id of the point; -1: it is about none.
    said : str
        What was told, with relations and failures: "pIC50 = >4, logD not measured"; the text of a note.
    was : str
        What a correction replaced.
    reason : str
        Why, where that was said.
    """

    time: str
    by: str
    what: str
    row: int
    said: str
    was: str
    reason: str


def happenings(
    history: History, authors: Sequence[str] = (), numbers: Iterable[int] | None = None
) -> list[Happening]:
    """Return events in words: all, or those with the numbers.

    ``authors``: of all events, as in ``CampaignView.info["authors"]``.
    """
    found = []
    for number in range(len(history.events)) if numbers is None else numbers:
        event = history.events[number]
        by = authors[number] if number < len(authors) else ""
        what = "rejected" if event.kind == "release" and event.reason else _KINDS.get(event.kind, event.kind)
        was = old_in_words(event) if event.kind == "update" else ""
        said = event_in_words(event)
        found.append(Happening(iso_time(event.time), by, what, event.row, said, was, event.reason or ""))
    return found


def event_in_words(event: Event) -> str:
    """Return what an event says of its point: values, "failed", or the text of a note; "" for others."""
    if event.kind == "note":
        return str(event.data)
    if event.kind not in ("start", "tell", "update"):
        return ""
    readings = event.readings
    if readings is None:
        return "failed"
    return _in_words({name: [reading] for name, reading in readings.items()}, event.not_measured)


def old_in_words(event: Event) -> str:
    """Return what a correction replaced: of the outcomes that it names, or all where it says "failed"."""
    before = event.data.get("before", {}) if isinstance(event.data, dict) else {"": event.data or []}
    named = None if event.readings is None else {*event.readings, *event.not_measured}
    old = {
        name: [_reading(value) for value in told]
        for name, told in before.items()
        if told and (named is None or name in named)
    }
    if not old and named is not None and any(before.values()):
        return "not measured"  # other outcomes had values
    return _in_words(old, ()) if old else "failed"


def _reading(value: Any) -> Reading:
    return Reading(*value) if isinstance(value, list | tuple) else Reading(value)


def _in_words(readings: Mapping[str, Sequence[Reading]], not_measured: Sequence[str]) -> str:
    parts = []
    for name, told in readings.items():
        values = " and ".join(map(_with_error, told))
        parts.append(f"{name} = {values}" if name else values)
    parts += [f"{name} not measured".strip() for name in not_measured]
    return ", ".join(parts)


def _with_error(reading: Reading) -> str:
    error = "" if reading.sd is None else f" ± {reading.sd:.4g}"
    number = "" if reading.n == 1 else f" (n = {reading.n})"
    return f"{describe_value(reading)}{error}{number}"


def notes_on(info: Mapping[str, Any], history: History, row: int) -> list[Remark]:
    """Return the notes on a point in the order in which they were written.

    ``info``: of :func:`wrlso.storage.info.view_campaign`.
    """
    former = info.get("notes", {}).get(f"{POINT_NOTE}{row}")
    found = [] if former is None else [Remark("", "", former)]
    authors = info.get("authors") or ()
    for number in history.records[row].notes:
        event = history.events[number]
        by = authors[number] if number < len(authors) else ""
        found.append(Remark(iso_time(event.time), by, str(event.data)))
    return found


def notes_in_a_cell(notes: Iterable[Remark]) -> str:
    """Return notes as one text for a table."""
    return " | ".join(
        " ".join([*filter(None, (n.time[:19], n.by))]) + (": " if n.time else "") + n.text for n in notes
    )
