"""Checks of parameters: one sentence for every error, naming what was expected and what came."""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np

from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

__all__ = [
    "check_choice",
    "check_choices",
    "check_count",
    "check_flag",
    "check_instance",
    "check_jobs",
    "check_real",
    "check_seed",
    "check_text",
]

_LARGEST_SEED = 2**32 - 1  # what NumPy's RandomState takes


def _fail(name: str, expected: str, value: Any, *, wrong_type: bool = False) -> None:
    error = ParameterTypeError if wrong_type else ParameterError
    raise error(f"{name} must be {expected}, got {value!r}")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        expected = "one of " + ", ".join(repr(choice) for choice in choices)
        _fail(name, expected, value, wrong_type=not isinstance(value, str))


def check_choices(choices: Collection[str], **named: Collection[Any]) -> None:
    """Raise unless all values of each argument are among ``choices``."""
    for name, values in named.items():
        for value in values:
            check_choice(name, value, choices)


def check_count(name: str, value: Any, *, minimum: int = 1, none: str | None = None) -> None:
    """Raise unless ``value`` is an integer of at least ``minimum`` (or None, which then means ``none``)."""
    expected = f"an integer of at least {minimum}" + (f", or None ({none})" if none else "")
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        _fail(name, expected, value, wrong_type=True)
    if value < minimum:
        _fail(name, expected, value)


def check_jobs(n_jobs: Any, *, none: str | None = None) -> None:
    """Raise unless ``n_jobs`` is a number of processes or -1 (or None, which then means ``none``)."""
    expected = "an integer of at least 1, or -1 (one for each core)" + (f", or None ({none})" if none else "")
    if n_jobs is None and none:
        return
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral):
        _fail("n_jobs", expected, n_jobs, wrong_type=True)
    if n_jobs != -1 and int(n_jobs) < 1:
        _fail("n_jobs", expected, n_jobs)


def check_flag(name: str, value: Any) -> None:
    """Raise unless ``value`` is True or False, NumPy's included."""
    if not isinstance(value, bool | np.bool_):
        _fail(name, "True or False", value, wrong_type=True)


def check_instance(name: str, value: Any) -> None:
    """Raise for a class where an object is wanted, as ``surrogate=SparseGP`` in place of ``SparseGP()``."""
    if isinstance(value, type):
        raise ParameterTypeError(
            f"{name} must be an object, got the class {value.__name__}: make one, as {value.__name__}(...)"
        )


def check_seed(name: str, value: Any) -> None:
    """Raise unless ``value`` determines random numbers by scikit-learn's rule."""
    expected = f"None, an integer in [0, {_LARGEST_SEED}] or a numpy.random.RandomState"
    if value is None or value is np.random or isinstance(value, np.random.RandomState):
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        _fail(name, expected, value, wrong_type=True)
    if not 0 <= value <= _LARGEST_SEED:
        _fail(name, expected, value)


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    finite: bool = True,
    none: str | None = None,
) -> None:
    """Raise unless ``value`` is a real number within the bounds (or None, which then means ``none``)."""
    bounds = [f"> {above:g}"] if above is not None else []
    bounds += [f">= {minimum:g}"] if minimum is not None else []
    bounds += [f"<= {maximum:g}"] if maximum is not None else []
    expected = f"a {'finite ' if finite else ''}number" + (" " + " and ".join(bounds) if bounds else "")
    expected += f", or None ({none})" if none else ""
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        _fail(name, expected, value, wrong_type=True)
    number = float(value)
    if (
        math.isnan(number)
        or (finite and math.isinf(number))
        or (above is not None and not number > above)
        or (minimum is not None and not number >= minimum)
        or (maximum is not None and not number <= maximum)
    ):
        _fail(name, expected, value)


def check_text(name: str, text: Any) -> None:
    """Raise unless a text of the user's own says something; None is none."""
    if text is not None and not isinstance(text, str):
        raise DataTypeError(f"{name} must be a text, got {text!r:.80} of type {type(text).__name__}")
    if text is not None and not text.strip():
        raise DataError(f"{name} must say something, got {text!r:.80}")
