"""Evaluations on whatever backend joblib's ``parallel_config`` has chosen."""

import math
import threading
from collections.abc import Callable
from typing import Any

from joblib import Parallel
from joblib.parallel import BatchedCalls

from wrlso.run.call import Task

__all__ = ["JoblibEngine"]


class JoblibEngine:
    """Uses a backend as :class:`joblib.Parallel` does, but for handing it one call after the other.

    ``Parallel`` itself collects as many calls as there are workers before it begins any of them.
    """

    immediate = False

    def __init__(self, n_jobs: int) -> None:
        self._parallel = Parallel(n_jobs=n_jobs)
        self._parallel.__enter__()
        self._backend: Any = self._parallel._backend
        self.n_workers: int | None = self._backend.effective_n_jobs(n_jobs)
        self._backend.start_call()
        self._renewals = 0

    def submit(self, task: Task, x: Any, token: str) -> "_Job":
        """Hand the backend one call."""
        job = _Job(self._backend)
        calls = BatchedCalls([(task, (x, token), {})], self._backend.get_nested_backend())
        job.handle = self._backend.submit(calls, job.receive)
        return job

    def began(self, token: str, job: "_Job") -> float | None:
        """Not known."""
        return -math.inf

    def give_up(self, token: str, job: "_Job") -> Callable[[], bool]:
        """Wait in the background, as joblib has no way to end one call."""
        renewals = self._renewals
        return lambda: job.done() or self._renewals > renewals

    def cancel(self, job: "_Job") -> None:
        """The backend ends with the engine."""

    def repair(self, token: str, error: BaseException) -> None:
        """The backend's own affair."""

    def renew(self) -> bool:
        """Begin with new workers."""
        self._backend.abort_everything(ensure_ready=True)
        self._renewals += 1
        return True

    def close(self, kill: bool) -> None:
        """Let the backend free its workers."""
        if kill:
            self._backend.abort_everything(ensure_ready=False)
        self._backend.stop_call()
        self._parallel.__exit__(None, None, None)


class _Job:
    """A future that a backend's callback completes."""

    def __init__(self, backend: Any) -> None:
        self.handle: Any = None
        self._backend = backend
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Any], Any]] = []
        self._answer: tuple[Any, ...] | None = None

    def receive(self, out: Any) -> None:
        with self._lock:
            self._answer = (out,)
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        with self._lock:
            if self._answer is None:
                self._callbacks.append(callback)
                return
        callback(self)

    def done(self) -> bool:
        return self._answer is not None

    def result(self) -> Any:
        if self._answer is None:
            raise RuntimeError("the call has not ended")
        return self._backend.retrieve_result_callback(self._answer[0])[0]
