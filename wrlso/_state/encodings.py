"""The encodings of some rows of the history, made when they are needed."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Encodings"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Encodings:
    """Latent points of some rows; adding rows makes a new object, so drafts are independent.

    Of a million rows a search needs only the ten thousand of its surrogate, so drafts stay small.
    """

    rows: Rows  # (k,) increasing
    Z: Tensor  # (k, d) float64

    @classmethod
    def none(cls, d: int) -> "Encodings":
        """Return the encodings of no row."""
        return cls(np.empty(0, dtype=np.int64), torch.empty(0, d, dtype=torch.float64))

    def missing(self, rows: Rows) -> Rows:
        """Return the rows among ``rows`` (m,) without an encoding, in their order."""
        return np.asarray(rows[~self._find(rows)[1]])

    def __getitem__(self, rows: Rows) -> Tensor:
        """Return the points (m, d) of rows (m,); every row must have one."""
        return self.Z[torch.from_numpy(self._find(rows)[0])]

    def with_rows(self, rows: Rows, Z: Tensor) -> "Encodings":
        """Return a copy with the points Z (m, d) of rows (m,) added; they replace older points."""
        newest_first = np.concatenate([self.rows, rows])[::-1]
        all_rows, place = np.unique(newest_first, return_index=True)
        points = torch.cat([self.Z, Z.to("cpu", torch.float64)])
        return Encodings(all_rows, points[torch.from_numpy(len(points) - 1 - place)])

    def since(self, earlier: "Encodings") -> Rows:
        """Return the rows that are new or have moved since earlier encodings."""
        place, known = earlier._find(self.rows)
        known[known] = (self.Z[torch.from_numpy(known)] == earlier.Z[torch.from_numpy(place[known])]).all(1)
        return np.asarray(self.rows[~known])

    def _find(self, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """Return the positions of rows, and whether each row has a point."""
        place = np.searchsorted(self.rows, rows)
        if len(self.rows) == 0:
            return place, np.zeros(len(rows), dtype=bool)
        place = np.minimum(place, len(self.rows) - 1)
        return place, self.rows[place] == rows
