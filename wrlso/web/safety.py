"""What a request has to satisfy before a page sees it, and the headers of every answer."""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["MAX_BODY", "Guard", "is_loopback", "page_of"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

MAX_BODY = 5_000_000  # bytes of a request, uploads among them
_MOST_READ = 20 * MAX_BODY  # of a longer one, so that a browser has sent it and shows the answer
_TOO_LONG = (
    f"That is too much at once: at most {MAX_BODY // 1_000_000} MB. Nothing was recorded. Leave out columns "
    "that hold no results, or enter the table in parts."
)
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>wrlso</title>'
    '<link rel="stylesheet" href="/static/page.css"></head><body><main><h1>This did not work</h1><p>{}</p>'
    '<p><a href="/">Overview</a> · <a href="/results">Results</a></p></main></body></html>'
)
_COOKIE = "wrlso_token"
_CHANGES = "POST"
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # with "no-referrer" browsers send the forms of our own pages with the origin "null"
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses what no page of ours sends: other hosts, other origins, no token, long bodies, changes.

    Parameters
    ----------
    app : ASGI application
    host : str
        The address that is listened on.
    token : str or None
        What a browser has to show once; None on an address that only this machine reaches.
    read_only : bool
        Whether every change is refused.
    """

    def __init__(self, app: App, host: str, token: str | None, read_only: bool) -> None:
        self.app = app
        self.names = {"localhost", host.lower().strip("[]")}
        if not is_loopback(host):
            self.names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.local = is_loopback(host)
        self.token = token
        self.read_only = read_only

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a websocket, which nothing here opens
        headers = _headers(scope)
        guarded = _with_headers(send)
        if headers is None or not self._knows(headers.get("host", "")):
            await _answer(guarded, 421, "This page answers only under its own address.")
        elif not self._is_let_in(headers):
            await self._enter(scope, guarded)
        elif scope["method"] not in ("GET", "HEAD", _CHANGES):
            await _answer(guarded, 405, "This page has no such method.")
        elif scope["method"] != _CHANGES:
            await self.app(scope, receive, guarded)
        elif self.read_only:
            await _answer(
                guarded, 403, "This page was started only for looking: results are entered elsewhere."
            )
        elif not _is_own_origin(headers):
            await _answer(guarded, 403, "The change came from another page, so nothing was changed.")
        else:
            await self._pass_body(scope, headers, receive, guarded)

    def _knows(self, host: str) -> bool:
        """Whether a Host header names this server: against pages that resolve their own name to it."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if "@" in host or "/" in host:
            return False
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback if self.local else True  # a number cannot be resolved to another one

    def _is_let_in(self, headers: dict[str, str]) -> bool:
        if self.token is None:
            return True
        try:
            shown = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return shown is not None and _same(shown.value, self.token)

    async def _enter(self, scope: Any, send: Send) -> None:
        """Let in a browser that shows the token in the address, which is then taken out of it."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and _same(query.get("token", [""])[0], self.token or ""):
            cookie = f"{_COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, "", (b"location", b"/"), (b"set-cookie", cookie.encode()))
            return
        await _answer(
            send, 401, "Open the address that wrlso serve printed: it holds the token of this page."
        )

    async def _pass_body(self, scope: Any, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Read a body of bounded length, and pass it on."""
        length = headers.get("content-length", "0")
        if headers.get("content-encoding", "identity") != "identity":
            await _answer(send, 415, "Send the file as it is, not packed.")
            return
        if not length.isdecimal() or int(length) > _MOST_READ:
            await _answer(send, 413, _TOO_LONG)
            return
        body, read, more = bytearray(), 0, True
        while more and read <= _MOST_READ:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            read += len(message.get("body", b""))
            body += message.get("body", b"") if read <= MAX_BODY else b""
            more = message.get("more_body", False)
        if read > MAX_BODY:
            await _answer(send, 413, _TOO_LONG)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)


def _headers(scope: Any) -> dict[str, str] | None:
    """Return the headers; None where one that matters is there twice."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in ("host", "origin", "content-length"):
            return None
        found[key] = value.decode("latin-1")
    return found


def _is_own_origin(headers: dict[str, str]) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin in (f"http://{headers['host']}", f"https://{headers['host']}")


def _same(shown: str, expected: str) -> bool:
    return bool(expected) and secrets.compare_digest(shown.encode(), expected.encode())


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            added = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in there]
            if b"cache-control" not in there:
                added.append((b"cache-control", b"no-store"))
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return guarded


def page_of(text: str) -> str:
    """Return a page that says one thing, for where no template can be filled."""
    return _PAGE.format(text)


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    kind = (b"content-type", b"text/html; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": page_of(text).encode() if text else b""})
