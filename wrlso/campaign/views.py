"""A campaign read without its model: in words for the shell, as a table or JSON for other programs."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._sequences.alphabets import are_sequences
from wrlso._sequences.fasta import format_fasta
from wrlso._state.merits import best_position, hypervolumes, standing
from wrlso._state.training_due import training_due_in
from wrlso.campaign.advice import advise
from wrlso.campaign.cells import FAILED, NOT_MEASURED, Cell
from wrlso.campaign.columns import EXPORTED
from wrlso.campaign.event_words import Happening, happenings, notes_on
from wrlso.campaign.results_table import current_reading, describe_value, result_in_words
from wrlso.campaign.tables import format_table, plural
from wrlso.exceptions import DataError
from wrlso.history import Event, History, Record, Status
from wrlso.outcomes import Aims, Reading
from wrlso.storage.lock import holder
from wrlso.storage.names import LOCK

__all__ = [
    "best_line",
    "fasta_points",
    "format_points",
    "is_flat",
    "json_export",
    "outcome_lines",
    "ranges",
    "require_text",
    "sdf_export",
    "shown",
    "state_lines",
    "who_works",
]  # fmt: skip

_WORDS: dict[Status, str] = {
    "observed": "measured", "failed": "failed", "pending": "pending", "unlabelled": "without a value",
    "released": "released", "rejected": "rejected",
}  # fmt: skip


_SIGNS = {"": "", "above": ">", "below": "<"}


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


def best_line(history: History, aims: Aims, *, flat: bool = False) -> str:
    """Return a line that names the best point so far; of several goals how many points are on the front."""
    state = standing(history, aims)
    if np.isnan(state.goals).all():
        return "best so far: no value yet"
    if not state.satisfies.any():
        return "best so far: no point is known to satisfy the limits"
    if len(aims.goals) > 1:
        n = len(state.on_front)
        return (
            f"best so far: a front of {plural(n, 'point')}, hypervolume {hypervolumes(history, aims)[-1]:.6g}"
        )
    position = best_position(history, aims)
    row, name = int(history.observed_rows[position]), aims.goals[0][0]
    record = history.records[row]
    n = len(record.readings[name])
    mean_of = f", mean of {n}" if n > 1 else ""
    molecule = _molecule(record, flat)
    x = shown(record.x) if molecule is None else f"{shown(molecule)} (its isomers are one for this model)"
    value = describe_value(current_reading(record, name))
    return f"best so far: {f'{name} = ' if name else ''}{value}{mean_of} (id {row}): {x}"


def outcome_lines(history: History, aims: Aims) -> list[str]:
    """Return the front, and how many points satisfy each limit, where outcomes have names."""
    if not aims.are_named:
        return []
    lines = []
    for name, sign, limit in aims.limits:
        y = history.observations(name).y
        holds, known = int(np.sum(sign * y >= sign * limit)), int(np.sum(~np.isnan(y)))
        side, satisfy = "at least" if sign > 0 else "at most", "satisfies" if holds == 1 else "satisfy"
        lines.append(
            f"limit: {name} {side} {limit:.10g}: {holds} of {known} measured {satisfy} it"
            + (f", {len(y) - known} not measured" if known < len(y) else "")
        )
    state = standing(history, aims)
    if len(aims.goals) > 1 and state.satisfies.any():
        lines.append(f"front (id, {', '.join(name for name, _ in aims.goals)}, x):")
        for place in state.on_front:
            row = int(state.rows[place])
            record = history.records[row]
            values = "  ".join(describe_value(current_reading(record, name)) for name, _ in aims.goals)
            lines.append(f"  {row}  {values}  {shown(record.x)}")
    return lines


def state_lines(history: History, aims: Aims, retrain_every: int | None, *, flat: bool = False) -> list[str]:
    """Return the state of a campaign: points by status, the best, trainings, and pending points."""
    counts = Counter(record.status for record in history)
    states = ", ".join(f"{counts[status]} {_WORDS[status]}" for status in _WORDS if counts[status])
    lines = [f"{plural(len(history), 'point')}: {states}", best_line(history, aims, flat=flat)]
    lines += outcome_lines(history, aims)
    lines.append(_training_line(history, retrain_every))
    pending = [(row, record) for row, record in enumerate(history) if record.status == "pending"]
    if pending:
        lines.append("pending (id, asked, x):")
        lines += [f"  {row}  {local_time(record.asked_at)}  {shown(record.x)}" for row, record in pending]
    in_part = [(row, record.lacks(aims.names), record) for row, record in enumerate(history)]
    in_part = [(row, lacks, record) for row, lacks, record in in_part if lacks]
    if in_part:
        lines.append("told in part (id, to come, x):")
        lines += [f"  {row}  {', '.join(lacks)}  {shown(record.x)}" for row, lacks, record in in_part]
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


def fasta_points(
    history: History, rows: Iterable[int], names: Mapping[Any, str], wells: Mapping[int, str]
) -> str:
    """Return points as FASTA, with their names or else their ids, and with their wells."""
    listed = list(rows)
    X = [history.records[row].x for row in listed]
    if not are_sequences(X):
        wrong = next(x for x in X if not are_sequences([x]))
        raise DataError(f"FASTA must hold sequences of letters, got {wrong!r:.60}: write CSV")
    titles = [names.get(x) or str(row) for row, x in zip(listed, X, strict=True)]
    return format_fasta(
        X, [f"{title} {wells.get(row, '')}".strip() for row, title in zip(listed, titles, strict=True)]
    )


def format_points(
    history: History,
    rows: Iterable[int],
    x: str,
    columns: Mapping[str, str],
    *,
    delimiter: str,
    decimal: str,
    names: Mapping[Any, str] | None = None,
    wells: Mapping[int, str] | None = None,
    details: bool = False,
    flat: bool = False,
    notes: Mapping[int, str] | None = None,
) -> str:
    """Return points as CSV: id, x and values; with ``details`` all that is known of them.

    ``columns``: outcome → its column. Beside it stand "sd" and "n" where some value has a standard error, or
    a mean of replicates was told. ``names``: what candidates of a catalogue are called, by x, for a column of
    their own. ``wells``: row → the well in which it is made. ``flat``: whether the model leaves
    stereochemistry out; beside a mean stands the SMILES without it then. ``notes``: row → the notes on it.
    Telling the campaign this table changes nothing.
    """
    rows = list(rows)
    sides = {name for name in columns if _has_errors(history, name, rows)}
    header = ["id", *(["well"] if wells else []), *([] if names is None else ["name"]), x]
    for name, column in columns.items():
        header += [column, f"{column} sd", f"{column} n"] if name in sides else [column]
    header += EXPORTED if details else ()
    table = []
    for row in rows:
        record = history.records[row]
        values = [cell for name in columns for cell in _cells(record, name, decimal, more=name in sides)]
        if record.status == "failed" and values:
            values[0] = FAILED
        called: list[Cell] = [wells[row]] if wells else []
        called += [] if names is None else [names.get(record.x, "")]
        x_cell = _molecule(record, flat) or str(record.x)
        more = _details(record, columns, decimal, (notes or {}).get(row, "")) if details else ()
        table.append([row, *called, x_cell, *values, *more])
    return format_table(header, table, delimiter=delimiter, decimal=decimal)


def _has_errors(history: History, name: str, rows: list[int]) -> bool:
    """Whether some value of an outcome at rows is more than plain values and bounds."""
    return any(
        (reading.sd is not None or reading.n > 1)
        for row in rows
        if (details := history.records[row].details)
        for reading in details.get(name, ())
    )


def _cells(record: Record, name: str, decimal: str, *, more: bool) -> list[Cell]:
    """Return the cell of a value; with ``more`` those of its standard deviation and number of replicates."""
    found = current_reading(record, name)
    if found is None:
        cell = NOT_MEASURED if name in record.not_measured else None
        return [cell, None, None] if more else [cell]
    value: Cell = found.value if not found.bound else describe_value(found).replace(".", decimal)
    deviation = None if found.sd is None else found.sd * math.sqrt(found.n)
    return [value, deviation, found.n] if more else [value]


def _details(record: Record, outcomes: Iterable[str], decimal: str, notes: str) -> list[Cell]:
    def listed(readings: Mapping[str, Sequence[Reading]]) -> str:
        parts = []
        for name, told in readings.items():
            values = " ".join(_exactly(reading).replace(".", decimal) for reading in told)
            parts.append(f"{name}: {values}" if name else values)
        return "; ".join(parts)

    repeated = {name: told for name, told in record.readings.items() if len(told) > 1}
    corrected = " | ".join(listed(_revision(each)) or "failed" for each in record.revisions)
    return [
        record.status, " ".join(record.lacks(outcomes)), "yes" if record.asked else "no", record.asked_at,
        record.told_at, listed(repeated), record.n_failures, corrected, record.reason or "", notes,
    ]  # fmt: skip


def _exactly(reading: Reading) -> str:
    return _SIGNS[reading.bound] + repr(float(reading.value))


def _revision(revision: Any) -> Mapping[str, Sequence[Reading]]:
    return revision if isinstance(revision, dict) else {"": [Reading(value) for value in revision]}


def sdf_export(
    history: History, x: str, columns: Mapping[str, str], rows: Iterable[int] | None = None
) -> str:
    """Return molecules, all or those at rows, as SD file.

    They have plane coordinates, and id, SMILES, values and status as properties.

    ``columns``: outcome → the property that holds its value.

    Raises
    ------
    DataError
        When an x is no molecule.
    """
    from wrlso._chemistry.smiles import optional_module, parse, unparsed_problem

    chem, text = optional_module("rdkit.Chem"), StringIO()
    writer = chem.SDWriter(text)
    for row in range(len(history)) if rows is None else rows:
        record = history.records[row]
        molecule = parse(record.x)
        if molecule is None:
            raise DataError(
                f"an SD file holds molecules, but id {row} ({shown(record.x)}) {unparsed_problem(record.x)}"
            )
        optional_module("rdkit.Chem.AllChem").Compute2DCoords(molecule)
        molecule.SetProp("_Name", str(row))
        cells = {"id": row, x: record.x}
        for outcome, column in columns.items():
            found = current_reading(record, outcome)
            left_out = NOT_MEASURED if outcome in record.not_measured else ""
            blank = "failed" if record.status == "failed" else left_out
            cells[column] = blank if found is None else _exactly(found)
        cells["status"] = record.status
        for name, cell in cells.items():
            molecule.SetProp(name, str(cell))
        writer.write(molecule)
    writer.close()
    return text.getvalue()


def json_export(history: History, about: dict[str, Any], outcomes: Sequence[str] = ("",)) -> str:
    """Return everything that is known as JSON: the entries of ``about``, points, trainings, events.

    ``outcomes``: the names of what an experiment measures.
    """
    points = [_json_point(history, row, about, outcomes) for row in range(len(history))]
    happened = happenings(history, about.get("authors") or ())
    events = [
        _json_event(event, words)
        for event, words in zip(history.events, happened, strict=True)
        if event.row >= 0
    ]
    kept = {name: entry for name, entry in about.items() if name != "authors"}
    whole = kept | {"points": points, "trainings": history.trainings, "events": events}
    return json.dumps(_plain(whole), indent=1, allow_nan=False) + "\n"


def _json_point(
    history: History, row: int, about: Mapping[str, Any], outcomes: Sequence[str]
) -> dict[str, Any]:
    record = history.records[row]
    said = {name: result_in_words(record, name, blank="") for name in outcomes}
    return (
        {"id": row, "x": record.x, "status": record.status, "value": _number(record)}
        | {"result": said.get("", said), "awaited": record.lacks(outcomes)}
        | {"values": record.values, "failures": record.n_failures, "reason": record.reason or ""}
        | {"corrected_from": [_listed(revision) or "failed" for revision in record.revisions]}
        | ({"readings": _listed(record.readings)} if record.details else {})
        | {"asked": record.asked, "asked_at": record.asked_at, "told_at": record.told_at}
        | {"notes": [remark._asdict() for remark in notes_on(about, history, row)]}
    )


def _json_event(event: Event, words: Happening) -> dict[str, Any]:
    found = {
        "time": words.time,
        "kind": event.kind,
        "what": words.what,
        "id": event.row,
        "value": event.value,
    }
    said = {"by": words.by, "said": words.said, "was": words.was, "reason": words.reason}
    found |= {name: text for name, text in said.items() if text}
    if event.kind in ("start", "tell", "update") and (event.not_measured or set(event.readings or ()) - {""}):
        found["readings"] = _listed({name: [reading] for name, reading in (event.readings or {}).items()})
    if event.kind == "update" and not isinstance(event.data, dict):
        found["old"] = event.data
    return found


def _number(record: Record) -> float | None:
    """Return the mean of the values without a name."""
    found = current_reading(record)
    return None if found is None or found.bound else found.value


def _listed(readings: Any) -> Any:
    """Return the readings of each outcome, with their relations; plain values as they are."""
    if not isinstance(readings, dict):
        return readings
    return {
        name: [{"value": r.value, "relation": _SIGNS[r.bound] or "=", "sd": r.sd, "n": r.n} for r in told]
        for name, told in readings.items()
    }


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
            f"this campaign's x are of type {type(x).__name__}, which a table cannot hold; "
            f"{advise('as JSON')}"
        )
