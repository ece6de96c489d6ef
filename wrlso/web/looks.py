"""The pages that only show."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from wrlso._sequences.alphabets import are_sequences
from wrlso._state.merits import standing
from wrlso._state.training_log import in_words
from wrlso.campaign.downloads import all_text, pending_text
from wrlso.campaign.event_words import happenings
from wrlso.campaign.reasons import usual_seconds
from wrlso.campaign.setting_words import setting_words
from wrlso.campaign.substructures import holding
from wrlso.campaign.views import best_line, is_flat, local_time, who_works
from wrlso.exceptions import DataError
from wrlso.history import iso_time
from wrlso.web.desk import Desk
from wrlso.web.room import View
from wrlso.web.safety import MAX_BODY

__all__ = [
    "PAGES", "batch", "download", "drawing", "explore", "front", "history", "latent", "latent_points",
    "leaning", "model", "overview", "plot", "point", "quality", "results", "results_page", "settings",
]  # fmt: skip

PAGES = (
    ("/", "overview"), ("/batch", "batch"), ("/results", "results"), ("/explore", "explore"),
    ("/point/{row:int}", "point"), ("/model", "model"), ("/history", "history"), ("/settings", "settings"),
    ("/drawing/{row:int}.svg", "drawing"), ("/progress.svg", "plot"), ("/front/{number:int}.svg", "front"),
    ("/batch/leaning", "leaning"), ("/model/quality", "quality"), ("/map", "latent"),
    ("/map/points", "latent_points"), ("/download/{name}", "download"),
)  # fmt: skip
_PAGE = 100  # rows of a table
_ENTRIES = 1000  # fields for values
_COPIED = 500_000  # characters that were pasted, and come back where they cannot be read
_CARDS = 200  # proposed points that are shown
_DOWNLOADS = {
    "batch.csv": "text/csv", "batch.fasta": "text/plain", "batch.sdf": "chemical/x-mdl-sdfile",
    "all.csv": "text/csv", "all.json": "application/json", "all.sdf": "chemical/x-mdl-sdfile",
}  # fmt: skip


def overview(desk: Desk, request: Request) -> Response:
    """Show how far the campaign is."""
    view = desk.room.view()
    state = standing(view.history, view.aims)
    places: Any = state.on_front if state.satisfies.any() else []
    best = [view.point(int(state.rows[place])) for place in places][:8]
    n_goals, has_front = len(view.aims.goals), len(view.aims.goals) > 1 and state.satisfies.any()
    line = best_line(view.history, view.aims, flat=is_flat(view.info["notes"]))
    warnings = [line] if view.history.n_observed and not state.satisfies.any() else []
    return desk.page(
        request, "overview.html", view=view, best=best, pending=_pending(view), warnings=warnings,
        best_line=line,
        counts=view.info["counts"], training=desk.training(), drawings=desk.room.has_drawings(),
        worker=who_works(desk.room.campaign), has_values=view.history.n_observed > 0,
        fronts=min(n_goals * (n_goals - 1) // 2, 6) if has_front else 0,
    )  # fmt: skip


def batch(desk: Desk, request: Request) -> Response:
    """Show what is to be made, and ask for more."""
    view, drawings = desk.room.view(), desk.room.has_drawings()
    rows = view.awaited
    usual = usual_seconds(view.history, "ask", trains=desk.trains_next())
    return desk.page(
        request, "batch.html", view=view, training=desk.training(), drawings=drawings, usual=usual,
        sequences=view.contents in ("sequences", "texts")
        and are_sequences([view.history.records[row].x for row in rows]),
        pending=desk.room.cards(view, rows[:_CARDS]), n_pending=len(rows),
    )  # fmt: skip


def results(desk: Desk, request: Request) -> Response:
    """Take results."""
    return results_page(desk, request, {}, "")


def results_page(
    desk: Desk, request: Request, form: Mapping[str, Any], problem: str, notes: Sequence[str] = ()
) -> Response:
    """Return the page that takes results, with what was typed and pasted, and what was wrong with it."""
    view = desk.room.view()
    points = _pending(view)[: max(_ENTRIES // len(view.outcomes), 1)]
    typed = {key: str(value) for key, value in form.items() if re.fullmatch(r"v\d{1,9}-\d{1,4}", key)}
    shown = {point["id"] for point in points}
    stale = {int(key[1:].partition("-")[0]) for key, value in typed.items() if value.strip()} - shown
    points += [view.point(row) for row in sorted(stale) if row < len(view.history)]
    return desk.page(
        request, "results.html", status=422 if problem else 200, view=view, points=points, typed=typed,
        n_pending=len(view.awaited), pasted=str(form.get("pasted", ""))[:_COPIED],
        x=view.info["notes"].get("x", "x"), decimal=view.info["notes"].get("decimal", "."),
        chosen={name: str(form.get(name, "")) for name in ("decimal", "replicates", "no_ids", "no_header")},
        problem=problem, problems=notes, most=MAX_BODY,
    )  # fmt: skip


def explore(desk: Desk, request: Request) -> Response:
    """Show all points as a table that is sorted, filtered and paged."""
    view, query = desk.room.view(), request.query_params
    words, kind = query.get("q", "")[:200], query.get("status", "")
    smarts, problem = query.get("smarts", "").strip()[:500], ""
    sort, down = query.get("sort", "id")[:200], query.get("down", "") == "1"
    found = _found(view, words, kind)
    if smarts:
        try:
            found = holding(view.history, found, smarts)
        except DataError as error:
            found, problem = [], str(error)
    rows = _sorted(view, found, sort, down)
    pages = max(1, math.ceil(len(rows) / _PAGE))
    page = _page_number(request, pages)
    shown = [view.point(row) for row in rows[(page - 1) * _PAGE : page * _PAGE]]
    return desk.page(
        request, "explore.html", view=view, points=shown, total=len(rows), page=page, pages=pages, q=words,
        kind=kind, sort=sort, down=down, drawings=desk.room.has_drawings(), smarts=smarts, problem=problem,
    )  # fmt: skip


def _page_number(request: Request, pages: int) -> int:
    """Return the page that is asked for, the first one for what is no number."""
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), pages) if text.isascii() and text.isdecimal() and len(text) < 9 else 1


def _found(view: View, words: str, kind: str) -> list[int]:
    rows = range(len(view.history))
    wanted = words.casefold().split()
    return [
        row
        for row in rows
        if (not kind or view.history.records[row].status == kind)
        and all(word in str(view.history.records[row].x).casefold() or word == str(row) for word in wanted)
    ]


def _sorted(view: View, rows: list[int], sort: str, down: bool) -> list[int]:
    names = {label: name for name, label in view.outcomes}
    if sort in names:
        numbers = {row: view.number(row, names[sort]) for row in rows}
        known = sorted((r for r in rows if numbers[r] == numbers[r]), key=numbers.__getitem__, reverse=down)
        return known + [row for row in rows if numbers[row] != numbers[row]]  # without a value last
    if sort == "told":
        return sorted(rows, key=lambda row: view.history.records[row].told_at or "", reverse=down)
    return rows[::-1] if down else rows


def point(desk: Desk, request: Request) -> Response:
    """Show all that is known of a point."""
    view, row, drawings = desk.room.view(), request.path_params["row"], desk.room.has_drawings()
    if row >= len(view.history):
        return desk.message(request, "There is no such point", [f"The id {row} is not known."], status=404)
    shown = desk.room.cards(view, [row])[0] if view.history.records[row].asked else view.point(row)
    return desk.page(
        request, "point.html", view=view, point=shown, drawings=drawings,
        events=_events(view, [i for i, event in enumerate(view.history.events) if event.row == row]),
    )  # fmt: skip


def model(desk: Desk, request: Request) -> Response:
    """Show the trainings."""
    view = desk.room.view()
    times = [local_time(iso_time(event.time)) for event in view.history.events if event.kind == "train"]
    trainings = [
        (number, time, f"{entry['seconds']:.1f} s", in_words(entry))
        for number, (time, entry) in enumerate(zip(times, view.history.trainings, strict=True), start=1)
    ]
    return desk.page(request, "model.html", trainings=trainings[::-1], training=desk.training())


async def quality(desk: Desk, request: Request) -> Response:
    """Return what the report says of predictions, weights and trainings, as a part of the page."""
    names = ["predictions", "weights", "trainings"]
    found = await _of_model(desk, request, what="sections", names=names)
    return desk.page(request, "quality.html", found=found)


async def leaning(desk: Desk, request: Request) -> Response:
    """Return what the predictions of the points to be made lean on, as parts of their cards."""
    found = await _of_model(desk, request, what="leaning", most=_CARDS)
    return desk.page(request, "leaning.html", found=found)


def latent(desk: Desk, request: Request) -> Response:
    """Show the frame of the map."""
    desk.room.view()  # raises where there is no campaign any more
    return desk.page(request, "map.html")


async def latent_points(desk: Desk, request: Request) -> Response:
    """Return the map of the latent space, each point of which is a link, as a part of the page."""
    found = await _of_model(desk, request, what="map")
    return desk.page(request, "map_points.html", found=found, view=desk.room.view())


async def _of_model(desk: Desk, request: Request, **work: Any) -> dict[str, Any]:
    """Return the answer of a process that has the model, kept until the campaign changes."""
    version = desk.room.view().version  # raises where there is no campaign any more
    known = desk.seen.get(work["what"])
    if known is not None and known[0] == version:
        return known[1]
    answer = await desk.do(request, **work)
    if "error" not in answer:
        desk.seen[work["what"]] = (version, answer)
    return answer


def history(desk: Desk, request: Request) -> Response:
    """Show what happened, the newest first."""
    view = desk.room.view()
    n = len(view.history.events)
    pages = max(1, math.ceil(n / _PAGE))
    page = _page_number(request, pages)
    numbers = range(n)[::-1][(page - 1) * _PAGE : page * _PAGE]
    return desk.page(request, "history.html", events=_events(view, numbers), total=n, page=page, pages=pages)


def _events(view: View, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return what happened in words: who, when and what."""
    return [
        {
            "time": local_time(found.time),
            "what": found.what,
            "id": found.row,
            "value": f"{found.was} is now {found.said}" if found.was else found.said,
            "who": found.by,
            "reason": found.reason,
        }
        for found in happenings(view.history, view.info["authors"], numbers)
    ]


def settings(desk: Desk, request: Request) -> Response:
    """Show the settings."""
    view = desk.room.view()
    parameters = sorted((name, repr(value)[:300]) for name, value in view.info["parameters"].items())
    notes = [(name, text) for name, text in view.info["notes"].items() if not name.startswith("point ")]
    words = setting_words(view.info)
    return desk.page(request, "settings.html", words=words, parameters=parameters, notes=notes)


def drawing(desk: Desk, request: Request) -> Response:
    """Return a point as a picture."""
    return _picture(desk.room.drawing(request.path_params["row"]))


def front(desk: Desk, request: Request) -> Response:
    """Return the picture of a front."""
    return _picture(desk.room.front(request.path_params["number"]))


def plot(desk: Desk, request: Request) -> Response:
    """Return the progress curve."""
    return _picture(desk.room.progress())


def _picture(svg: bytes | None) -> Response:
    if svg is None:
        return PlainTextResponse("no picture", 404)
    # a picture that is opened by itself may have styles of its own, and runs nothing
    policy = {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    }
    return Response(
        svg, media_type="image/svg+xml", headers=policy | {"cache-control": "private, max-age=60"}
    )


def download(desk: Desk, request: Request) -> Response:
    """Return a file, as the shell would write it."""
    name = request.path_params["name"]
    if name not in _DOWNLOADS:
        return desk.message(request, "There is no such file", ["Choose one from a page."], status=404)
    whole, ending = name.startswith("all"), Path(name).suffix
    text = (all_text if whole else pending_text)(desk.room.campaign, ending)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8", "backslashreplace"), media_type=_DOWNLOADS[name], headers=headers)


def _pending(view: View) -> list[dict[str, Any]]:
    return [view.point(row) for row in view.awaited]
