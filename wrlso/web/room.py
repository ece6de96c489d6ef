"""What the pages show of a campaign, read without its model and kept until the campaign changes."""

import threading
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._state.merits import hypervolumes, standing
from wrlso.campaign.catalogue_table import candidates_of
from wrlso.campaign.commands import ACCEPTED
from wrlso.campaign.contents import Contents, contents_of
from wrlso.campaign.event_words import notes_on
from wrlso.campaign.outcome_columns import aims_of_campaign
from wrlso.campaign.point_names import names_of_points
from wrlso.campaign.reasons import (
    Expectation,
    best_value,
    expectations,
    nearest_known,
    percent,
    said_of,
    why_chosen,
)
from wrlso.campaign.results_table import current_reading, result_in_words
from wrlso.campaign.views import local_time, shown
from wrlso.history import History, Record
from wrlso.outcomes import Aims
from wrlso.storage.info import view_campaign
from wrlso.storage.names import JOURNAL

__all__ = ["STATUS_WORDS", "Room", "View"]

STATUS_WORDS = {
    "observed": "measured", "failed": "failed", "pending": "being made", "unlabelled": "not measured",
    "released": "released", "rejected": "rejected",
}  # fmt: skip
_DRAWINGS = 500  # pictures that are kept
_WARMED = 50  # cards that are made before the first page is looked at


@dataclass(frozen=True)
class View:
    """A campaign at one moment."""

    version: str
    candidates: Any  # the catalogue, or None
    info: dict[str, Any]
    history: History
    aims: Aims

    @property
    def y_name(self) -> str:
        """The column of the one number without a name."""
        return str(self.info["notes"].get("y", "value"))

    @cached_property
    def best(self) -> float | None:
        """The best value so far, where there is one goal."""
        return best_value(self.history, self.aims)

    @cached_property
    def contents(self) -> Contents:
        """What points are."""
        return contents_of(self.info, self.history)

    @cached_property
    def awaited(self) -> list[int]:
        """The rows of which results are to come: pending, or told in part."""
        return [int(row) for row in self.history.awaited_rows(self.aims.names)]

    @cached_property
    def names(self) -> dict[Any, str]:
        """What points are called, by x, as far as they have names."""
        rows = range(len(self.history))
        return names_of_points(self.info["notes"], self.history, self.candidates, rows) or {}

    def unit(self, name: str) -> str:
        """Return the unit of an outcome; "" where it is not known."""
        one = "" if name else self.info["notes"].get("unit", "")
        return self.aims.units.get(name) or self.history.units.get(name) or one

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Outcomes, and what they are called with their units."""
        found = []
        for name in self.aims.names:
            unit = self.unit(name)
            found.append((name, f"{name or self.y_name}{f' ({unit})' if unit else ''}"))
        return found

    @cached_property
    def measured(self) -> int:
        """What differs between any two sets of measured points."""
        return hash(self.history.observed_rows.tobytes())

    def point(self, row: int) -> dict[str, Any]:
        """Return what tables and cards show of a point."""
        record = self.history.records[row]
        lacks = record.lacks(self.aims.names)
        notes = notes_on(self.info, self.history, row)
        return {
            "id": row,
            "x": shown(record.x, 200),
            "whole": record.x if isinstance(record.x, str) else shown(record.x, 2000),
            "name": self.names.get(record.x, "") if isinstance(record.x, str) else "",
            "kind": record.status,
            "status": "measured in part" if lacks else STATUS_WORDS[record.status],
            "lacks": [name or self.y_name for name in lacks],
            "reason": record.reason or "",
            "values": [self._value(record, name) for name, _ in self.outcomes],
            "expected": [self._expected(found) for found in expectations(record, self.aims)],
            "success": "" if record.success is None else percent(record.success),
            "source": record.source,
            "asked": local_time(record.asked_at),
            "told": local_time(record.told_at),
            "corrected": bool(record.revisions),
            "notes": [(local_time(note.time or None), note.by, note.text) for note in notes],
            "maker": next(((local_time(n.time), n.by) for n in notes[::-1] if n.text == ACCEPTED), None),
            "why": "",
            "near": None,
        }

    def card(self, row: int, near: tuple[int, str] | None) -> dict[str, Any]:
        """Return what a card of a proposed point shows: also why it was chosen, and what it is most like."""
        record, (name, sign) = self.history.records[row], self.aims.goals[0]
        unit = self.unit(name)
        return self.point(row) | {
            "why": why_chosen(record, self.best, sign, unit, [goal for goal, _ in self.aims.goals]),
            "near": None if near is None else (*near, said_of(self.history.records[near[0]], self.outcomes)),
        }

    def number(self, row: int, name: str) -> float:
        """Return the value of an outcome for sorting, NaN where there is none."""
        found = current_reading(self.history.records[row], name)
        return float("nan") if found is None else float(found.value)

    def _value(self, record: Record, name: str) -> str:
        found = current_reading(record, name)
        several = f" (mean of {found.n})" if found is not None and found.n > 1 else ""
        return result_in_words(record, name, blank="") + several

    def _expected(self, found: Expectation) -> tuple[str, str, list[str]]:
        """Return the outcome, the interval that holds 95 % of its measurements, and the chances of limits."""
        unit = self.unit(found.name)
        interval = f"{found.interval} {unit}".strip()
        chances = [f"{limit} {unit}".strip() + f": {percent(chance)}" for limit, chance in found.chances]
        return found.name or self.y_name, interval, chances


class Room:
    """One campaign: its newest view, and pictures that are drawn once."""

    def __init__(self, campaign: Path) -> None:
        self.campaign = campaign
        self._lock = threading.Lock()
        self._drawing = threading.Lock()  # matplotlib draws one figure at a time
        self._view: View | None = None
        self._catalogue: tuple[Any, Any] | None = None  # its name, and the candidates
        self._pictures: dict[tuple[str, Any], bytes | None] = {}
        self._near: dict[int, tuple[int, tuple[int, str] | None]] = {}  # row → measured points, the nearest

    def version(self) -> str:
        """Return what differs after every change, whoever makes it."""
        parts = []
        for name in (JOURNAL, f"{JOURNAL}-wal"):
            try:
                found = (self.campaign / name).stat()
            except FileNotFoundError:
                continue
            parts.append(f"{found.st_mtime_ns:x}-{found.st_size:x}")
        return ".".join(parts)

    def view(self) -> View:
        """Return the campaign as it is now."""
        version = self.version()
        with self._lock:
            if self._view is None or self._view.version != version:
                info, history = view_campaign(self.campaign)
                self._view = View(version, self._candidates(info), info, history, aims_of_campaign(info))
            return self._view

    def _candidates(self, info: dict[str, Any]) -> Any:
        """Return the catalogue, which is read once: it may be long."""
        name = info["parameters"].get("candidates")
        if self._catalogue is None or self._catalogue[0] != name:
            self._catalogue = (name, candidates_of(self.campaign, info))
        return self._catalogue[1]

    def cards(self, view: View, rows: list[int]) -> list[dict[str, Any]]:
        """Return the cards of proposed points."""
        molecules, found = self.has_drawings(), []
        alike = view.contents not in ("expressions", "objects")  # of these no likeness is known
        for row in rows:
            known = self._near.get(row) if alike else (view.measured, None)
            if known is None or known[0] != view.measured:
                near = nearest_known(view.history, view.history.records[row].x, row, molecules=molecules)
                known = self._near[row] = (view.measured, near)
            found.append(view.card(row, known[1]))
        return found

    def drawing(self, row: int) -> bytes | None:
        """Return a point as SVG; None where it has no picture."""
        records = self.view().history.records
        if not 0 <= row < len(records) or not isinstance(x := records[row].x, str):
            return None
        return self._kept(("molecule", x), lambda: _molecule(x))

    def has_drawings(self) -> bool:
        """Whether points are molecules."""
        view = self.view()
        # some sequences could be read as SMILES
        return (
            view.contents in ("molecules", "texts") and len(view.history) > 0 and self.drawing(0) is not None
        )

    def warm(self) -> None:
        """Draw what the first page shows."""
        view = self.view()
        self.cards(view, view.awaited[:_WARMED])
        self.progress()

    def front(self, number: int) -> bytes | None:
        """Return the front of the pair of goals with a number as SVG; None where there is none."""
        view = self.view()
        return self._kept(("front", (number, view.version)), lambda: _front(view, number))

    def progress(self) -> bytes | None:
        """Return the progress curve as SVG; None before the first value."""
        view = self.view()
        return self._kept(("progress", view.version), lambda: _progress(view))

    def _kept(self, key: tuple[str, Any], make: Any) -> bytes | None:
        with self._drawing:
            if key not in self._pictures:
                if len(self._pictures) >= _DRAWINGS:
                    self._pictures.pop(next(iter(self._pictures)))
                self._pictures[key] = make()
            return self._pictures[key]


def _molecule(x: str) -> bytes | None:
    from wrlso._chemistry.drawing import molecule_svg
    from wrlso.exceptions import DataError

    try:
        return molecule_svg(x).encode()
    except (DataError, ModuleNotFoundError):  # a sequence, a formula, or no RDKit
        return None


def _front(view: View, number: int) -> bytes | None:
    from wrlso.report.fronts import front_figures

    state = standing(view.history, view.aims)
    if len(view.aims.goals) < 2 or not state.satisfies.any():
        return None
    figures = [figure for _, figure, _ in front_figures(view.aims, state)]
    return _svg(figures[number]) if number < len(figures) else None


def _progress(view: View) -> bytes | None:
    from wrlso.plots.curves import progress_curve
    from wrlso.plots.figures import new_figure

    history, aims = view.history, view.aims
    if len(aims.goals) > 1:
        y, maximize, label = hypervolumes(history, aims), True, "hypervolume"
    else:
        name, sign = aims.goals[0]
        y, maximize = history.observations(name, history.measured_rows(name)).y, sign > 0
        label = dict(view.outcomes)[name]
    if not np.isfinite(y).any():
        return None
    figure: Any = progress_curve(
        y, maximize=maximize, names=("measured points, in order", label), figure=new_figure(9.0, 3.4)
    )
    figure.axes[0].set_ylabel(label)
    return _svg(figure)


def _svg(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    return buffer.getvalue()
