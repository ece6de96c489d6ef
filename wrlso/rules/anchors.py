"""Moves of a search whose proposals have a core, or are near to a molecule: all start from what fits."""

from collections.abc import Sequence
from typing import Any

import torch

from wrlso._chemistry.cores import Core, core_of
from wrlso._chemistry.smiles import parse
from wrlso.exceptions import DataError, ParameterError
from wrlso.rules.book import Rules

__all__ = ["Anchor", "anchor_of"]


class Anchor:
    """Changes and joins objects so that they keep a core, or stay near to a molecule.

    Without it nearly all candidates of a search would be turned away. What does not fit is not changed as it
    is: parts of it are bonded to the core, or the molecule that proposals are near to takes its place.

    Parameters
    ----------
    rules : Rules
        With a core or a lead.
    model : Any
        A model of molecules, with ``mutate`` and ``cross``.

    Raises
    ------
    ParameterError
        When the model cannot read the molecule that the search starts at.
    """

    def __init__(self, rules: Rules, model: Any) -> None:
        self.rules = rules
        self.model = model
        around = callable(getattr(model, "mutate_around", None))
        self.core: Core | None = core_of(rules.core) if rules.core is not None and around else None
        self.seed = rules.leads[0].smiles if rules.leads else None if self.core is None else self.core.seed
        if self.seed is not None:
            _check_readable(model, self.seed)

    def fits(self, x: Any) -> bool:
        """Whether an object has the core and is near."""
        molecule = parse(x)
        return molecule is not None and not any(check.breaks(molecule) for check in self.rules.anchors)

    def mutate(self, X: Sequence[Any], generator: torch.Generator) -> list[Any]:
        """Return n objects as the model's ``mutate`` does, changed outside of the core."""
        started = self._started(X, generator)
        if self.core is None:
            return list(self.model.mutate(started, generator))
        return list(self.model.mutate_around(started, self.core, generator))

    def cross(self, X: Sequence[Any], Y: Sequence[Any], generator: torch.Generator) -> list[Any]:
        """Return n objects as the model's ``cross`` does, with the core of X."""
        started = [x if self.fits(x) else self.seed or x for x in X]
        if self.core is None:
            return list(self.model.cross(started, Y, generator))
        return list(self.model.cross_around(started, Y, self.core, generator))

    def mend(self, made: Sequence[Any], carriers: Sequence[Any], generator: torch.Generator) -> list[Any]:
        """Return n objects; those that do not fit give a part to one of the carriers instead."""
        found = list(made)
        rows = [i for i, x in enumerate(found) if x is not None and not self.fits(x)]
        if rows and callable(getattr(self.model, "cross", None)):
            joined = self.cross([carriers[i] for i in rows], [found[i] for i in rows], generator)
            for i, x in zip(rows, joined, strict=True):
                found[i] = x
        return found

    def _started(self, X: Sequence[Any], generator: torch.Generator) -> list[Any]:
        """Return X, with the seed and a part of it in the place of each that does not fit."""
        found = list(X)
        rows = [i for i, x in enumerate(found) if not self.fits(x)]
        if self.seed is None or not rows:
            return found
        seeds: list[Any] = [self.seed] * len(rows)
        if self.core is not None and not self.rules.leads:
            joined = self.model.cross_around(seeds, [found[i] for i in rows], self.core, generator)
            seeds = [self.seed if x is None else x for x in joined]
        for i, x in zip(rows, seeds, strict=True):
            found[i] = x
        return found


def anchor_of(rules: Rules | None, model: Any) -> Anchor | None:
    """Return the anchor of a search; None without a core or a lead, and for a model without moves."""
    if rules is None or not rules.anchors or not callable(getattr(model, "mutate", None)):
        return None
    return Anchor(rules, model)


def _check_readable(model: Any, seed: str) -> None:
    try:
        model.tensorize([seed])
    except DataError as error:
        raise ParameterError(
            f"keep and near must be molecules that the model can read; the search starts there: {error}. "
            f"model.extend([{seed!r}]) may teach it"
        ) from error
