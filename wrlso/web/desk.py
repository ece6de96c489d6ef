"""What every page needs: the room, the jobs, drafts, and how an answer is made."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse

from wrlso._state.training_due import training_due_in
from wrlso.exceptions import DataError
from wrlso.storage.lock import author
from wrlso.web.jobs import Jobs
from wrlso.web.room import Room
from wrlso.web.uploads import Drafts

__all__ = ["NAME_COOKIE", "Desk", "name_of"]

MENU = (
    ("/", "Overview"), ("/batch", "Next batch"), ("/results", "Results"), ("/explore", "Explore"),
    ("/model", "Model"), ("/history", "History"), ("/settings", "Settings"),
)  # fmt: skip
_FIELDS = 2000  # of a form
NAME_COOKIE = "wrlso_name"


def name_of(request: Request) -> str:
    """Return the name that was entered in this browser; "" where none was."""
    return unquote(request.cookies.get(NAME_COOKIE, ""))[:100]


@dataclass
class Desk:
    """One server's state."""

    room: Room
    jobs: Jobs
    drafts: Drafts
    templates: Environment
    secret: str  # what forms of ours hold, and other pages cannot read
    read_only: bool
    seen: dict[str, tuple[str, dict[str, Any]]] = field(
        default_factory=dict
    )  # what the model says, by version
    is_ending: bool = False  # whether the server waits for its last answers

    def page(self, request: Request, name: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a page from its template."""
        version = self.room.version()
        text = self.templates.get_template(name).render(
            menu=MENU, path=request.url.path, version=version, secret=self.secret, job=self.jobs.current,
            read_only=self.read_only, campaign=self.room.campaign.absolute().name,
            name=name_of(request) or author(), **facts,
        )  # fmt: skip
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status_code=status)

    async def do(self, request: Request, **work: Any) -> dict[str, Any]:
        """Do a short operation in the name of who has sent a request."""
        return await self.jobs.do(who=name_of(request), **work)

    def message(
        self, request: Request, title: str, lines: list[str], notes: Sequence[str] = (), *, status: int = 200
    ) -> HTMLResponse:
        """Return a page that says something."""
        return self.page(request, "message.html", title=title, lines=lines, notes=notes, status=status)

    async def form(self, request: Request) -> FormData:
        """Return a form that one of our pages has sent; raises DataError for any other."""
        form = await request.form(max_files=1, max_fields=_FIELDS, max_part_size=5_000_000)
        if not secrets.compare_digest(str(form.get("secret", "")).encode(), self.secret.encode()):
            await form.close()
            raise DataError("this form is from before the page was started again: go back, reload, try again")
        return form

    def _training_due(self) -> int | None:
        view = self.room.view()
        history = view.history
        every = view.info["parameters"].get("retrain_every")
        return training_due_in(every, history.n_observed, history.n_at_training, len(history.trainings))

    def trains_next(self) -> bool:
        """Whether the next ask trains."""
        return self._training_due() == 0

    def training(self) -> str:
        """Say when the next training is due."""
        left = self._training_due()
        if left is None:
            return "only when you start it"
        return f"after {left} new value{'s' * (left != 1)}" if left else "with the next batch"
