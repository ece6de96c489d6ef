"""Isomers that a model takes for one point: they are named, as the mean of their values counts."""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

from wrlso.exceptions import MergedIsomersWarning
from wrlso.history import History
from wrlso.models.protocol import Objects

__all__ = ["warn_of_isomers"]

_SHOWN = 5  # points that one warning names


def warn_of_isomers(model: Any, X: Objects, keys: Sequence[Hashable], history: History) -> None:
    """Warn of those of n x that share a point, with each other or with one that has values, as isomers.

    Only a model that leaves something out can say so: by ``full_key(x)``, the identity with all of it.
    """
    full_key = getattr(model, "full_key", None)
    if not callable(full_key):
        return
    members: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        members.setdefault(key, []).append(i)
    lines = []
    for key, rows in members.items():
        known = history.row(key)
        earlier = None if known is None else history.records[known]
        others = [earlier.x] if earlier is not None and earlier.values else []
        if len(rows) + len(others) < 2 or len({full_key(x) for x in [*others, *(X[i] for i in rows)]}) < 2:
            continue
        named = [f"row {i} ({X[i]!r:.80})" for i in rows[:_SHOWN]]
        named += [f"{len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        named += [f"point {known} ({x!r:.80})" for x in others]
        lines.append(f"{', '.join(named)} are {key!s:.80}")
    if lines:
        more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        warnings.warn(
            "isomers are one molecule for this model, which leaves stereochemistry out, and the mean of "
            f"their values counts: {'; '.join(lines[:_SHOWN])}{more}. A model with stereo=True keeps them "
            "apart: SelfiesVAE (in the shell: --model selfies), or a JunctionTreeVAE that was trained so",
            MergedIsomersWarning,
            stacklevel=4,
        )
