"""The user's candidates in a search: those that are neither known nor pending, and their latent points."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._state.learned import Learned
from wrlso._state.shelf import Rows, Shelf
from wrlso.acquisition.state import Bounds, Proposal
from wrlso.exceptions import DataError
from wrlso.history import History
from wrlso.models.inference import Array, encoded, evaluating, key_of, tensorized, to_array, to_model
from wrlso.surrogate.tanimoto_screening import TanimotoBounds

__all__ = ["OpenCandidates", "open_candidates", "place"]


@dataclass(frozen=True)
class OpenCandidates:
    """Rows of a shelf that may be proposed; see :class:`wrlso.acquisition.state.Listed`."""

    shelf: Shelf
    model: Any
    rows: Rows

    def x(self, row: int) -> Any:
        """Return an object."""
        return self.shelf.catalogue[row]

    def z(self, row: int) -> Tensor:
        """Return NaN: see :func:`place`."""
        return torch.full((self.model.latent_dim,), torch.nan, dtype=torch.float64)

    def __contains__(self, x: Any) -> bool:
        """Whether an object is a candidate."""
        try:
            return self.shelf.row_of(key_of(self.model, x)) is not None
        except DataError:
            return False

    def points(self, surrogate: Any, rows: Rows) -> Any:
        """Return objects in the form that a surrogate takes."""
        return self.shelf.points(surrogate, self.model, rows)

    def bounds(self, surrogate: Any) -> Bounds | None:
        """Return bounds of predictions, which a process on substructures has."""
        counted = self.shelf.counts_for(surrogate)
        return None if counted is None else TanimotoBounds(surrogate, counted).of


def open_candidates(shelf: Shelf | None, learned: Learned, history: History, surrogate: Any) -> Any:
    """Return the candidates that may be proposed, as far as their identity tells; None without any."""
    if shelf is None:
        return None
    shelf.identify(learned.model, surrogate)
    known = history.rows_with("observed", "failed", "pending", "unlabelled")
    rows = shelf.open_rows(history.records[row].key for row in known)
    if surrogate is not None and surrogate.space != "features":
        rows = shelf.encodable(surrogate, learned.model, rows)
    return OpenCandidates(shelf, learned.model, rows)


def place(learned: Learned, proposals: list[Proposal]) -> tuple[list[Proposal], list[Any]]:
    """Return proposals with latent points where they lack them, and the x that the model cannot read.

    Words that a model's vocabulary lacks are added to it.
    """
    missing = [i for i, proposal in enumerate(proposals) if bool(proposal.z.isnan().any())]
    X = [proposals[i].x for i in missing]
    if X and callable(getattr(learned.model, "missing_tokens", None)) and learned.model.missing_tokens(X):
        readable = [x for x in X if _grows(learned, x)]
        if readable:
            learned.take_model(learned.extended(readable))
    placed, unreadable = list(proposals), []
    for i, x in zip(missing, X, strict=True):
        try:
            z = _encoding(learned.model, x)
        except DataError:
            unreadable.append(x)
            continue
        if not np.isfinite(z).all():
            unreadable.append(x)
        placed[i] = replace(proposals[i], z=torch.from_numpy(z))
    return placed, unreadable


def _grows(learned: Learned, x: Any) -> bool:
    try:
        learned.extended([x])
    except DataError:
        return False
    return True


def _encoding(model: Any, x: Any) -> Array:
    with evaluating(model):
        inputs: Any = np.asarray(x)[None] if isinstance(x, np.ndarray) else [x]
        Z = to_array(encoded(model, to_model(model, tensorized(model, inputs), like_weights=False)))
    z: Array = Z[0]
    return z
