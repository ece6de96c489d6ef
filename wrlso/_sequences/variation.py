"""Small random changes of sequences, and sequences made of two.

A sequence is an array (L,) of the places of its letters in the alphabet.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wrlso._sequences.alignment import aligned_places

__all__ = ["Changes", "crossed"]

Ints = NDArray[np.int64]
Chances = NDArray[np.float64]

_KINDS = ("one", "few", "many", "insert", "leave out", "shift", "move", "copy", "swap", "repeat")
_WEIGHTS = np.array([0.26, 0.2, 0.16, 0.07, 0.07, 0.06, 0.05, 0.05, 0.04, 0.04])
_SEVERAL = 8  # letters that a copied, moved or shifted segment has at most
_SPARED = 0.05  # weight of a letter beside a neighbour that it was never seen beside
_MATRIX, _OTHERS = 0.35, 0.3  # shares of new letters that the matrix and the other sequences suggest


@dataclass(frozen=True)
class Changes:
    """Changes sequences of an alphabet of v letters.

    Attributes
    ----------
    n_letters : int
    odds : ndarray (v, v) or None
        How likely a letter becomes each other one.
    seen : ndarray (v, v) of bool
        Which pairs of neighbours the data have; new letters mostly make such pairs.
    shortest, longest : int
        Lengths of the results.
    likely : callable or None
        (rows of sequences, places by row) → the model's probabilities (m, v) of letters at those places.
    """

    n_letters: int
    odds: Chances | None
    seen: NDArray[np.bool_]
    shortest: int
    longest: int
    likely: Callable[[list[Ints], list[Ints]], Chances] | None = None

    def mutated(self, rows: list[Ints], rng: np.random.Generator) -> list[Ints]:
        """Return a copy of each sequence with one change of a random kind.

        New letters at one, a few or many places; letters inserted or left out; a segment shifted, moved,
        copied or repeated; two letters swapped.
        """
        kinds = rng.choice(len(_KINDS), size=len(rows), p=_WEIGHTS / _WEIGHTS.sum())
        places = [self._places(_KINDS[kind], len(row), rng) for kind, row in zip(kinds, rows, strict=True)]
        modelled = [i for i, p in enumerate(places) if len(p) and rng.random() < 0.3]
        chances: dict[int, Chances] = {}
        if self.likely is not None and modelled:
            found = self.likely([rows[i] for i in modelled], [places[i] for i in modelled])
            ends = np.cumsum([len(places[i]) for i in modelled])[:-1]
            chances = dict(zip(modelled, np.split(found, ends), strict=True))
        return [
            self._substituted(row, p, rows, chances.get(i), rng)
            if len(p)
            else self._rearranged(_KINDS[kind], row, rng)
            for i, (row, p, kind) in enumerate(zip(rows, places, kinds, strict=True))
        ]

    def _places(self, kind: str, length: int, rng: np.random.Generator) -> Ints:
        """Return the places of new letters, none for other kinds of changes."""
        counts = {
            "one": 1,
            "few": int(rng.integers(2, 5)),
            "many": int(rng.integers(1, max(length // 2, 1) + 1)),
        }
        if kind not in counts:
            return np.empty(0, dtype=np.int64)
        return np.sort(rng.permutation(length)[: counts[kind]])

    def _substituted(
        self, row: Ints, places: Ints, others: list[Ints], chances: Chances | None, rng: np.random.Generator
    ) -> Ints:
        found = row.copy()
        for i, place in enumerate(places):
            wanted = self._wanted(row, int(place), others, rng) if chances is None else chances[i]
            wanted = wanted * self._beside(found, int(place))
            wanted[row[place]] = 0.0
            found[place] = self._drawn(wanted, rng)
        return found

    def _wanted(self, row: Ints, place: int, others: list[Ints], rng: np.random.Generator) -> Chances:
        """Return the weights (v,) of letters at a place by one of three opinions."""
        opinion = rng.random()
        if self.odds is not None and opinion < _MATRIX:
            return np.array(self.odds[row[place]])
        weights = np.ones(self.n_letters)
        if opinion > 1.0 - _OTHERS:
            other = others[int(rng.integers(len(others)))]
            if len(other) == len(row) and other[place] != row[place]:
                weights *= _SPARED / self.n_letters
                weights[other[place]] = 1.0
        return weights

    def _beside(self, row: Ints, place: int) -> Chances:
        """Return the weights (v,) of letters beside the neighbours of a place."""
        weights = np.ones(self.n_letters)
        if place > 0:
            weights *= np.where(self.seen[row[place - 1]], 1.0, _SPARED)
        if place + 1 < len(row):
            weights *= np.where(self.seen[:, row[place + 1]], 1.0, _SPARED)
        return weights

    def _drawn(self, weights: Chances, rng: np.random.Generator) -> int:
        total = np.cumsum(weights)
        if not total[-1] > 0:
            return int(rng.integers(self.n_letters))
        return int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(max=len(total) - 1))

    def _new(self, before: Ints, after: Ints, count: int, rng: np.random.Generator) -> Ints:
        """Return new letters between two parts of a sequence."""
        found = np.concatenate([before, np.zeros(count, dtype=np.int64), after])
        for place in range(len(before), len(before) + count):
            weights = np.ones(self.n_letters)
            if place > 0:
                weights *= np.where(self.seen[found[place - 1]], 1.0, _SPARED)
            if place + 1 == len(before) + count and len(after):
                weights *= np.where(self.seen[:, after[0]], 1.0, _SPARED)
            found[place] = self._drawn(weights, rng)
        return found

    def _rearranged(self, kind: str, row: Ints, rng: np.random.Generator) -> Ints:
        length = len(row)
        size = min(int(rng.integers(1, _SEVERAL + 1, size=2).min()), max(length - 1, 1))  # rather small
        start, to = int(rng.integers(length - size + 1)), int(rng.integers(length - size + 1))
        part, rest = row[start : start + size], np.delete(row, slice(start, start + size))
        if self.shortest == self.longest and kind in ("insert", "leave out", "repeat"):
            kind = "shift"  # the length stays
        if kind == "insert":
            found = self._new(row[:start], row[start:], min(size, 3), rng)
        elif kind == "leave out":
            found = rest
        elif kind == "repeat":
            found = np.concatenate([row[: start + size], part, row[start + size :]])
        elif kind == "shift":  # letters left out at one place, and new ones at another
            found = self._new(rest[:to], rest[to:], size, rng)
        elif kind == "move":
            found = np.concatenate([rest[:to], part, rest[to:]])
        elif kind == "copy":
            found = row.copy()
            found[to : to + size] = part
        else:
            found = row.copy()
            found[[start, to]] = found[[to, start]]
        return self._fitted(row, found)

    def _fitted(self, row: Ints, found: Ints) -> Ints:
        """Return the result where its length is allowed, else the sequence as it was."""
        allowed = min(self.shortest, len(row)) <= len(found) <= max(self.longest, len(row))
        return found if allowed and len(found) else row.copy()


def crossed(
    first: list[Ints], second: list[Ints], shortest: int, longest: int, rng: np.random.Generator
) -> list[Ints]:
    """Return sequences of parts of two: single letters or segments, exchanged at aligned places.

    Parents of different lengths are aligned. A child that is too short or too long is the first parent.
    """
    partners: list[Ints | None] = [None] * len(first)
    unlike = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if len(a) != len(b)]
    for i, places in zip(
        unlike, aligned_places([first[i] for i in unlike], [second[i] for i in unlike]), strict=True
    ):
        partners[i] = places
    found = []
    for a, b, partner in zip(first, second, partners, strict=True):
        child = _crossed(a, b, partner, rng)
        found.append(child if min(shortest, len(a)) <= len(child) <= max(longest, len(a)) else a.copy())
    return found


def _crossed(a: Ints, b: Ints, partner: Ints | None, rng: np.random.Generator) -> Ints:
    places = np.arange(len(a)) if partner is None else partner
    if rng.random() < 0.4:  # single letters
        taken = (rng.random(len(a)) < rng.uniform(0.1, 0.5)) & (places >= 0)
        child = a.copy()
        child[taken] = b[places[taken]]
        return child
    cuts = np.flatnonzero(places >= 0)
    if len(cuts) == 0:
        return a.copy()
    start, end = sorted(int(cuts[k]) for k in rng.integers(len(cuts), size=2))
    if rng.random() < 0.5:  # up to the end of the other parent
        return np.concatenate([a[:start], b[places[start] :]])
    return np.concatenate([a[:start], b[places[start] : places[end]], a[end:]])
