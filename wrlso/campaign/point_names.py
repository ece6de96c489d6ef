"""Names of sequences, which a campaign keeps beside them, and the wells in which its batches are made."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrlso._sequences.plates import PLATES, wells
from wrlso.campaign.catalogue_table import names_column
from wrlso.exceptions import ParameterError

if TYPE_CHECKING:
    from wrlso.campaign.tables import Table
    from wrlso.history import History
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["check_plate", "keep_names", "names_of_points", "plate_wells"]

_NOTE = "names"  # row → name, as JSON


def keep_names(opt: "WeightedRetrainingOptimizer", table: "Table", x: str) -> list[str]:
    """Let a campaign of sequences keep the names in a table that it starts with; return a remark.

    Where rows have the same x, the first name counts.
    """
    from wrlso.models.sequences.vae import SequenceVAE

    column = names_column(table, x)
    if column is None or not isinstance(opt.model_, SequenceVAE):
        return []
    found: dict[int, str] = {}
    for row in table.rows:
        text, name = table.named(row, x), table.named(row, column)
        place = opt.history_.row(opt.model_.key(text)) if text and name else None
        if place is not None:
            found.setdefault(place, name)
    if not found:
        return []
    opt.notes_[_NOTE] = json.dumps(found)
    return [f"names are in the column {column!r} of {table.name}"]


def names_of_points(
    notes: Mapping[str, str], history: "History", candidates: Any, rows: Sequence[int]
) -> dict[Any, str] | None:
    """Return the names of points by x: of a catalogue, or as the campaign keeps them; None without any."""
    X = [history.records[row].x for row in rows]
    if getattr(candidates, "names", None) is not None:
        return dict(candidates.names_of(X))
    if _NOTE not in notes:
        return None
    found = json.loads(notes[_NOTE])
    names = {x: found[str(row)] for row, x in zip(rows, X, strict=True) if str(row) in found}
    return names or None


def check_plate(plate: int | None, n: int) -> None:
    """Raise ParameterError for a plate that there is not, and for one that is too small for n points."""
    if plate is not None and plate not in PLATES:
        raise ParameterError(f"--plate must be one of {', '.join(map(str, PLATES))}, got {plate}")
    if plate is not None and n > plate:
        raise ParameterError(
            f"--plate {plate} must hold all points of the batch, got {n} points; write them without --plate, "
            "or name a larger one"
        )


def plate_wells(plate: int | None, rows: Sequence[int]) -> dict[int, str]:
    """Return the well of each row of a batch; empty without a plate."""
    if plate is None:
        return {}
    check_plate(plate, len(rows))
    return dict(zip(rows, wells(len(rows), plate), strict=True))
