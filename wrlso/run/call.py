"""One call of the objective, as it travels to a worker and back."""

import os
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]

from wrlso.exceptions import ParameterTypeError

__all__ = ["Outcome", "Task"]


class Outcome(NamedTuple):
    """What a worker says of one call.

    ``error`` is what the objective raised: the exception itself or, from another process, its pickle; None
    together with a reason where the call was not made because it had begun elsewhere already.
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
            except Exception:  # whatever the class of a foreign exception does
                error = None
            if not isinstance(error, BaseException):
                error = RuntimeError(self.reason)
            error.add_note(self.details)
        return error if isinstance(error, BaseException) else None


class Task:
    """The objective as it is submitted: called with x and a token, it returns the fields of an Outcome.

    It is pickled by value, once: so lambdas and functions of a script reach any process, the optimizer stays
    at home, and workers need cloudpickle but not this library.

    Parameters
    ----------
    objective : callable x → float
    once : bool
        Whether a Dask scheduler is asked first if the call has begun elsewhere.
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
        """Raise ParameterTypeError here and now where it cannot be pickled, not in some thread of a pool."""
        self.__reduce__()

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        """Become the bare function on the other side."""
        if self.error is not None:
            raise self.error
        if self._pickle is None:
            try:
                self._pickle = cloudpickle.dumps(self._call)
            except Exception as error:
                self.error = ParameterTypeError(
                    f"the objective {self.objective!r:.80} cannot be sent to another process: {error}. Make "
                    "what it holds (files, locks, connections) inside the call, or use threads"
                )
                raise self.error from error
        return pickle.loads, (self._pickle,)


def _evaluation(objective: Callable[[Any], Any], home: int, once: bool) -> Callable[..., tuple[Any, ...]]:
    pack = _packer()

    # a nested function with imports of its own: pickled by value, it needs nothing of this library
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

            # what distributed.Event does, without the client that it would start in every worker
            here = import_module("distributed").get_worker()
            sync = import_module("distributed.utils").sync
            if sync(here.loop, here.scheduler.event_is_set, name=f"wrlso-{token}"):
                return worker, started, started, None, "the worker died"
            sync(here.loop, here.scheduler.event_set, name=f"wrlso-{token}")
        try:
            value = objective(x)
            # a number rather than an array or tensor, which the other side might not be able to read
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
        """Return a pickle that is sure to be readable, or nothing."""
        import pickle

        import cloudpickle

        try:
            shown: bytes = cloudpickle.dumps(error)
            pickle.loads(shown)
        except Exception:  # whatever the class of a foreign exception does
            return b""
        return shown

    return pack
