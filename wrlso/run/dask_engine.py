"""Evaluations on a Dask cluster."""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wrlso.exceptions import ExecutorError
from wrlso.run.call import Task

__all__ = ["DaskEngine", "is_dask_client", "is_dask_executor"]

_PATIENCE = 120.0  # seconds to wait for the successor of a worker that was ended; later calls queue up for it


def is_dask_client(executor: Any) -> bool:
    """Whether this is a Dask client."""
    return all(callable(getattr(executor, name, None)) for name in ("get_executor", "submit", "nthreads"))


def is_dask_executor(executor: Any) -> bool:
    """Whether ``Client.get_executor`` made this."""
    return is_dask_client(getattr(executor, "_client", None))


class DaskEngine:
    """Submits to the client itself, because only the client lets the caller name a call.

    Dask's scheduler repeats a call whose worker died. Each call therefore asks the scheduler first whether it
    has begun before, so that no evaluation runs twice. ``pure`` is always off: results of earlier calls are
    not reused.

    Parameters
    ----------
    executor : distributed.Client or its executor
        The executor's options (workers, resources, …) are kept, except ``pure`` and ``retries``.
    """

    immediate = False

    def __init__(self, executor: Any) -> None:
        self._client = executor if is_dask_client(executor) else executor._client
        options = {} if executor is self._client else dict(getattr(executor, "_kwargs", {}))
        self._options = {name: value for name, value in options.items() if name not in ("pure", "retries")}
        self._tasks: dict[int, Task] = {}
        self._restarts: dict[str, float] = {}  # when each worker was ended that has no successor yet
        threads = self._client.nthreads()
        if "workers" in self._options:
            chosen = self._options["workers"]
            chosen = [chosen] if isinstance(chosen, str) else chosen
            threads = {name: n for name, n in threads.items() if name in chosen} or threads
        self.n_workers: int | None = sum(threads.values()) or None

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Submit, with the token as the key."""
        once = self._tasks.setdefault(id(task), Task(task.objective, once=True))
        try:
            return self._client.submit(once, x, token, key=_key(token), pure=False, **self._options)
        except Exception as error:
            raise once.error or error from error

    def began(self, token: str, job: Any) -> float | None:
        """Ask the scheduler whether a worker has the call."""
        return None if self._worker_of(token) is None else -math.inf

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Cancel the call, and end its worker unless the worker has several threads."""
        worker = self._worker_of(token)
        self.cancel(job)
        if worker is None:
            return lambda: True
        if self._client.nthreads().get(worker) != 1:
            return lambda: False
        # the worker's nanny starts another, which takes seconds
        with suppress(Exception):
            self._client.run(os._exit, 1, workers=[worker], on_error="ignore")
        self._restarts[worker] = time.monotonic()
        return lambda: self._is_back(worker)

    def cancel(self, job: Any) -> None:
        """Make the scheduler forget the call."""
        with suppress(Exception):
            job.cancel()

    def repair(self, token: str, error: BaseException) -> None:
        """Do nothing while the client runs: nannies replace workers that died."""
        if getattr(self._client, "status", "running") != "running":
            raise ExecutorError(
                f"the Dask client is {self._client.status}, expected it to run: {error}. Give a new client"
            ) from error

    def renew(self) -> bool:
        """Say whether successors of ended workers are starting."""
        return bool(self._restarts)

    def close(self, kill: bool) -> None:
        """Do nothing: the cluster is the user's."""

    def _worker_of(self, token: str) -> str | None:
        for worker, keys in self._client.processing().items():
            if any(str(key) == _key(token) for key in keys):
                return str(worker)
        return None

    def _is_back(self, worker: str) -> bool:
        """Whether another worker has taken the place of an ended one."""
        threads = self._client.nthreads()
        back = worker not in threads and sum(threads.values()) >= (self.n_workers or 1)
        if back or time.monotonic() - self._restarts.get(worker, 0.0) > _PATIENCE:
            self._restarts.pop(worker, None)
        return worker not in self._restarts


def _key(token: str) -> str:
    return f"wrlso-{token}"
