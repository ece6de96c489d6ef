"""Where rows of the history lie in Z, for those rows that anybody has asked for."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Encodings"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Encodings:
    """Points of some rows; more rows make a new object, so that drafts do not see each other's.

    Of a million rows a search needs the ten thousand that its surrogate is fitted to: what a draft copies
    grows with these, not with the history.
    """

    rows: Rows  # (k,) increasing
    Z: Tensor  # (k, d) float64

    @classmethod
    def none(cls, d: int) -> "Encodings":
        """Return those of no row."""
        return cls(np.empty(0, dtype=np.int64), torch.empty(0, d, dtype=torch.float64))

    def missing(self, rows: Rows) -> Rows:
        """Return those of ``rows`` (m,) that are not there, in their order."""
        return np.asarray(rows[~self._find(rows)[1]])

    def __getitem__(self, rows: Rows) -> Tensor:
        """Return the points (m, d) of rows (m,), all of which must be there."""
        return self.Z[torch.from_numpy(self._find(rows)[0])]

    def with_rows(self, rows: Rows, Z: Tensor) -> "Encodings":
        """Return these and the points Z (m, d) of rows (m,); the newest of a row counts."""
        newest_first = np.concatenate([self.rows, rows])[::-1]
        all_rows, place = np.unique(newest_first, return_index=True)
        points = torch.cat([self.Z, Z.to("cpu", torch.float64)])
        return Encodings(all_rows, points[torch.from_numpy(len(points) - 1 - place)])

    def since(self, earlier: "Encodings") -> Rows:
        """Return the rows that are new since earlier ones, or lie elsewhere now."""
        place, known = earlier._find(self.rows)
        known[known] = (self.Z[torch.from_numpy(known)] == earlier.Z[torch.from_numpy(place[known])]).all(1)
        return np.asarray(self.rows[~known])

    def _find(self, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """Positions of rows, and whether they are there."""
        place = np.searchsorted(self.rows, rows)
        if len(self.rows) == 0:
            return place, np.zeros(len(rows), dtype=bool)
        place = np.minimum(place, len(self.rows) - 1)
        return place, self.rows[place] == rows
