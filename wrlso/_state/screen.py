"""The test of candidates that an ask may propose."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.history import History
from wrlso.models.inference import key_of
from wrlso.models.protocol import LatentModel

__all__ = ["screen_of"]


def screen_of(
    model: LatentModel, history: History, feasible: Callable[[Any], bool] | None
) -> Callable[[Any], str | None]:
    """Return a test of x: its result is why ask may not propose x, None when it may."""

    def screen(x: Any) -> str | None:
        if x is None:
            return "undecodable"
        try:
            status = history.status(key_of(model, x))
        except DataError:
            return "undecodable"
        if status in ("observed", "failed", "pending"):
            return "known" if status == "observed" else status
        return None if feasible is None or _passes(feasible, x) else "infeasible"

    return screen


def _passes(feasible: Callable[[Any], bool], x: Any) -> bool:
    """Whether the user's test lets x pass; raises ParameterError or ParameterTypeError for another answer.

    NaN is true in Python: a test that computes with missing values would let everything pass.
    """
    try:
        verdict: Any = feasible(x)
    except Exception as error:
        raise ParameterError(
            f"feasible must return True or False for every x, but raised {type(error).__name__}: {error}; "
            f"x was {x!r:.200}"
        ) from error
    if isinstance(verdict, np.ndarray | Tensor) and verdict.ndim == 0:
        verdict = verdict.item()
    if not isinstance(verdict, bool | np.bool_):
        raise ParameterTypeError(
            f"feasible must return True or False, got {verdict!r:.200} of type {type(verdict).__name__}; "
            f"x was {x!r:.200}"
        )
    return bool(verdict)
