"""The test of candidates that an ask may propose."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from wrlso.acquisition.screening import RULE
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.history import History
from wrlso.models.inference import key_of
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.protocol import LatentModel
from wrlso.rules.book import Feasible, Rules, rules_of

__all__ = ["screen_of"]


def screen_of(model: LatentModel, history: History, feasible: Feasible) -> Callable[[Any], str | None]:
    """Return a test of x: its result is why ask may not propose x, None when it may."""
    rules = rules_of(feasible)
    novel = rules is not None and rules.novel is not None
    as_read = isinstance(model, MoleculeVAE)  # its keys are SMILES, without salts
    given = [r for r in history if r.status in ("observed", "failed", "unlabelled") and not r.asked]
    known: dict[str | None, list[Any]] = {"told": [], "unlabelled": []}
    for record in given if novel else ():
        kind = "unlabelled" if record.status == "unlabelled" else "told"
        known[kind].append(record.key if as_read else record.x)
    beforehand = [*known["told"], *known["unlabelled"]]

    def screen(x: Any) -> str | None:
        if x is None:
            return "undecodable"
        try:
            key = key_of(model, x)
            status = history.status(key)
        except DataError:
            return "undecodable"
        if status in ("observed", "failed", "pending", "rejected"):
            return "known" if status == "observed" else status
        if rules is None:
            return None
        if (
            rules.are_of_molecules
            and (
                refusal := _refusal(
                    rules, key if as_read else x, known["told"] if status == "unlabelled" else beforehand
                )
            )
            is not None
        ):
            return refusal
        return None if all(_passes(test, x) for test in rules.tests) else "infeasible"

    return screen


def _refusal(rules: Rules, x: Any, known: list[Any]) -> str | None:
    """Return the rule that a molecule breaks, None for none."""
    if not isinstance(x, str):
        raise ParameterTypeError(
            f"feasible must be a test of your own for x that are no SMILES, got rules of molecules; x was "
            f"{x!r:.200} of type {type(x).__name__}"
        )
    if (broken := rules.first_broken(x)) is not None:
        return f"{RULE}{broken}"
    return f"{RULE}novel" if rules.too_close(x, known) else None


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
