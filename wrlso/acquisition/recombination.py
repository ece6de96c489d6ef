"""New latent points from those of the data: parents, spliced tails, rewritten blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.state import SearchState
from wrlso.models.inference import Array
from wrlso.weighting import rank_weights

__all__ = ["Parents", "rewritten", "some_blocks", "spliced"]

_N_INCUMBENTS = 1000  # samples, with replacement, of the points that candidates are made of
_SHIFTS = np.array([0, 0, 0, 0, -2, -1, 1, 2])  # by how many blocks a spliced tail moves, equally likely


@dataclass
class Parents:
    """What candidates are made of: half of them of incumbents, half of the best candidates so far."""

    incumbents: Array  # (k, d)
    rows: NDArray[np.int64]  # (k,) their places among all points with a value
    point: Callable[[int], Any] | None  # x at a place
    best_X: list[Any] = field(default_factory=list)
    best_Z: Array = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def sample(
        cls,
        state: SearchState,
        landscape: Landscape,
        rng: np.random.Generator,
        spread: Sequence[float],
        n_left_out: int = 0,
    ) -> "Parents":
        """Sample incumbents among all points with a value, equally many by rank weights with each k N.

        The best ``n_left_out`` are left out, and at most half of all.
        """
        data = state.all_measured
        n = len(data.y)
        if n == 0:
            return cls(landscape.rows, np.empty(0, dtype=np.int64), None)
        y = np.asarray(data.y.numpy(), dtype=np.float64)
        among = np.argsort(-y, kind="stable")[min(n_left_out, n // 2) :]
        weights = np.mean([rank_weights(y[among], each / len(among)) for each in spread], axis=0)
        chosen = among[rng.choice(len(among), size=_N_INCUMBENTS, p=weights / weights.sum())]
        return cls(data.encoded(chosen), chosen, data.point)

    def latent(self, count: int, rng: np.random.Generator) -> Array:
        """Return latent points (count, d)."""
        found = self.incumbents[rng.integers(len(self.incumbents), size=count)]
        if len(self.best_Z) > 0:
            found[::2] = self.best_Z[rng.integers(len(self.best_Z), size=len(found[::2]))]
        return np.asarray(found)

    def objects(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Return that many x; none where there are no data."""
        if self.point is None:
            return []
        found = [self.point(int(row)) for row in self.rows[rng.integers(len(self.rows), size=count)]]
        if self.best_X:
            places = rng.integers(len(self.best_X), size=len(found[::2]))
            found[::2] = [self.best_X[place] for place in places]
        return found


def _n_used(blocks: Array) -> Any:
    """Return for each of n points (n, blocks, size) the number of blocks up to the last that is not zero."""
    return ((np.arange(blocks.shape[1]) + 1)[None] * (blocks != 0).any(axis=2)).max(axis=1)


def some_blocks(rows: Array, size: int, rng: np.random.Generator) -> Array:
    """Return 1 in the coordinates of one or two of the blocks that each of n points (n, d) uses, else 0."""
    n, d = rows.shape
    chosen = np.zeros((n, d // size))
    used = np.maximum(_n_used(rows.reshape(n, d // size, size)), 1)
    for _ in range(2):
        chosen[np.arange(n), np.floor(rng.uniform(size=n) * used).astype(np.int64)] = 1.0
    return chosen.repeat(size, axis=1)


def spliced(first: Array, second: Array, size: int, rng: np.random.Generator) -> Array:
    """Return points (n, d): the first blocks of one parent each, then blocks of the other, often moved.

    The cut lies within the blocks that the first parent uses. What a moved tail leaves open is zero.
    """
    n, d = first.shape
    places = np.arange(d // size)
    a, b = (rows.reshape(n, d // size, size) for rows in (first, second))
    cut = 1 + np.floor(rng.uniform(size=n) * np.maximum(_n_used(a) - 1, 1)).astype(np.int64)
    source = places[None] - _SHIFTS[rng.integers(len(_SHIFTS), size=n)][:, None]
    there = (source >= 0) & (source < len(places))
    tail = np.take_along_axis(b, source.clip(0, len(places) - 1)[:, :, None], axis=1) * there[:, :, None]
    return np.asarray(np.where((places < cut[:, None])[:, :, None], a, tail).reshape(n, d))


def rewritten(rows: Array, size: int, rng: np.random.Generator) -> Array:
    """Return points (n, d) with one to three neighbouring blocks of those in use set to zero."""
    n, d = rows.shape
    n_blocks = d // size
    blocks = rows.reshape(n, n_blocks, size)
    places = np.arange(n_blocks)
    first = np.floor(rng.uniform(size=n) * np.maximum(_n_used(blocks), 1))
    last = first + rng.choice(3, size=n, p=(0.5, 0.3, 0.2))
    hidden = (places[None] >= first[:, None]) & (places[None] <= last[:, None])
    return np.asarray(np.where(hidden[:, :, None], 0.0, blocks).reshape(n, d))
