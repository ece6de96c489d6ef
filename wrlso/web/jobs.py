"""Operations in processes of their own: short ones are waited for, long ones are watched and cancelled."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Job", "Jobs"]

_AT_ONCE = 2  # short operations that run at one time: each loads a model
_WAITING = 12  # short operations that wait; more are refused
_PATIENCE = 5.0  # seconds until a process that was asked to stop is killed
_NEWS = 300  # characters of the last line that are shown


@dataclass
class Job:
    """A long operation.

    Attributes
    ----------
    what : str
        In words.
    state : {"running", "done", "failed", "cancelled"}
    news : str
        The last line that the process wrote while it worked.
    lines, notes : list of str
        What it said at the end, and details of an error.
    """

    what: str
    started: float = field(default_factory=time.monotonic)
    state: str = "running"
    news: str = ""
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: float | None = None

    @property
    def seconds(self) -> int:
        """How long it has taken so far."""
        return int((self.ended or time.monotonic()) - self.started)


class Jobs:
    """The operations of one server on one campaign."""

    def __init__(self, campaign: str, parts: dict[str, str | None]) -> None:
        self.request = {"campaign": campaign, **parts}
        self.current: Job | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def do(self, **request: Any) -> dict[str, Any]:
        """Do a short operation and return its answer: "lines", or "error" with "notes"."""
        if self._waiting >= _WAITING:
            return {"error": "too many changes at one time; nothing was recorded, try again", "notes": []}
        self._waiting += 1
        try:
            async with self._places:
                process = await self._start()
                out, err = await process.communicate(json.dumps(self.request | request).encode())
        finally:
            self._waiting -= 1
        return _answer(out, err.decode("utf-8", "replace"))

    def begin(self, words: str, **request: Any) -> bool:
        """Begin a long operation; False while another one runs."""
        if self.current is not None and self.current.state == "running":
            return False
        self.current = Job(words)
        self._task = asyncio.create_task(self._run(self.current, request))
        return True

    async def cancel(self) -> None:
        """Stop the long operation and wait for its end; the campaign is as it was before."""
        job, task = self.current, self._task
        if job is None or task is None or job.state != "running":
            return
        job.state = "cancelled"
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
        if not done and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await task

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "wrlso.web.worker")
        return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)

    async def _run(self, job: Job, request: dict[str, Any]) -> None:
        process = self._process = await self._start()
        if job.state != "running":  # cancelled before there was a process
            process.kill()
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("a process was started without pipes")
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(self.request | request).encode())
            process.stdin.write_eof()
        _, out = await asyncio.gather(_follow(process.stderr, job), process.stdout.read())
        await process.wait()
        job.ended = time.monotonic()
        if job.state == "cancelled":
            job.lines = ["Cancelled. The campaign is as it was."]
            return
        answer = _answer(out, job.news)
        job.state = "failed" if "error" in answer else "done"
        job.lines = answer.get("lines") or [answer["error"]]
        job.notes = answer.get("notes", [])


async def _follow(stream: asyncio.StreamReader, job: Job) -> None:
    """Keep the last line that a process writes; progress bars end theirs with a carriage return."""
    rest = ""
    while chunk := await stream.read(4096):
        rest += chunk.decode("utf-8", "replace").replace("\r", "\n")
        *lines, rest = rest[-10_000:].split("\n")
        for line in (*lines, rest):
            if line.strip():
                job.news = "".join(c for c in line.strip() if c.isprintable())[:_NEWS]


def _answer(out: bytes, err: str) -> dict[str, Any]:
    try:
        answer = json.loads(out)
    except ValueError:
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        return {"error": f"the process that worked on it ended early: {last[:_NEWS]}", "notes": []}
    return dict(answer)
