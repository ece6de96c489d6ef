"""A campaign read without its model: in words for the shell, as a table or JSON for other programs."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from wrlso.campaign.results_table import current_value, describe_value
from wrlso.campaign.tables import FAILED, Cell, format_table
from wrlso.history import History, Record, Status, iso_time
from wrlso.storage import info as storage
from wrlso.storage.lock import holder

__all__ = [
    "best_line", "format_points", "json_export", "plural", "read_history", "shown", "state_lines",
    "who_works",
]  # fmt: skip

_WORDS: dict[Status, str] = {
    "observed": "measured", "failed": "failed", "pending": "pending", "unlabelled": "without a value",
    "released": "released",
}  # fmt: skip
_COLUMNS = ("status", "asked", "asked_at", "told_at", "replicates", "failures", "corrected_from")


class _Itself:
    """An identity that equals no other one, arrays included."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Compare without asking the other."""
        return self is other


class _NoModel:
    """Stands in for the model where x are only shown: what needs its codec, as arrays."""

    @property
    def codec(self) -> "_NoModel":
        """Return what turns arrays into themselves."""
        return self

    def inverse_transform(self, array: np.ndarray) -> list[np.ndarray]:
        """Return the rows."""
        return list(array)

    def key(self, x: Any) -> Hashable:
        """Return an identity that nothing else has: here each record is its own point."""
        return _Itself()


def read_history(campaign: Path) -> History:
    """Return all records and events of a campaign, without its model, and without waiting for anybody.

    Raises StorageError when there is no campaign, or a damaged one.
    """
    stored = storage.Campaign(campaign, read_only=True)
    history = History()
    try:
        with stored.transaction(write=False):
            stored.read_changes(_NoModel(), history).apply()
    finally:
        stored.close()
    return history


def plural(n: int, noun: str) -> str:
    """Return "1 point", "2 points"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def shown(x: Any, width: int = 80) -> str:
    """Return x as one line of printable characters."""
    text = x if isinstance(x, str) and x.isprintable() else repr(x)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def local_time(time: str | None) -> str:
    """Return a UTC time of the records in the local zone, to the minute."""
    return "" if time is None else f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"


def best_line(history: History, direction: str) -> str:
    """Say which point is the best so far."""
    y = history.y
    if not len(y):
        return "best so far: no value yet"
    row = int(history.observed_rows[np.argmin(y) if direction == "minimize" else np.argmax(y)])
    record = history.records[row]
    mean_of = f", mean of {len(record.values)}" if len(record.values) > 1 else ""
    return f"best so far: {describe_value(current_value(record))}{mean_of} (id {row}): {shown(record.x)}"


def state_lines(history: History, direction: str, retrain_every: int | None) -> list[str]:
    """Say how a campaign stands: points by state, best, trainings, and what is pending since when."""
    counts = Counter(record.status for record in history)
    states = ", ".join(f"{counts[status]} {_WORDS[status]}" for status in _WORDS if counts[status])
    lines = [f"{plural(len(history), 'point')}: {states}", best_line(history, direction)]
    lines.append(_training_line(history, retrain_every))
    pending = [(row, record) for row, record in enumerate(history) if record.status == "pending"]
    if pending:
        lines.append("pending (id, asked, x):")
        lines += [f"  {row}  {local_time(record.asked_at)}  {shown(record.x)}" for row, record in pending]
    return lines


def _training_line(history: History, retrain_every: int | None) -> str:
    trainings = history.trainings
    line = f"trained {plural(len(trainings), 'time')}"
    if not trainings:
        return line + "; the first time at the next ask"
    if retrain_every is None:
        return line + "; again only by: wrlso retrain"
    left = retrain_every - (history.n_observed - trainings[-1]["n_observed"])
    return line + (f"; again after {plural(left, 'new value')}" if left > 0 else "; again at the next ask")


def format_points(
    history: History,
    rows: Iterable[int],
    x: str,
    y: str,
    *,
    delimiter: str,
    decimal: str,
    details: bool = False,
) -> str:
    """Return points as CSV: id, x and value; with ``details`` all that is known of them.

    What it returns can be told to the campaign, and changes nothing.
    """
    header = ["id", x, y, *(_COLUMNS if details else ())]
    table = []
    for row in rows:
        record = history.records[row]
        value = current_value(record)
        y_cell: Cell = FAILED if record.status == "failed" else value
        table.append([row, str(record.x), y_cell, *(_details(record, decimal) if details else ())])
    return format_table(header, table, delimiter=delimiter, decimal=decimal)


def _details(record: Record, decimal: str) -> list[Cell]:
    def listed(values: Iterable[float]) -> str:
        return " ".join(repr(value).replace(".", decimal) for value in values)

    corrected = " | ".join(listed(values) or "failed" for values in record.revisions)
    return [
        record.status, "yes" if record.asked else "no", record.asked_at, record.told_at,
        listed(record.values) if len(record.values) > 1 else "", record.n_failures, corrected,
    ]  # fmt: skip


def json_export(history: History, about: dict[str, Any]) -> str:
    """Return everything that is known as JSON: what is given in ``about``, points, trainings, events."""
    points = [
        {"id": row, "x": record.x, "status": record.status, "value": current_value(record)}
        | {"values": record.values, "failures": record.n_failures, "corrected_from": record.revisions}
        | {"asked": record.asked, "asked_at": record.asked_at, "told_at": record.told_at}
        for row, record in enumerate(history)
    ]
    events = [
        {"time": iso_time(event.time), "kind": event.kind, "id": event.row, "value": event.value}
        | ({"old": event.data} if event.kind == "update" else {})
        | ({"reason": event.data} if event.kind == "tell" and event.data else {})
        for event in history.events
        if event.row >= 0
    ]
    whole = about | {"points": points, "trainings": history.trainings, "events": events}
    return json.dumps(_plain(whole), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON can hold: arrays as lists, numbers that are not finite as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else repr(value)


def who_works(campaign: Path) -> str | None:
    """Return who is asking, fitting or retraining now, or None."""
    who = holder(campaign / "work.lock")
    return None if who is None else shown(who)
