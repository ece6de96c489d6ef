"""Operations in processes of their own: short ones are waited for, long ones are watched and cancelled."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Job", "Jobs"]

_AT_ONCE = 2  # short operations that run at one time, and processes that are kept: each takes memory
_WAITING = 12  # short operations that wait; more are refused
_PATIENCE = 5.0  # seconds until a process that was asked to stop is killed
_NEWS = 300  # characters of the last line that are shown
_USES = 200  # operations after which a process is replaced, so that its memory stays bounded
_LINE = 2**24  # bytes of an answer


class Worker:
    """A process that has loaded the library, and does one operation after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("a process was started without pipes")
        self.process = process
        self._requests, self._answers = process.stdin, process.stdout
        self.news: str = ""  # the last line that it wrote while it worked
        self.uses: int = 0
        self.is_busy: bool = False
        self._listening = asyncio.create_task(_follow(process.stderr, self))

    @classmethod
    async def start(cls) -> "Worker":
        """Start a process."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "wrlso.web.worker")
        return cls(
            await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=_LINE)
        )

    @property
    def is_usable(self) -> bool:
        """Whether it takes another operation."""
        return self.process.returncode is None and not self.is_busy and self.uses < _USES

    async def do(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do an operation and return its answer: "lines", or "error" with "notes"."""
        self.news, self.uses, self.is_busy = "", self.uses + 1, True
        with suppress(ConnectionError):
            self._requests.write(json.dumps(request).encode() + b"\n")
            await self._requests.drain()
        line = await self._answers.readline()
        if not line.endswith(b"\n"):
            await self.end()
            last = self.news or "it said nothing"
            return {"error": f"the process that worked on it ended early: {last}", "notes": []}
        self.is_busy = False
        return dict(json.loads(line))

    async def end(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), _PATIENCE)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self._listening


@dataclass
class Job:
    """A long operation.

    Attributes
    ----------
    what : str
        In words.
    state : {"running", "done", "failed", "cancelled"}
    lines, notes : list of str
        What it said at the end, and details of an error.
    usual : float or None
        Seconds that it takes, as far as former ones tell.
    """

    what: str
    usual: float | None = None
    started: float = field(default_factory=time.monotonic)
    state: str = "running"
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: float | None = None
    worker: Worker | None = None

    @property
    def seconds(self) -> int:
        """How long it has taken so far."""
        return int((self.ended or time.monotonic()) - self.started)

    @property
    def time(self) -> str:
        """How long it has taken, and takes, in words."""
        about = "" if self.usual is None else f" of about {max(round(self.usual), 1)} s"
        return f"for {self.seconds} s{about}"

    @property
    def news(self) -> str:
        """The last line that its process wrote."""
        return "" if self.worker is None else self.worker.news


class Jobs:
    """The operations of one server on one campaign."""

    def __init__(self, campaign: str, parts: dict[str, str | None]) -> None:
        self.request: dict[str, Any] = {"campaign": campaign, **parts}
        self.current: Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._idle: list[Worker] = []

    async def warm(self) -> None:
        """Have a process ready, so that the next operation need not wait for its start."""
        if not self._idle:
            self._idle.append(await Worker.start())

    async def close(self) -> None:
        """End all that works."""
        await self.cancel()
        while self._idle:
            await self._idle.pop().end()

    async def do(self, **request: Any) -> dict[str, Any]:
        """Do a short operation and return its answer: "lines", or "error" with "notes"."""
        if self._waiting >= _WAITING:
            return {"error": "too many changes at one time; nothing was recorded, try again", "notes": []}
        self._waiting += 1
        try:
            async with self._places:
                worker = await self._take()
                try:
                    return await worker.do(self.request | request)
                finally:
                    await self._put_back(worker)
        finally:
            self._waiting -= 1

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_usable:
                return worker
            await worker.end()
        return await Worker.start()

    async def _put_back(self, worker: Worker) -> None:
        if worker.is_usable and len(self._idle) < _AT_ONCE:
            self._idle.append(worker)
        else:
            await worker.end()

    def begin(self, words: str, *, usual: float | None = None, **request: Any) -> bool:
        """Begin a long operation; False while another one runs."""
        if self.current is not None and self.current.state == "running":
            return False
        self.current = Job(words, usual)
        self._task = asyncio.create_task(self._run(self.current, request))
        return True

    async def cancel(self) -> None:
        """Stop the long operation and wait for its end; the campaign is as it was before."""
        job, task = self.current, self._task
        if job is None or task is None or job.state != "running":
            return
        job.state = "cancelled"
        if job.worker is not None:
            await job.worker.end()
        await task

    async def _run(self, job: Job, request: dict[str, Any]) -> None:
        worker = await self._take()
        job.worker = worker
        if job.state == "running":  # not cancelled before there was a process
            answer = await worker.do(self.request | request)
        await worker.end()  # what takes much memory ends with its process
        job.ended = time.monotonic()
        if job.state == "cancelled":
            job.lines = ["Cancelled. The campaign is as it was."]
            return
        job.state = "failed" if "error" in answer else "done"
        job.lines = answer.get("lines") or [answer["error"]]
        job.notes = answer.get("notes", [])
        await self.warm()


async def _follow(stream: asyncio.StreamReader, worker: Worker) -> None:
    """Keep the last line that a process writes; progress bars end theirs with a carriage return."""
    rest = ""
    while chunk := await stream.read(4096):
        rest += chunk.decode("utf-8", "replace").replace("\r", "\n")
        *lines, rest = rest[-10_000:].split("\n")
        for line in (*lines, rest):
            if line.strip():
                worker.news = "".join(c for c in line.strip() if c.isprintable())[:_NEWS]
