"""A campaign read without its model: in words for the shell, as a table or JSON for other programs."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._sequences.fasta import format_fasta
from wrlso._state.training_due import training_due_in
from wrlso.campaign.cells import FAILED, Cell
from wrlso.campaign.results_table import current_value, describe_value
from wrlso.campaign.tables import format_table, plural
from wrlso.exceptions import DataError
from wrlso.history import History, Record, Status, iso_time
from wrlso.storage.lock import holder
from wrlso.storage.names import LOCK

__all__ = [
    "best_line",
    "fasta_points",
    "format_points",
    "is_flat",
    "json_export",
    "ranges",
    "require_text",
    "sdf_export",
    "shown",
    "state_lines",
    "who_works",
]  # fmt: skip

_WORDS: dict[Status, str] = {
    "observed": "measured", "failed": "failed", "pending": "pending", "unlabelled": "without a value",
    "released": "released",
}  # fmt: skip
_COLUMNS = ("status", "asked", "asked_at", "told_at", "replicates", "failures", "corrected_from")


def shown(x: Any, width: int = 80) -> str:
    """Return x as one line of printable characters."""
    text = x if isinstance(x, str) and x.isprintable() else repr(x)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def local_time(time: str | None) -> str:
    """Return a UTC time of the records in the local zone, to the minute."""
    return "" if time is None else f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"


def is_flat(notes: Mapping[str, str]) -> bool:
    """Return whether a campaign's model leaves stereochemistry out, as far as its notes say."""
    return notes.get("stereo", "no" if notes.get("model") == "junction-tree" else "yes") == "no"


def _molecule(record: Record, flat: bool) -> str | None:
    """Return a flat SMILES where the value is the mean over what may be isomers, for a model that is flat."""
    x = record.x
    if not flat or len(record.values) < 2 or not isinstance(x, str) or not re.search(r"[@/\\]", x):
        return None
    from wrlso._chemistry.smiles import canonical

    return canonical(x, stereo=False)


def best_line(history: History, direction: str, *, flat: bool = False) -> str:
    """Return a line that names the best point so far."""
    y = history.y
    if not len(y):
        return "best so far: no value yet"
    row = int(history.observed_rows[np.argmin(y) if direction == "minimize" else np.argmax(y)])
    record = history.records[row]
    mean_of = f", mean of {len(record.values)}" if len(record.values) > 1 else ""
    molecule = _molecule(record, flat)
    x = shown(record.x) if molecule is None else f"{shown(molecule)} (its isomers are one for this model)"
    return f"best so far: {describe_value(current_value(record))}{mean_of} (id {row}): {x}"


def state_lines(
    history: History, direction: str, retrain_every: int | None, *, flat: bool = False
) -> list[str]:
    """Return the state of a campaign: points by status, the best, trainings, and pending points."""
    counts = Counter(record.status for record in history)
    states = ", ".join(f"{counts[status]} {_WORDS[status]}" for status in _WORDS if counts[status])
    lines = [f"{plural(len(history), 'point')}: {states}", best_line(history, direction, flat=flat)]
    lines.append(_training_line(history, retrain_every))
    pending = [(row, record) for row, record in enumerate(history) if record.status == "pending"]
    if pending:
        lines.append("pending (id, asked, x):")
        lines += [f"  {row}  {local_time(record.asked_at)}  {shown(record.x)}" for row, record in pending]
    return lines


def _training_line(history: History, retrain_every: int | None) -> str:
    n_trainings = len(history.trainings)
    left = training_due_in(retrain_every, history.n_observed, history.n_at_training, n_trainings)
    line = f"trained {plural(n_trainings, 'time')}; "
    if left is None:
        return line + "again only by: wrlso retrain"
    if n_trainings == 0:
        return line + "the first time at the next ask"
    return line + (f"again after {plural(left, 'new value')}" if left else "again at the next ask")


def fasta_points(history: History, rows: Iterable[int]) -> str:
    """Return points as FASTA, with their ids as names."""
    listed = list(rows)
    return format_fasta([history.records[row].x for row in listed], [str(row) for row in listed])


def format_points(
    history: History,
    rows: Iterable[int],
    x: str,
    y: str,
    *,
    delimiter: str,
    decimal: str,
    names: Mapping[Any, str] | None = None,
    details: bool = False,
    flat: bool = False,
) -> str:
    """Return points as CSV: id, x and value; with ``details`` all that is known of them.

    ``names``: what candidates of a catalogue are called, by x, for a column of their own.

    ``flat``: whether the model leaves stereochemistry out; beside a mean stands the SMILES without it then.
    Telling the campaign this table changes nothing.
    """
    named: list[Cell] = [] if names is None else ["name"]
    header = ["id", *named, x, y, *(_COLUMNS if details else ())]
    table = []
    for row in rows:
        record = history.records[row]
        value = current_value(record)
        y_cell: Cell = FAILED if record.status == "failed" else value
        x_cell = _molecule(record, flat) or str(record.x)
        called: list[Cell] = [] if names is None else [names.get(record.x, "")]
        table.append([row, *called, x_cell, y_cell, *(_details(record, decimal) if details else ())])
    return format_table(header, table, delimiter=delimiter, decimal=decimal)


def _details(record: Record, decimal: str) -> list[Cell]:
    def listed(values: Iterable[float]) -> str:
        return " ".join(repr(value).replace(".", decimal) for value in values)

    corrected = " | ".join(listed(values) or "failed" for values in record.revisions)
    return [
        record.status, "yes" if record.asked else "no", record.asked_at, record.told_at,
        listed(record.values) if len(record.values) > 1 else "", record.n_failures, corrected,
    ]  # fmt: skip


def sdf_export(history: History, x: str, y: str) -> str:
    """Return all molecules as SD file: plane coordinates, and id, SMILES, value and status as properties.

    Raises
    ------
    DataError
        When an x is no molecule.
    """
    from wrlso._chemistry.smiles import optional_module, parse, unparsed_problem

    chem, text = optional_module("rdkit.Chem"), StringIO()
    writer = chem.SDWriter(text)
    for row, record in enumerate(history):
        molecule = parse(record.x)
        if molecule is None:
            raise DataError(
                f"an SD file holds molecules, but id {row} ({shown(record.x)}) {unparsed_problem(record.x)}"
            )
        optional_module("rdkit.Chem.AllChem").Compute2DCoords(molecule)
        molecule.SetProp("_Name", str(row))
        value = current_value(record)
        cells = {"id": row, x: record.x, y: "" if value is None else repr(value), "status": record.status}
        for name, cell in cells.items():
            molecule.SetProp(name, str(cell))
        writer.write(molecule)
    writer.close()
    return text.getvalue()


def json_export(history: History, about: dict[str, Any]) -> str:
    """Return everything that is known as JSON: the entries of ``about``, points, trainings, events."""
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


def ranges(rows: list[int]) -> str:
    """Write 3, 4, 5, 9 as "3-5, 9"."""
    parts: list[list[int]] = []
    for row in sorted(rows):
        if parts and row == parts[-1][-1] + 1:
            parts[-1].append(row)
        else:
            parts.append([row])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def who_works(campaign: Path) -> str | None:
    """Return who is asking, fitting or retraining now, or None."""
    who = holder(campaign / LOCK)
    return None if who is None else shown(who)


def require_text(history: History) -> None:
    """Raise DataError where x are no text, which a table could not hold."""
    x = history.records[0].x if len(history) else ""
    if not isinstance(x, str):
        raise DataError(
            f"this campaign's x are of type {type(x).__name__}, which a table cannot hold; use ask and tell "
            "in Python, or: wrlso export CAMPAIGN --out all.json"
        )
