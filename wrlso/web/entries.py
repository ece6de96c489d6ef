"""Results that are typed, pasted or uploaded: looked at first, and told when all of them can be."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from wrlso.campaign.columns import EXPORTED
from wrlso.campaign.results_table import CHOICES
from wrlso.exceptions import DataError
from wrlso.web.desk import Desk
from wrlso.web.forms import text_of
from wrlso.web.looks import results_page
from wrlso.web.uploads import Line, columns_of, filled_form, lines_of, mended, with_header

__all__ = ["check", "tell"]

_SHOWN = 500  # rows of a preview
_FIELDS = 1500  # cells that can be mended on the page
TYPED, PASTED, UPLOADED = "the form", "the pasted table", "the uploaded file"  # how messages name a table


async def check(desk: Desk, request: Request) -> Response:
    """Show what would be told; nothing that was typed is left out."""
    form = await desk.form(request)
    if draft := str(form.get("draft", "")):
        path = desk.drafts.path(draft)
        found = {path.name: mended(path, form)}
    else:
        found = await _entered(desk, form)
    if len(found) != 1:
        return results_page(desk, request, form, _not_one(found))
    ((label, data),) = found.items()
    try:
        name = desk.drafts.put(with_header(data) if form.get("no_header") else data, label)
        return await _preview(desk, request, form, name)
    except DataError as error:  # of the table as a whole: what was pasted comes back
        notes = getattr(error, "__notes__", [])
        return results_page(desk, request, form, f"Nothing was recorded: {error}", notes)


def _not_one(found: Mapping[str, bytes]) -> str:
    """Say that there is nothing, or more than one table."""
    if not found:
        return "There are no results yet: type a value, paste a table or choose a file."
    words = {TYPED: "values are typed", PASTED: "a table is pasted", UPLOADED: "a file is chosen"}
    several = " and ".join(words[label] for label in found)
    return f"Nothing was recorded: {several}. Send one of them at a time, and take the others out."


async def tell(desk: Desk, request: Request) -> Response:
    """Tell what was looked at; where that has become impossible meanwhile, show why."""
    form = await desk.form(request)
    name = str(form.get("draft", ""))
    path = desk.drafts.path(name)
    options = _options(form, columns_of(path))
    answer = await desk.do(request, what="tell", file=str(path), check=False, **options)
    if "error" in answer:
        return await _preview(desk, request, form, name)
    desk.drafts.drop(name)
    return desk.message(request, "The results are recorded", answer["lines"])


async def _preview(desk: Desk, request: Request, form: Mapping[str, Any], name: str) -> Response:
    path = desk.drafts.path(name)
    columns = columns_of(path)
    options = _options(form, columns)
    answer = await desk.do(request, what="tell", file=str(path), check=True, **options)
    notes, good = answer.get("notes", []), "error" not in answer
    rows = lines_of(path, notes, answer.get("cells", {}), answer.get("recorded", {}))
    said = answer["lines"][:-1] if good else [answer["error"]]
    said = [line[:1].upper() + line[1:] for line in said]
    view = desk.room.view()
    x = view.info["notes"].get("x", "x")
    names = ["id", x, *(name or view.y_name for name in view.aims.names), "status"]
    most = max(_FIELDS // max(len(columns), 1), 1)
    asked = {(line.number, columns[i]) for line in rows[:_SHOWN] for i in line.recorded}
    choices = {(row, column): choice for row, column, choice in options["choices"]}
    return desk.page(
        request, "preview.html", status=200 if good else 422, draft=name, good=good, options=options,
        columns=columns, rows=rows[:_SHOWN], n_rows=len(rows), names=names, x=x, choices=choices,
        unread=_unread(columns, rows, names, " ".join(said)), lines=said,
        mended=[line.number for line in rows[:most] if line.problem or line.wrong],
        settled={f"k{row}-{columns.index(column)}": choices[row, column]
                 for row, column in choices if (row, column) not in asked},
        notes=[note for note in notes if not note.startswith("row ")],
        points=_points(view, columns, rows[:_SHOWN]), decimal=view.info["notes"].get("decimal", "."),
    )  # fmt: skip


def _unread(columns: Sequence[str], rows: Sequence[Line], names: Sequence[str], said: str) -> list[int]:
    """Return the columns that hold something and say nothing to the campaign."""
    known = {name.lower() for name in (*names, *EXPORTED, "well", "name")}
    known |= {f"{name} {side}".lower() for name in names for side in ("sd", "n")}
    return [
        i
        for i, column in enumerate(columns)
        if column.lower() not in known
        and any(line.cells[i] for line in rows)
        and repr(column) not in said.partition("its columns are")[0]  # of a relation or a unit
    ]


def _points(view: Any, columns: tuple[str, ...], rows: list[Any]) -> dict[int, str]:
    """Return the x of rows that name their point by its id only, by the number of the row."""
    if "id" not in columns or view.info["notes"].get("x", "x") in columns:
        return {}
    place, records = columns.index("id"), view.history.records
    ids = {line.number: line.cells[place] for line in rows}
    return {
        number: str(records[int(cell)].x)
        for number, cell in ids.items()
        if cell.isascii() and cell.isdecimal() and int(cell) < len(records)
    }


def _options(form: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return how a table is to be read, and what counts where it contradicts what is recorded."""
    decimal = str(form.get("decimal", ""))
    choices = [
        (int(found[1]), columns[int(found[2])], str(value))
        for key, value in form.items()
        if (found := re.fullmatch(r"k(\d{1,9})-(\d{1,4})", key, re.ASCII))
        and value in CHOICES
        and int(found[2]) < len(columns)
    ]
    return {
        "ids": not form.get("no_ids"),
        "replicates": bool(form.get("replicates")),
        "decimal": decimal if decimal in (".", ",") else "",
        "choices": choices,
        "reason": text_of(form, "reason").strip(),
    }


async def _entered(desk: Desk, form: Any) -> dict[str, bytes]:
    """Return what was uploaded, pasted and typed, as far as there is something."""
    found = {}
    typed: dict[int, dict[int, str]] = {}
    for key, value in form.items():
        if (field := re.fullmatch(r"v(\d{1,9})-(\d{1,4})", key, re.ASCII)) and str(value).strip():
            typed.setdefault(int(field[1]), {})[int(field[2])] = str(value)
    if typed:
        view = desk.room.view()
        columns = [name or view.y_name for name in view.aims.names]
        rows = [
            (str(row), [cells.get(i, "") for i in range(len(columns))])
            for row, cells in sorted(typed.items())
        ]
        found[TYPED] = filled_form(rows, columns)
    if str(form.get("pasted", "")).strip():
        found[PASTED] = str(form["pasted"]).encode("utf-8", "replace")
    file = form.get("file")
    if isinstance(file, UploadFile):
        data = await file.read()
        await form.close()
        if data.strip():
            found[UPLOADED] = data
    return found
