"""What the checks share: their error, its message, and global random state that is put back."""

import copy
import random
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from sklearn.utils import check_random_state
from torch import Tensor, cuda, get_rng_state

from wrlso._utils.random import isolated_torch_rng
from wrlso.exceptions import WrlsoError

__all__ = [
    "CheckFailedError",
    "Checks",
    "describe",
    "global_random_state",
    "isolated_global_rng",
    "short_repr",
]

T = TypeVar("T")

_LONGEST_REPR = 300


class CheckFailedError(WrlsoError, AssertionError):
    """A part does not keep its contract; the message says which property broke, and on what input."""


class Checks:
    """The checks of one part, one method per property."""

    def __init__(self, part: object) -> None:
        self.name: str = type(part).__name__

    def fail(self, must: str, detail: str, example: Any, cause: Exception | None = None) -> NoReturn:
        """Raise the error that says what the part must do, what it did, and on what input."""
        raise CheckFailedError(f"{self.name} must {must}: {detail}; input: {short_repr(example)}") from cause

    def attempt(self, must: str, call: Callable[[], T], example: Any) -> T:
        """Return what the call returns; an exception breaks the property."""
        try:
            return call()
        except Exception as error:
            self.fail(must, f"it raised {type(error).__name__}: {error}", example, cause=error)

    def copied(self, part: T) -> T:
        """Return a deep copy."""
        return self.attempt("be copied by copy.deepcopy", lambda: copy.deepcopy(part), part)

    def need_methods(self, part: object, protocol: str, names: list[str]) -> None:
        """Raise an error unless the part has all methods of a protocol."""
        missing = [name for name in names if not callable(getattr(part, name, None))]
        if missing:
            raise CheckFailedError(
                f"{self.name} must have the methods of {protocol}: {', '.join(missing)} missing"
            )

    def within(self, seconds: float, must: str, call: Callable[[], T], example: Any) -> T | Exception:
        """Return what the call returns or raises, in a thread so that one without end is noticed."""
        results: list[T | Exception] = []

        def work() -> None:
            try:
                results.append(call())
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(seconds)
        if not results:
            self.fail(must, f"it took more than {seconds:g} seconds", example)
        return results[0]


def describe(value: Any) -> str:
    """Return type, and shape or length."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    size = f" of length {len(value)}" if isinstance(value, list | tuple) else ""
    return type(value).__name__ + size


def short_repr(value: Any) -> str:
    """Return a repr on one line, cut in the middle when it is long."""
    text = " ".join(repr(value.tolist() if isinstance(value, Tensor) else value).split())
    return text if len(text) <= _LONGEST_REPR else f"{text[: _LONGEST_REPR - 40]} ... {text[-30:]}"


@contextmanager
def isolated_global_rng(seed: int = 0) -> Iterator[None]:
    """Seed all global random number generators inside the block and put their states back afterwards."""
    numpy_global = check_random_state(None)
    numpy_state, python_state = numpy_global.get_state(), random.getstate()
    try:
        with isolated_torch_rng(seed):
            numpy_global.seed(seed)
            random.seed(seed)
            yield
    finally:
        numpy_global.set_state(numpy_state)
        random.setstate(python_state)


def global_random_state() -> tuple[Hashable, ...]:
    """Return the states of the global generators of torch, numpy and Python, to compare."""
    on_devices = cuda.get_rng_state_all() if cuda.is_initialized() else []
    torch_states = [state.numpy().tobytes() for state in [get_rng_state(), *on_devices]]
    name, keys, *rest = check_random_state(None).get_state()
    return (*torch_states, name, keys.tobytes(), *rest, random.getstate())
