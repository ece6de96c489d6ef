"""The test of candidates that an ask may propose."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.history import History
from wrlso.models.inference import key_of
from wrlso.models.protocol import LatentModel
from wrlso.rules.book import Feasible, Rules, rules_of

__all__ = ["screen_of"]


def screen_of(model: LatentModel, history: History, feasible: Feasible) -> Callable[[Any], str | None]:
    """Return a test of x: its result is why ask may not propose x, None when it may."""
    rules = rules_of(feasible)
    novel = rules is not None and rules.novel is not None
    known = [record.x for record in history if record.values and not record.asked] if novel else []

    def screen(x: Any) -> str | None:
        if x is None:
            return "undecodable"
        try:
            status = history.status(key_of(model, x))
        except DataError:
            return "undecodable"
        if status in ("observed", "failed", "pending"):
            return "known" if status == "observed" else status
        return None if rules is None else _refusal(rules, x, known)

    return screen


def _refusal(rules: Rules, x: Any, known: list[Any]) -> str | None:
    """Return the rule that x breaks, "infeasible" where it is the user's own test, None for none."""
    if rules.are_of_molecules:
        if not isinstance(x, str):
            raise ParameterTypeError(
                f"feasible must be a test of your own for x that are no SMILES, got rules of molecules; x "
                f"was {x!r:.200} of type {type(x).__name__}"
            )
        if (broken := rules.first_broken(x)) is not None:
            return f"rule {broken}"
        if rules.too_close(x, known):
            return "rule novel"
    return None if all(_passes(test, x) for test in rules.tests) else "infeasible"


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
