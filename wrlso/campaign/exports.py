"""All that is known of a campaign, read without its model: as tables, JSON and files, and what happened."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wrlso._sequences.fasta import FASTA_ENDINGS
from wrlso.campaign.catalogue_table import candidates_of
from wrlso.campaign.contents import check_fits
from wrlso.campaign.event_words import happenings, notes_in_a_cell, notes_on
from wrlso.campaign.outcome_columns import aims_of_campaign
from wrlso.campaign.point_names import names_of_points
from wrlso.campaign.start_table import AS_BEFORE, Form
from wrlso.campaign.substructures import holding
from wrlso.campaign.tables import check_place, reserve
from wrlso.campaign.views import (
    fasta_points,
    format_points,
    is_flat,
    json_export,
    local_time,
    require_text,
    sdf_export,
    shown,
)
from wrlso.exceptions import ParameterError, UnknownPointError
from wrlso.history import History
from wrlso.outcomes import Aims
from wrlso.storage.info import view_campaign

__all__ = ["export", "history", "points_text"]


def export(
    campaign: Path,
    *,
    out: Path | None = None,
    as_json: bool | None = None,
    force: bool = False,
    form: Form = AS_BEFORE,
    substructure: str | None = None,
) -> str:
    """Write everything that is known, or the molecules with a substructure; without a file return it.

    The name of the file says the form: .json, .sdf for molecules (id, x, value and status), FASTA (names and
    sequences), else CSV. Raises ParameterError for a form or a substructure that the campaign's x do not fit.

    Needs no model, and waits for no other process.
    """
    if out is not None:
        check_place(out, force=force)
    info, history = view_campaign(campaign)
    rows: Sequence[int] = range(len(history))
    ending = "" if out is None or as_json is not None else out.suffix.lower()
    if substructure is not None or ending == ".sdf":
        check_fits(info, history, "molecules")
    if ending in FASTA_ENDINGS:
        check_fits(info, history, "sequences")
    if substructure is not None:
        rows = holding(history, rows, substructure)
    if as_json or ending == ".json":
        if substructure is not None:
            raise ParameterError("JSON holds the whole campaign; with a substructure write CSV, SDF or FASTA")
        text = json_export(history, info, aims_of_campaign(info).names)
    elif ending == ".sdf":
        kept = Form.of(info["notes"])
        columns = {name: name or kept.y or "y" for name in aims_of_campaign(info).names}
        text = sdf_export(history, kept.x or "x", columns, rows)
    else:
        require_text(history)
        kept = Form.of(info["notes"])
        aims, listed, flat = aims_of_campaign(info), candidates_of(campaign, info), is_flat(info["notes"])
        names = names_of_points(info["notes"], history, listed, rows)
        if ending in FASTA_ENDINGS:
            text = fasta_points(history, rows, names or {}, {})
        else:
            notes = {row: notes_in_a_cell(notes_on(info, history, row)) for row in rows}
            text = points_text(history, rows, form, kept, aims, names, details=True, flat=flat, notes=notes)
    if out is None:
        return text
    with reserve(out, force=force) as stream:
        stream.write(text)
    return ""


def history(campaign: Path, point: str | None = None) -> list[str]:
    """Return what happened, to all points or to one, in words: when, who, what.

    Needs no model, and waits for no other process; a point that is no id is found by its text.
    """
    info, found = view_campaign(campaign)
    row = None if point is None else _viewed_row(found, point)
    lines = []
    for words in happenings(found, info["authors"]):
        if words.what in ("search", "units") or (row is not None and words.row != row):
            continue
        was = f"{words.was} is now " if words.was else ""
        parts = [
            local_time(words.time), words.by, "" if words.row < 0 else f"id {words.row}", words.what,
            shown(f"{was}{words.said}", 500), f"({shown(words.reason, 500)})" if words.reason else "",
        ]  # fmt: skip
        lines.append("  ".join(filter(None, parts)))
    former = [] if row is None else [note for note in notes_on(info, found, row) if not note.time]
    return [*(f"note of a former version: {shown(remark.text, 500)}" for remark in former), *lines]


def _viewed_row(found: History, point: str) -> int:
    """Return the row of a point that is given by its id or by the text of x."""
    if point.strip().isdecimal():
        if int(point) < len(found):
            return int(point)
        raise UnknownPointError(
            f"there is no point with the id {int(point)}; ids go from 0 to {len(found) - 1}"
        )
    row = next((row for row, record in enumerate(found) if record.x == point), None)
    if row is None:
        raise UnknownPointError(
            f"{point!r} is neither an id nor a point of this campaign as it is written there"
        )
    return row


def points_text(
    history: History,
    rows: Iterable[int],
    form: Form,
    kept: Form,
    aims: Aims,
    names: Mapping[Any, str] | None = None,
    *,
    wells: Mapping[int, str] | None = None,
    details: bool = False,
    flat: bool = False,
    notes: Mapping[int, str] | None = None,
) -> str:
    """Return points as a table in the campaign's form, as far as ``form`` says nothing else."""
    return format_points(
        history,
        rows,
        form.x or kept.x or "x",
        {name: name or form.y or kept.y or "y" for name in aims.names},
        delimiter=form.delimiter or kept.delimiter or ",",
        decimal=form.decimal or kept.decimal or ".",
        names=names,
        wells=wells,
        details=details,
        flat=flat,
        notes=notes,
    )
