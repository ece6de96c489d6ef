"""One call of the objective, as it travels to a worker and back."""

import os
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]

from wrlso.exceptions import ParameterTypeError

__all__ = ["Outcome", "Task"]


class Outcome(NamedTuple):
    """What a worker reports about one call.

    ``error`` is what the objective raised: the exception itself or, from another process, its pickle. A
    reason without an error means that the worker refused the call, because it had begun on another worker
    before.
    """

    worker: str
    started: float
    ended: float
    value: Any
    reason: str | None = None
    details: str = ""
    error: Any = None

    def exception(self) -> BaseException | None:
        """Return what the objective raised, with the worker's traceback as a note."""
        error = self.error
        if isinstance(error, bytes):
            try:
                error = pickle.loads(error)
            except Exception:  # the exception's own class may raise anything here
                error = None
            if not isinstance(error, BaseException):
                error = RuntimeError(self.reason)
            error.add_note(self.details)
        return error if isinstance(error, BaseException) else None


class Task:
    """The objective as it is submitted: called with x and a token, it returns the fields of an Outcome.

    It is pickled by value, and only once. Lambdas and functions of a script can therefore run in any process,
    the optimizer is not sent, and workers need cloudpickle but not this library.

    Parameters
    ----------
    objective : callable x → float
    once : bool
        Whether the call asks Dask's scheduler first if it has begun on another worker.
    """

    def __init__(self, objective: Callable[[Any], Any], *, once: bool = False) -> None:
        self.objective = objective
        self.error: ParameterTypeError | None = None  # why it cannot be pickled
        self._call = _evaluation(objective, os.getpid(), once)
        self._pickle: bytes | None = None

    def __call__(self, x: Any, token: str) -> tuple[Any, ...]:
        """Evaluate in this process."""
        return self._call(x, token)

    def check(self) -> None:
        """Raise ParameterTypeError now if it cannot be pickled, rather than later in a thread of a pool."""
        self.__reduce__()

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        """Unpickle as the bare function."""
        if self.error is not None:
            raise self.error
        if self._pickle is None:
            try:
                self._pickle = cloudpickle.dumps(self._call)
            except Exception as error:
                self.error = ParameterTypeError(
                    f"the objective {self.objective!r:.80} cannot be sent to another process: {error}. Open "
                    "its files, locks and connections inside the call, or use threads"
                )
                raise self.error from error
        return pickle.loads, (self._pickle,)


def _evaluation(objective: Callable[[Any], Any], home: int, once: bool) -> Callable[..., tuple[Any, ...]]:
    pack = _packer()

    # nested and with its own imports, so that its pickle refers to nothing in this library
    def evaluate(x: Any, token: str) -> tuple[Any, ...]:
        import os
        import socket
        import threading
        import time
        import traceback

        worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        started = time.time()
        if once:
            from importlib import import_module

            # distributed.Event does the same, but starts a client in every worker
            here = import_module("distributed").get_worker()
            sync = import_module("distributed.utils").sync
            if sync(here.loop, here.scheduler.event_is_set, name=f"wrlso-{token}"):
                return worker, started, started, None, "the worker died"
            sync(here.loop, here.scheduler.event_set, name=f"wrlso-{token}")
        try:
            value = objective(x)
            # a number, because the loop's process might lack the library of the array or tensor
            if hasattr(value, "ndim") and hasattr(value, "item"):
                size = value.numel() if hasattr(value, "numel") else value.size
                if size == 1:
                    value = None if bool(getattr(value, "mask", False)) else value.item()
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and os.getpid() == home:
                raise
            reason, details = f"{type(error).__name__}: {error}", traceback.format_exc()
            shown = error if os.getpid() == home else pack(error)
            return worker, started, time.time(), None, reason, details, shown
        return worker, started, time.time(), value

    return evaluate


def _packer() -> Callable[[BaseException], bytes]:
    def pack(error: BaseException) -> bytes:
        """Return a pickle that can be read; b"" if there is none."""
        import pickle

        import cloudpickle

        try:
            shown: bytes = cloudpickle.dumps(error)
            pickle.loads(shown)
        except Exception:  # the exception's own class may raise anything here
            return b""
        return shown

    return pack
