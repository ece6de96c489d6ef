"""The application: its addresses, and the server that runs it."""

import asyncio
import secrets
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wrlso.campaign.advice import read_on_page
from wrlso.exceptions import ParameterError, StorageError, WrlsoError
from wrlso.storage.info import campaign_settings
from wrlso.web import changes, looks
from wrlso.web.desk import Desk
from wrlso.web.events import stream
from wrlso.web.jobs import Jobs
from wrlso.web.room import Room
from wrlso.web.safety import Guard, is_loopback, page_of
from wrlso.web.uploads import Drafts

__all__ = ["make_app", "serve"]

_HERE = Path(__file__).parent


def make_app(
    campaign: Path,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    read_only: bool = False,
    model: str | None = None,
    feasible: str | None = None,
) -> Guard:
    """Return the page of a campaign as an ASGI application.

    Parameters
    ----------
    campaign : Path
        The campaign's folder.
    host : str, default="127.0.0.1"
        The address that it is served on.
    token : str, default=None
        What browsers have to show; None only where nobody but this machine reaches ``host``.
    read_only : bool, default=False
        Whether every change is refused.
    model, feasible : str, default=None
        Code of your own, as the commands of the shell take it.

    Raises
    ------
    StorageError
        When there is no campaign.
    ParameterError
        When other machines could reach a page without a token.
    """
    if token is None and not is_loopback(host):
        raise ParameterError(f"host {host!r} is reached by other machines: a token is needed")
    return _app(_desk(campaign, read_only, {"model": model, "feasible": feasible}), host, token)


def _desk(campaign: Path, read_only: bool, parts: dict[str, str | None]) -> Desk:
    campaign_settings(campaign)
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    jobs = Jobs(str(campaign.absolute()), parts)
    return Desk(Room(campaign), jobs, Drafts(), templates, secrets.token_urlsafe(32), read_only)


def _app(desk: Desk, host: str, token: str | None) -> Guard:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if not desk.read_only:
            await desk.jobs.warm()
        # what draws takes seconds to import: before the first page is looked at
        await asyncio.get_running_loop().run_in_executor(None, desk.room.warm)
        yield
        await desk.jobs.close()
        desk.drafts.close()

    app = Starlette(routes=_routes(desk), lifespan=lifespan, exception_handlers=_handlers(desk))
    return Guard(app, host, token, desk.read_only)


def _routes(desk: Desk) -> list[Any]:
    def bound(function: Callable[..., Any]) -> Any:
        if asyncio.iscoroutinefunction(function):

            async def waited(request: Request) -> Response:
                with read_on_page():
                    return await function(desk, request)  # type: ignore[no-any-return]

            return waited

        def direct(request: Request) -> Response:
            with read_on_page():
                return function(desk, request)  # type: ignore[no-any-return]

        return direct

    shown = [(name, getattr(looks, function)) for name, function in looks.PAGES]
    routes = [Route(name, bound(function)) for name, function in shown]
    routes += [Route(name, bound(getattr(changes, f)), methods=["POST"]) for name, f in changes.ACTIONS]
    routes.append(Route("/events", bound(stream)))
    return [*routes, Mount("/static", StaticFiles(directory=_HERE / "static"))]


def _handlers(desk: Desk) -> dict[Any, Any]:
    async def expected(request: Request, error: Exception) -> Response:
        notes = list(getattr(error, "__notes__", []))
        return desk.message(request, "This did not work", [str(error)], notes, status=400)

    async def vanished(request: Request, error: Exception) -> Response:
        said = [
            "Nothing can be shown or recorded.",
            "Put it back to its place, and reload this page.",
            str(error),
        ]
        return desk.message(request, "The campaign cannot be read", said, status=503)

    async def missing(request: Request, error: Exception) -> Response:
        return desk.message(request, "There is no such page", ["Choose one from the menu."], status=404)

    async def broken(request: Request, error: Exception) -> Response:
        text = page_of("This page failed. Nothing was changed. Reload it.")
        return HTMLResponse(text, status_code=500)

    async def refused(request: Request, error: Exception) -> Response:
        status, said = getattr(error, "status_code", 400), str(getattr(error, "detail", error))
        return desk.message(request, "This was refused", [f"{said.rstrip('.')}."], status=status)

    return {StorageError: vanished, WrlsoError: expected, HTTPException: refused, 404: missing, 500: broken}


def serve(
    campaign: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    browser: bool = True,
    read_only: bool = False,
    model: str | None = None,
    feasible: str | None = None,
    say: Callable[[str], Any] = print,
) -> None:
    """Serve the page of a campaign until Ctrl-C; raises ParameterError where the address is not free."""
    _check_free(host, port)
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    desk = _desk(campaign, read_only, {"model": model, "feasible": feasible})
    app = _app(desk, host, token)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            say(f"{campaign}: {address}  (Ctrl-C ends it)")
            if browser:  # it would find nothing before
                webbrowser.open(address)

        def handle_exit(self, sig: int, frame: Any) -> None:
            desk.is_ending = True  # streams of events would not end by themselves
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5, ws="none"
    )
    with suppress(KeyboardInterrupt):
        Server(config).run()


def _check_free(host: str, port: int) -> None:
    """Raise ParameterError for an address that this machine does not have, or that is in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as place:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
    except OSError as error:
        raise ParameterError(
            f"the page cannot be served on {host}, port {port}: {error.strerror or error}; "
            "another --port may be free"
        ) from None
