"""What runs the evaluations: an executor that the user gives, or processes that the loop starts itself.

An engine runs calls, and replaces workers that die or hang where it can. Of a user's executor it uses only
``submit``; of its futures ``done`` and ``result``, and ``add_done_callback``, ``cancel`` and ``running``
where they exist. The loop's own processes are pools of loky with one process each. ``pebble.ProcessPool``
cannot replace them: its workers run the user's script again, and the programs that a killed worker has
started live on.
"""

import inspect
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, Protocol

from joblib import Parallel, ParallelBackendBase
from joblib.parallel import get_active_backend
from loky import ProcessPoolExecutor, cpu_count

from wrlso._utils.validation import check_jobs
from wrlso.exceptions import ExecutorError, ParameterError, ParameterTypeError
from wrlso.run.call import Task
from wrlso.run.dask_engine import DaskEngine, is_dask_client, is_dask_executor

__all__ = ["Engine", "InProcess", "OwnProcesses", "Pool", "make_engine"]

_logger = logging.getLogger("wrlso.run")
_GRACE = 0.2  # seconds in which processes may end by themselves
_SUPPORTED = (
    "an executor of concurrent.futures, loky.get_reusable_executor(), a Dask client, "
    "or a function that makes one"
)
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip


class Engine(Protocol):
    """Runs calls. Each call has a token, a name that no other call has."""

    n_workers: int | None
    """Number of calls that run at once; None when it is not known."""

    immediate: bool
    """Whether ``submit`` returns only when the call has ended."""

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Begin a call; return its future."""

    def began(self, token: str, job: Any) -> float | None:
        """Return the time.monotonic at which a worker took the call; -inf: not known; None: not yet."""

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Stop waiting for a call that hangs; return what says whether its worker is free again."""

    def cancel(self, job: Any) -> None:
        """Cancel a call that has not begun, if the engine outlives it."""

    def repair(self, token: str, error: BaseException) -> None:
        """Replace a worker that died; raise ExecutorError if the engine cannot."""

    def renew(self) -> bool:
        """Replace all workers, because all hang; return whether new ones exist or are starting."""

    def close(self, kill: bool) -> None:
        """Shut down what the engine has started; with ``kill`` end running calls too, where possible."""


class _Ended:
    """The future of a call that has ended already."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self._result


class InProcess:
    """Calls the objective in the thread of the loop, so that no call is ever waited for."""

    n_workers: int | None = 1
    immediate = True

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Call the objective; return the future of the ended call."""
        return _Ended(task(x, token))

    def began(self, token: str, job: Any) -> float | None:
        """Return -inf."""
        return -math.inf

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Say that the worker is free."""
        return lambda: True

    def cancel(self, job: Any) -> None:
        """Do nothing: the call has ended."""

    def repair(self, token: str, error: BaseException) -> None:
        """Do nothing: no worker exists."""

    def renew(self) -> bool:
        """Say that no worker can be replaced."""
        return False

    def close(self, kill: bool) -> None:
        """Do nothing: nothing was started."""


class Pool:
    """Submits to the user's executor, or to executors that the user's function makes."""

    immediate = False

    def __init__(self, executor: Any, factory: Callable[[], Any] | None = None) -> None:
        self._executor = executor
        self._factory = factory
        self._of: dict[str, Any] = {}  # the executor of each call
        self.n_workers: int | None = _count_workers(executor)
        context = getattr(executor, "_mp_context", None)
        self._pickles = context is not None
        if context is not None and context.get_start_method() == "fork":
            # a fork inherits the locks that the threads of torch and of the loop hold at that moment
            _logger.warning(
                "%s forks a program that has threads, so its processes may hang for ever: pass n_jobs, or "
                'mp_context=multiprocessing.get_context("forkserver")',
                type(executor).__name__,
            )

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Submit to the current executor."""
        if self._pickles:
            task.check()
        self._of[token] = self._executor
        return self._executor.submit(task, x, token)

    def began(self, token: str, job: Any) -> float | None:
        """Ask the future, if it has a method ``running``."""
        running = getattr(job, "running", None)
        return -math.inf if running is None or running() else None

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Cancel the call; if it has begun, it occupies its worker until it ends."""
        self.cancel(job)
        pool = self._of.get(token)
        return lambda: bool(job.done()) or pool is not self._executor

    def cancel(self, job: Any) -> None:
        """Cancel a call of an executor that the user keeps."""
        # Never cancel in one made here: setting the result of a cancelled future kills the pool's manager
        # thread and leaks its processes.
        cancel = getattr(job, "cancel", None)
        if cancel is not None and self._factory is None:
            cancel()

    def repair(self, token: str, error: BaseException) -> None:
        """Replace a broken executor."""
        broken = isinstance(error, BrokenExecutor)
        if not broken or self._of.get(token, self._executor) is not self._executor:
            return  # another call has reported the same death
        if self._factory is None:
            raise ExecutorError(
                f"{type(self._executor).__name__} is broken because one of its workers died, and only its "
                "owner can make a new one: pass a function that makes one, such as "
                "executor=lambda: ProcessPoolExecutor(8, mp_context=context), or n_jobs=8"
            ) from error
        self._replace()

    def renew(self) -> bool:
        """Replace the executor if a function makes it; kill the processes of the old one."""
        if self._factory is not None:
            self._replace()
        return self._factory is not None

    def close(self, kill: bool) -> None:
        """Shut the executor down if it was made here."""
        if self._factory is not None:
            _shut_down(self._executor, kill)

    def _replace(self) -> None:
        # first, as get_reusable_executor would hand out the one that hangs once more
        _shut_down(self._executor, kill=True)
        self._executor = _made(self._factory)


class OwnProcesses:
    """Pools of one process each: a process that dies or is killed takes no other evaluation with it."""

    immediate = False

    def __init__(self, n: int, environment: dict[str, str]) -> None:
        self.n_workers: int | None = n
        self._environment = environment
        self._pools: list[Any] = []
        self._idle: list[Any] = []
        self._ready_at: dict[Any, float] = {}
        self._of: dict[str, Any] = {}  # the pool of each call

    def submit(self, task: Task, x: Any, token: str) -> Any:
        """Submit to an idle process; start one if none is idle."""
        task.check()
        pool = self._idle.pop() if self._idle else self._new(task, x)
        self._of[token] = pool
        job = pool.submit(task, x, token)
        job.add_done_callback(lambda job: self._free(token, job))
        return job

    def began(self, token: str, job: Any) -> float | None:
        """Return when the process was ready, because its start and imports take seconds on a busy machine."""
        return self._ready_at.get(self._of.get(token))

    def give_up(self, token: str, job: Any) -> Callable[[], bool]:
        """Kill the process."""
        self._drop(token)
        return lambda: True

    def cancel(self, job: Any) -> None:
        """Do nothing: all processes end with the engine."""

    def repair(self, token: str, error: BaseException) -> None:
        """Forget the process that died; the next call starts another."""
        self._drop(token)

    def renew(self) -> bool:
        """Say that workers can be replaced: a process that hangs has been killed by ``give_up``."""
        return True

    def close(self, kill: bool) -> None:
        """End all processes."""
        pools, self._pools, self._idle, self._of = self._pools, [], [], {}
        for pool in pools:
            pool.shutdown(wait=False, kill_workers=kill)

    def _new(self, task: Task, x: Any) -> Any:
        pool = ProcessPoolExecutor(1, env=self._environment)
        self._pools.append(pool)
        # any function will do: to call it, the process loads what the objective and x need, such as numpy
        ready = pool.submit(len, (task, x))
        ready.add_done_callback(lambda ready: self._ready_at.setdefault(pool, time.monotonic()))
        return pool

    def _free(self, token: str, job: Any) -> None:
        """Mark the process of an ended call as idle, in the pool's thread; ``repair`` drops broken ones."""
        if job.exception() is None:
            pool = self._of.pop(token, None)
            if pool in self._pools:
                self._idle.append(pool)

    def _drop(self, token: str) -> None:
        """Kill the process of a call, and all programs that the process has started."""
        pool = self._of.pop(token, None)
        if pool in self._pools:
            self._pools.remove(pool)
            self._ready_at.pop(pool, None)
            pool.shutdown(wait=False, kill_workers=True)


def make_engine(executor: Any, n_jobs: int | None) -> Engine:
    """Return the engine for these arguments of the loop.

    Raises
    ------
    ParameterError, ParameterTypeError
        For both arguments at once, joblib's backends, or an object that is not an executor.
    """
    if executor is not None and n_jobs is not None:
        raise ParameterError("give executor or n_jobs, not both: an executor has its own number of workers")
    if n_jobs is not None:
        return _for_jobs(n_jobs)
    if executor is None:
        return InProcess()
    if isinstance(executor, Parallel | ParallelBackendBase):
        raise ParameterTypeError(f"executor must be {_SUPPORTED}, not joblib's {type(executor).__name__}")
    if is_dask_client(executor) or is_dask_executor(executor):
        return DaskEngine(executor)
    if not inspect.isclass(executor) and callable(getattr(executor, "submit", None)):
        return Pool(executor)
    if not callable(executor):
        raise ParameterTypeError(
            f"executor must have a method submit (give {_SUPPORTED}), got {executor!r:.80}"
        )
    return Pool(_made(executor), executor)


def _for_jobs(n_jobs: int) -> Engine:
    check_jobs(n_jobs)
    backend, _ = get_active_backend()
    default = type(backend).__name__ == "LokyBackend" and backend.inner_max_num_threads is None
    # in a worker of joblib the backend is joblib's own choice, not the user's
    if not default and not backend.nesting_level:
        raise ParameterError(
            "n_jobs starts processes of its own and reads nothing from joblib.parallel_config, which has set "
            f"{type(backend).__name__}: call outside of it (OMP_NUM_THREADS sets the threads of each "
            f"process), or give executor: {_SUPPORTED}"
        )
    n = cpu_count() if n_jobs == -1 else n_jobs
    threads = str(max(cpu_count() // n, 1))
    environment = {name: os.environ.get(name, threads) for name in _THREADS}
    # lets the thread pools of TBB in several processes share the cores
    return OwnProcesses(n, environment | {"ENABLE_IPC": os.environ.get("ENABLE_IPC", "1")})


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
    known = inspect.signature(shutdown).parameters
    if "kill_workers" in known:  # of loky
        shutdown(wait=not kill, kill_workers=kill)
        return
    processes = list((getattr(executor, "_processes", None) or {}).values())
    manager = getattr(executor, "_executor_manager_thread", None)
    shutdown(wait=not kill, **({"cancel_futures": True} if "cancel_futures" in known else {}))
    if kill:
        if manager is not None:
            manager.join(_GRACE)
        # concurrent.futures cannot kill a process that hangs, and waits for it when the program exits
        for process in processes:
            process.kill()
