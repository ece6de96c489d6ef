"""What people wrote: notes on points, and why points were rejected, corrected or failed."""

from markupsafe import Markup

from wrlso.history import POINT_NOTE, iso_time
from wrlso.report.drawings import draw
from wrlso.report.page import table
from wrlso.report.snapshot import Campaign, format_time

__all__ = ["remarks_section"]

_MOST = 200  # of the latest
_WHAT = {"note": "note", "release": "rejected", "tell": "failed", "update": "corrected"}


def remarks_section(campaign: Campaign) -> Markup:
    """Return all notes and reasons with their authors and times, the latest first; nothing without any."""
    authors, found = campaign.opt._session.authors(), []
    for number, event in enumerate(campaign.history.events):
        text = str(event.data) if event.kind == "note" else event.reason
        if text:
            by = authors[number] if number < len(authors) else ""
            found.append((event.row, _WHAT[event.kind], text, by, format_time(iso_time(event.time))))
    former = [
        (int(name.removeprefix(POINT_NOTE)), "note", text, "", "")
        for name, text in campaign.opt.notes_.items()
        if name.startswith(POINT_NOTE) and name.removeprefix(POINT_NOTE).isdecimal()
    ]
    rows = [
        (str(row), draw(campaign.record(row).x, campaign.model, pixels=48), what, text, by, time)
        for row, what, text, by, time in [*former, *found][-_MOST:][::-1]
        if row < len(campaign.history)
    ]
    if not rows:
        return Markup()
    caption = "What was written about points, the latest first."
    return table(caption, ("Id", "x", "What", "Text", "By", "Time (UTC)"), rows)
