"""What can be changed on the pages; each goes through the same functions as the commands of the shell."""

from typing import Any
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wrlso.campaign.reasons import usual_seconds
from wrlso.exceptions import DataError
from wrlso.web.desk import NAME_COOKIE, Desk, name_of
from wrlso.web.uploads import filled_form, lines_of, mended

__all__ = ["ACTIONS", "ask", "cancel", "check", "name", "note", "reject", "retrain", "tell", "update"]

ACTIONS = (
    ("/batch/ask", "ask"), ("/batch/reject", "reject"), ("/note", "note"), ("/cancel", "cancel"),
    ("/results/check", "check"), ("/results/tell", "tell"), ("/update", "update"),
    ("/model/retrain", "retrain"), ("/name", "name"),
)  # fmt: skip
_MOST = 500  # points of one ask
_LENGTH = 2000  # characters of a text
_MENDED = 100  # rows that can be mended on the page


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


async def check(desk: Desk, request: Request) -> Response:
    """Show what would be told."""
    form = await desk.form(request)
    name = desk.drafts.put(await _table(desk, form))
    options = _options(form)
    answer = await desk.do(request, what="tell", file=str(desk.drafts.path(name)), check=True, **options)
    notes = answer.get("notes", [])
    columns, rows = lines_of(desk.drafts.path(name), notes, answer.get("cells", {}))
    good = "error" not in answer
    return desk.page(
        request, "preview.html", status=200 if good else 422, draft=name, good=good, options=options,
        columns=columns, rows=rows[:500], n_rows=len(rows),
        mended=[line.number for line in rows[:_MENDED] if line.problem or line.wrong],
        lines=answer["lines"][:-1] if good else [answer["error"]],
        notes=[note for note in notes if not note.startswith("row ")],
    )  # fmt: skip


async def tell(desk: Desk, request: Request) -> Response:
    """Tell what was looked at."""
    form = await desk.form(request)
    name = str(form.get("draft", ""))
    path = str(desk.drafts.path(name))
    answer = await desk.do(request, what="tell", file=path, check=False, **_options(form))
    if "error" not in answer:
        desk.drafts.drop(name)
    return _said(desk, request, answer, "The results are recorded")


async def reject(desk: Desk, request: Request) -> Response:
    """Release a point, with a reason so that it is not asked again."""
    form = await desk.form(request)
    reason = _text(form, "reason")
    if not reason.strip() and not form.get("again"):
        raise DataError("give a reason, or choose that the point may be asked again")
    answer = await desk.do(request, what="release", point=_id(form), reason=reason.strip())
    return _said(desk, request, answer, "The point is no longer waited for")


async def update(desk: Desk, request: Request) -> Response:
    """Correct a value."""
    form = await desk.form(request)
    reason = _text(form, "reason").strip()
    if not reason:
        raise DataError("say why the value is corrected; the old one stays on record")
    answer = await desk.do(request, what="update", point=_id(form), value=_text(form, "value"), reason=reason)
    return _said(desk, request, answer, "The value is corrected")


async def note(desk: Desk, request: Request) -> Response:
    """Write a note on a point."""
    form = await desk.form(request)
    answer = await desk.do(request, what="note", point=_id(form), text=_text(form, "text"))
    return _said(desk, request, answer, "The note is kept")


async def name(desk: Desk, request: Request) -> Response:
    """Keep the name of who works in this browser."""
    text = _text(await desk.form(request), "name").strip()
    answer = RedirectResponse("/settings", 303)
    year = 365 * 24 * 3600
    answer.set_cookie(NAME_COOKIE, quote(text), max_age=year, httponly=True, samesite="strict")
    return answer


def _said(desk: Desk, request: Request, answer: dict[str, Any], title: str) -> Response:
    if "error" in answer:
        lines, notes = [answer["error"]], answer["notes"]
        return desk.message(request, "Nothing was recorded", lines, notes, status=422)
    return desk.message(request, title, answer["lines"])


def _id(form: Any) -> str:
    text = str(form.get("id", ""))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise DataError(f"a point is named by its id, a number, got {text[:20]!r}")
    return text


def _text(form: Any, name: str) -> str:
    text = str(form.get(name, ""))
    if len(text) > _LENGTH:
        raise DataError(f"the text is too long: at most {_LENGTH} characters")
    return text


def _options(form: Any) -> dict[str, Any]:
    decimal = str(form.get("decimal", ""))
    return {
        "ids": not form.get("no_ids"),
        "replicates": bool(form.get("replicates")),
        "decimal": decimal if decimal in (".", ",") else "",
    }


async def _table(desk: Desk, form: Any) -> bytes:
    """Return what was uploaded, pasted, mended or typed, the first of them that there is."""
    file, pasted = form.get("file"), str(form.get("pasted", ""))
    if isinstance(file, UploadFile) and (data := await file.read()).strip():
        await form.close()
        return data
    if pasted.strip():
        return pasted.encode("utf-8", "replace")
    if draft := str(form.get("draft", "")):
        return mended(desk.drafts.path(draft), form)
    view = desk.room.view()
    columns = [name or view.y_name for name in view.aims.names]
    rows = [
        (row, [str(form.get(f"v{row}-{i}", "")) for i in range(len(columns))])
        for row in (str(int(row)) for row in view.history.rows_with("pending"))
    ]
    return filled_form(rows, columns)
