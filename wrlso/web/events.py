"""News for open pages, as server-sent events: the campaign's version and the state of long work."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wrlso.web.desk import Desk

__all__ = ["stream"]

_PAUSE = 1.0  # seconds between two looks
_QUIET = 15  # looks without news after which a sign of life is sent


async def stream(desk: Desk, request: Request) -> Response:
    """Send news as they come until the browser leaves, or the server ends."""

    async def news() -> AsyncIterator[str]:
        before, quiet = "", 0
        while not (desk.is_ending or await request.is_disconnected()):
            now = state(desk)
            if now != before:
                yield f"data: {now}\n\n"
                before, quiet = now, 0
            elif (quiet := quiet + 1) % _QUIET == 0:
                yield ": still here\n\n"
            await asyncio.sleep(_PAUSE)

    return StreamingResponse(news(), media_type="text/event-stream")


def state(desk: Desk) -> str:
    """Return what pages are told, as one line of JSON."""
    job = desk.jobs.current
    work = None
    if job is not None:
        work = {"what": job.what, "state": job.state, "time": job.time, "news": job.news}
    return json.dumps({"version": desk.room.version(), "job": work})
