"""Data that break the rules of a search, which its proposals keep to: they are counted and said once."""

import warnings
from typing import Any

from wrlso.exceptions import BrokenRulesWarning
from wrlso.history import History
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.rules.book import Feasible, rules_of

__all__ = ["broken_rules", "warn_of_broken_rules"]


def broken_rules(feasible: Feasible, model: Any, history: History) -> str:
    """Return how many of the molecules that are known break which rules; empty where none does."""
    rules = rules_of(feasible)
    if rules is None or not rules.are_of_molecules:
        return ""
    as_read = isinstance(model, MoleculeVAE)  # its keys are SMILES, without salts
    texts = (record.key if as_read else record.x for record in history)
    X = [text for text in texts if isinstance(text, str)]
    n_broken = sum(rules.first_broken(x) is not None for x in X)
    if not n_broken:
        return ""
    counts = ", ".join(f"{rule} {n}" for rule, n in rules.counts(X).most_common())
    return f"{n_broken} of {len(X)} molecules break the rules that proposals keep to: {counts}"


def warn_of_broken_rules(feasible: Feasible, model: Any, history: History) -> None:
    """Warn of the molecules that a search starts with."""
    if said := broken_rules(feasible, model, history):
        warnings.warn(
            f"{said}. They train the model all the same; wrlso.rules.explain(x, feasible) says why one does",
            BrokenRulesWarning,
            stacklevel=4,
        )
