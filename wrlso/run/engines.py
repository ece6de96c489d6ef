"""What runs the evaluations: executors that users bring, and processes that the loop starts itself.

An engine takes calls and says what becomes of a worker that died or hangs. Of an executor that a user brings
only ``submit`` is used, and of its futures ``done`` and ``result``, and ``add_done_callback`` and ``cancel``
where they exist. What is made here is ended here, and its futures are never cancelled: the thread that serves
a pool of processes dies of setting the result of a cancelled one, and then nobody ends the processes.
"""

import inspect
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, Protocol

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend.utils import kill_process_tree
from joblib.parallel import get_active_backend

from wrlso._utils.validation import check_jobs
from wrlso.exceptions import ExecutorError, ParameterError, ParameterTypeError
from wrlso.run.call import Task
from wrlso.run.dask_engine import DaskEngine, is_dask_backend, is_dask_client, is_dask_executor
from wrlso.run.joblib_engine import JoblibEngine

__all__ = ["Engine", "InProcess", "OwnProcesses", "Pool", "make_engine"]

_logger = logging.getLogger("wrlso.run")
_GRACE = 0.2  # seconds in which processes may end by themselves


class Engine(Protocol):
    """Runs calls, each under a token of its own."""

    n_workers: int | None
    """Calls that run at once; None where the engine does not say."""

    immediate: bool
    """Whether ``submit`` returns only when the call has ended."""

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Begin a call; return a future."""

    def began(self, token: str, job: Any) -> float | None:
        """Return when a worker took a call (of time.monotonic; -inf: not known when), None: not yet."""

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Stop waiting for a call that hangs; return what says whether its worker is free again."""

    def cancel(self, job: Any) -> None:
        """Let a call not begin that nobody wants any more, if that can be and matters."""

    def repair(self, token: str, error: BaseException) -> None:
        """Make good for a worker that died; raise ExecutorError where that cannot be."""

    def renew(self) -> bool:
        """Replace all workers, as they hang; return whether there are new ones, or will be."""

    def close(self, kill: bool) -> None:
        """Free what the engine has made itself; end running calls where it can when ``kill``."""


class _Ended:
    """The future of a call that has ended."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self._result


class InProcess:
    """Calls the objective where the loop runs, one at a time."""

    n_workers: int | None = 1
    immediate = True

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Return the future of a call that has ended."""
        return _Ended(task(x, token))

    def began(self, token: str, job: Any) -> float | None:
        """Never called, as nothing is waited for."""
        return -math.inf

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Never called, as nothing is waited for."""
        return lambda: True

    def cancel(self, job: Any) -> None:
        """A call has ended when it is known."""

    def repair(self, token: str, error: BaseException) -> None:
        """Never called, as there is no worker."""

    def renew(self) -> bool:
        """Never called, as nothing is waited for."""
        return False

    def close(self, kill: bool) -> None:
        """Nothing was made."""


class Pool:
    """An executor that a user brings, or one after another from a function that makes them."""

    immediate = False

    def __init__(self, executor: Any, factory: Callable[[], Any] | None = None) -> None:
        self._executor = executor
        self._factory = factory
        self._of: dict[str, Any] = {}  # the executor that each call went to
        self.n_workers = _count_workers(executor)
        context = getattr(executor, "_mp_context", None)
        self._pickles = context is not None
        if context is not None and context.get_start_method() == "fork":
            # a fork inherits whatever locks the threads of torch and of the loop hold at that moment
            _logger.warning(
                "%s forks a program with threads, and its processes may hang for ever: pass n_jobs, or "
                'mp_context=multiprocessing.get_context("forkserver")',
                type(executor).__name__,
            )

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Submit to the present executor."""
        if self._pickles:
            task.check()
        self._of[token] = self._executor
        return self._executor.submit(task, x, token)

    def began(self, token: str, job: Any) -> float | None:
        """Ask the future, where it can say."""
        running = getattr(job, "running", None)
        return -math.inf if running is None or running() else None

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Cancel, which helps where the call has not begun; another occupies its worker until it ends."""
        self.cancel(job)
        pool = self._of.get(token)
        return lambda: bool(job.done()) or pool is not self._executor

    def cancel(self, job: Any) -> None:
        """Cancel a call of an executor that lives on."""
        cancel = getattr(job, "cancel", None)
        if cancel is not None and self._factory is None:
            cancel()

    def repair(self, token: str, error: BaseException) -> None:
        """Make a new executor in the place of one that is broken."""
        broken = isinstance(error, BrokenExecutor)
        if not broken or self._of.get(token, self._executor) is not self._executor:
            return  # another call has told of the same death before
        if self._factory is None:
            raise ExecutorError(
                f"{type(self._executor).__name__} is broken, as one of its workers died, and is "
                "not made anew by those who were given it: pass a function that makes one, such as "
                "executor=lambda: ProcessPoolExecutor(8, mp_context=context), or n_jobs=8"
            ) from error
        self._replace()

    def renew(self) -> bool:
        """Make a new executor, and end the processes of the old one."""
        if self._factory is not None:
            self._replace()
        return self._factory is not None

    def close(self, kill: bool) -> None:
        """Shut an executor down that was made here."""
        if self._factory is not None:
            _shut_down(self._executor, kill)

    def _replace(self) -> None:
        old, self._executor = self._executor, _made(self._factory)
        if old is not self._executor:  # a reusable one comes back repaired
            _shut_down(old, kill=True)


class OwnProcesses:
    """A pool of one process for each worker: one that dies or hangs takes no other evaluation with it."""

    immediate = False

    def __init__(self, n: int, environment: dict[str, str]) -> None:
        self.n_workers: int | None = n
        self._environment = environment
        self._pools: list[Any] = []
        self._idle: list[Any] = []
        self._ready_at: dict[Any, float] = {}
        self._of: dict[str, Any] = {}

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Submit to a worker that is free, a new one where there is none."""
        task.check()
        pool = self._idle.pop() if self._idle else self._new()
        self._of[token] = pool
        job = pool.submit(task, x, token)
        job.add_done_callback(lambda job: self._free(token, job))
        return job

    def began(self, token: str, job: Any) -> float | None:
        """When the process was ready, as starting it takes seconds on a busy machine."""
        return self._ready_at.get(self._of.get(token))

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """End the process."""
        self._drop(token)
        return lambda: True

    def cancel(self, job: Any) -> None:
        """All processes end with the engine."""

    def repair(self, token: str, error: BaseException) -> None:
        """Forget the process that died."""
        self._drop(token)

    def renew(self) -> bool:
        """Never called, as a process that hangs is ended at once."""
        return True

    def close(self, kill: bool) -> None:
        """End all processes."""
        pools, self._pools, self._idle, self._of = self._pools, [], [], {}
        for pool in pools:
            _end(pool, kill)

    def _new(self) -> Any:
        pool = ProcessPoolExecutor(1, env=self._environment)
        self._pools.append(pool)
        ready = pool.submit(int)
        ready.add_done_callback(lambda ready: self._ready_at.setdefault(pool, time.monotonic()))
        return pool

    def _free(self, token: str, job: Any) -> None:
        """Take note, in whatever thread, of a call that has ended well; a broken worker waits for repair."""
        if job.exception() is None:
            pool = self._of.pop(token, None)
            if pool in self._pools:
                self._idle.append(pool)

    def _drop(self, token: str) -> None:
        pool = self._of.pop(token, None)
        if pool in self._pools:
            self._pools.remove(pool)
            self._ready_at.pop(pool, None)
            if pool in self._idle:
                self._idle.remove(pool)
            _end(pool, kill=True)


def _end(pool: Any, kill: bool) -> None:
    """Let a pool of loky end, at once and with all that its processes have started when ``kill``.

    Its own option for that forgets calls that are not handed over yet, and its thread then dies of them.
    A pool whose processes are found dead cleans up well.
    """
    if kill:
        for process in list(pool._processes.values()):
            kill_process_tree(process)
    pool.shutdown(wait=False)


def make_engine(executor: Any, n_jobs: int | None) -> Engine:
    """Return what runs the evaluations.

    Raises
    ------
    ParameterError, ParameterTypeError
        For both at once, or something that is no executor.
    """
    if executor is not None and n_jobs is not None:
        raise ParameterError("give executor or n_jobs, not both: an executor has its own number of workers")
    if n_jobs is not None:
        return _for_jobs(n_jobs)
    if executor is None:
        return InProcess()
    if is_dask_client(executor) or is_dask_executor(executor):
        return DaskEngine(executor)
    if not inspect.isclass(executor) and callable(getattr(executor, "submit", None)):
        return Pool(executor)
    if not callable(executor):
        raise ParameterTypeError(
            "executor must have a method submit, as those of concurrent.futures have, or be a Dask client or "
            f"a function that makes an executor, got {executor!r:.80}"
        )
    return Pool(_made(executor), executor)


def _for_jobs(n_jobs: int) -> Engine:
    check_jobs(n_jobs)
    backend, _ = get_active_backend()
    if is_dask_backend(backend):
        return DaskEngine(backend.client)
    n = backend.effective_n_jobs(n_jobs)
    # loky's workers are started here, one by one, so that one that dies or hangs can be replaced alone
    if type(backend).__name__ == "LokyBackend" or n == 1:
        return OwnProcesses(n, backend._prepare_worker_env(n))
    return JoblibEngine(n_jobs)


def _made(factory: Any) -> Any:
    executor = factory()
    if not callable(getattr(executor, "submit", None)):
        raise ParameterTypeError(
            f"executor() must return an executor with a method submit, got {executor!r:.80}"
        )
    return executor


def _count_workers(executor: Any) -> int | None:
    for name in ("_max_workers", "num_workers"):  # of concurrent.futures and loky; of mpi4py
        number = getattr(executor, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return None


def _shut_down(executor: Any, kill: bool) -> None:
    shutdown = getattr(executor, "shutdown", None)
    if shutdown is None:
        return
    processes = list((getattr(executor, "_processes", None) or {}).values())
    manager = getattr(executor, "_executor_manager_thread", None)
    known = inspect.signature(shutdown).parameters
    options = {"wait": not kill} | ({"cancel_futures": True} if "cancel_futures" in known else {})
    shutdown(**options)
    if kill:
        if manager is not None:
            manager.join(_GRACE)
        # those of concurrent.futures have no way to end a process that hangs, and wait for it at exit
        for process in processes:
            process.kill()
