"""Points as text in the form of a file, read without the campaign's model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wrlso.campaign.catalogue_table import candidates_of
from wrlso.campaign.contents import check_fits
from wrlso.campaign.exports import export, points_text
from wrlso.campaign.outcome_columns import aims_of_campaign
from wrlso.campaign.point_names import names_of_points
from wrlso.campaign.start_table import AS_BEFORE, Form
from wrlso.campaign.views import fasta_points, is_flat, require_text, sdf_export
from wrlso.history import History
from wrlso.storage.info import view_campaign

__all__ = ["all_text", "pending_text"]


def pending_text(campaign: Path, ending: str) -> str:
    """Return the points that are awaited, pending or told in part, as ".csv", ".fasta" or ".sdf".

    Raises
    ------
    DataError
        When they cannot be written in this form.
    """
    info, history = view_campaign(campaign)
    require_text(history)
    _check_ending(info, history, ending)
    kept, aims = Form.of(info["notes"]), aims_of_campaign(info)
    rows = [int(row) for row in history.awaited_rows(aims.names)]
    names = names_of_points(info["notes"], history, candidates_of(campaign, info), rows)
    if ending == ".fasta":
        return fasta_points(history, rows, names or {}, {})
    if ending == ".sdf":
        columns = {name: name or kept.y or "y" for name in aims.names}
        return sdf_export(history, kept.x or "x", columns, rows)
    return points_text(history, rows, AS_BEFORE, kept, aims, names, flat=is_flat(info["notes"]))


def all_text(campaign: Path, ending: str) -> str:
    """Return all that is known as ".csv", ".json" or ".sdf"."""
    if ending == ".sdf":
        info, history = view_campaign(campaign)
        _check_ending(info, history, ending)
        kept = Form.of(info["notes"])
        columns = {name: name or kept.y or "y" for name in aims_of_campaign(info).names}
        return sdf_export(history, kept.x or "x", columns)
    return export(campaign, as_json=ending == ".json")


def _check_ending(info: Mapping[str, Any], history: History, ending: str) -> None:
    """Raise ParameterError for a form that the campaign's x do not fit."""
    if ending == ".sdf":
        check_fits(info, history, "molecules")
    if ending == ".fasta":
        check_fits(info, history, "sequences")
