"""The points of a batch: molecules that keep a distance from one another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.rules.checks import similarities

__all__ = ["Apart"]


class Apart:
    """Which candidates are far enough from what is pending and from what was chosen.

    Parameters
    ----------
    X : sequence of q SMILES
        The candidates.
    least : float or None
        Least Tanimoto distance (ECFP4) between two molecules of a batch; None: none.
    pending : sequence of SMILES
        What was asked for before and is not told.
    """

    def __init__(self, X: Sequence[Any], least: float | None, pending: Sequence[Any]) -> None:
        self.X = X
        self.least = least
        self.nearest: NDArray[np.float64] = np.zeros(len(X))
        for x in pending:
            self.add(x)

    def add(self, x: Any) -> None:
        """Keep away from this one, too."""
        if self.least is not None:
            self.nearest = np.maximum(self.nearest, similarities(x, self.X))

    def among(self, free: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the free rows that are far enough; all free rows where none is."""
        if self.least is None:
            return np.flatnonzero(free)
        far = np.flatnonzero(free & (1.0 - self.nearest >= self.least))
        return far if len(far) else np.flatnonzero(free)
