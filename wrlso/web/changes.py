"""What can be changed on the pages; each goes through the same functions as the commands of the shell."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wrlso.campaign.reasons import usual_seconds
from wrlso.exceptions import DataError
from wrlso.web.desk import NAME_COOKIE, Desk, name_of
from wrlso.web.entries import check, tell
from wrlso.web.forms import id_of, text_of

__all__ = [
    "ACTIONS",
    "accept",
    "ask",
    "cancel",
    "check",
    "name",
    "note",
    "reject",
    "retrain",
    "tell",
    "update",
]

ACTIONS = (
    ("/batch/ask", "ask"), ("/batch/accept", "accept"), ("/batch/reject", "reject"), ("/note", "note"),
    ("/cancel", "cancel"),
    ("/results/check", "check"), ("/results/tell", "tell"), ("/update", "update"),
    ("/model/retrain", "retrain"), ("/name", "name"),
)  # fmt: skip
_MOST = 500  # points of one ask


async def ask(desk: Desk, request: Request) -> Response:
    """Begin to ask for points."""
    text = str((await desk.form(request)).get("n", ""))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST):
        raise DataError(f"the number of points must be from 1 to {_MOST}, got {text[:20]!r}")
    usual = usual_seconds(desk.room.view().history, "ask", trains=desk.trains_next())
    words = f"Choosing {text} point{'s' * (text != '1')}"
    return _begun(desk, request, words, "/batch", usual, what="ask", n=int(text))


async def retrain(desk: Desk, request: Request) -> Response:
    """Begin a training."""
    await desk.form(request)
    usual = usual_seconds(desk.room.view().history, "train")
    return _begun(desk, request, "Training the model", "/model", usual, what="retrain")


def _begun(desk: Desk, request: Request, words: str, back: str, usual: float | None, **work: Any) -> Response:
    if not desk.jobs.begin(words, usual=usual, who=name_of(request), **work):
        said = ["Wait until it has ended, or cancel it."]
        return desk.message(request, "Something is being worked on already", said, status=409)
    return RedirectResponse(back, 303)


async def cancel(desk: Desk, request: Request) -> Response:
    """Stop what is being worked on."""
    await desk.form(request)
    await desk.jobs.cancel()
    return RedirectResponse("/batch", 303)


async def reject(desk: Desk, request: Request) -> Response:
    """Give a point back: rejected with a reason and not asked again, or free to be asked again."""
    form = await desk.form(request)
    reason, again = text_of(form, "reason").strip(), bool(form.get("again"))
    if bool(reason) == again:
        raise DataError("give a reason, or choose that the point may be asked again, not both")
    answer = await desk.do(request, what="release", point=id_of(form), reason=reason, again=again)
    return _said(desk, request, answer, "Nobody waits for this point any more")


async def accept(desk: Desk, request: Request) -> Response:
    """Note who makes a point."""
    form = await desk.form(request)
    answer = await desk.do(request, what="accept", point=id_of(form))
    return _said(desk, request, answer, "Others see that you make this point")


async def update(desk: Desk, request: Request) -> Response:
    """Correct a value."""
    form = await desk.form(request)
    reason = text_of(form, "reason").strip()
    if not reason:
        raise DataError("say why the value is corrected; the old one stays on record")
    answer = await desk.do(
        request, what="update", point=id_of(form), value=_corrected(desk, form), reason=reason
    )
    return _said(desk, request, answer, "The value is corrected")


def _corrected(desk: Desk, form: Any) -> str:
    """Return the new value, as NAME=VALUE where outcomes have names and one was chosen."""
    value, name = text_of(form, "value").strip(), text_of(form, "outcome")
    return f"{name}={value}" if name and name in desk.room.view().aims.names else value


async def note(desk: Desk, request: Request) -> Response:
    """Add a note to a point."""
    form = await desk.form(request)
    answer = await desk.do(request, what="note", point=id_of(form), text=text_of(form, "text"))
    return _said(desk, request, answer, "The note is kept")


async def name(desk: Desk, request: Request) -> Response:
    """Keep the name of who works in this browser."""
    text = text_of(await desk.form(request), "name").strip()
    answer = RedirectResponse("/settings", 303)
    year = 365 * 24 * 3600
    answer.set_cookie(NAME_COOKIE, quote(text), max_age=year, httponly=True, samesite="strict")
    return answer


def _said(desk: Desk, request: Request, answer: dict[str, Any], title: str) -> Response:
    if "error" in answer:
        lines, notes = [answer["error"]], answer["notes"]
        return desk.message(request, "Nothing was recorded", lines, notes, status=422)
    return desk.message(request, title, answer["lines"])
