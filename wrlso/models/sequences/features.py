"""What a sequence is, in numbers: aligned letters, and how often short parts occur."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso._sequences.alignment import aligned_places, padded

__all__ = ["aligned_letters", "pair_counts", "word_counts"]

Ints = NDArray[np.int64]
Array = NDArray[np.float64]

_MOST_WORDS = 512


def aligned_letters(rows: list[Ints], reference: Ints, n_letters: int) -> Array:
    """Return the letters at the places of a reference (n, R v) as zeros and ones.

    Sequences as long as the reference stand as they are, others are aligned to it.
    """
    table = np.full((len(rows), len(reference)), -1, dtype=np.int64)
    others = [i for i, row in enumerate(rows) if len(row) != len(reference)]
    for i, places in zip(
        others, aligned_places([reference] * len(others), [rows[i] for i in others]), strict=True
    ):
        there = places >= 0
        table[i, there] = rows[i][places[there]]
    for i, row in enumerate(rows):
        if len(row) == len(reference):
            table[i] = row
    return np.asarray((table[:, :, None] == np.arange(n_letters)).reshape(len(rows), -1), dtype=np.float64)


def words(rows: list[Ints], n_letters: int, k: int) -> Ints:
    """Return the words of k letters at each place as numbers (n, t), -1 behind the last."""
    table, lengths = padded(rows)
    width = max(table.shape[1] - k + 1, 0)
    found = np.zeros((len(rows), width), dtype=np.int64)
    for i in range(k):
        found = found * n_letters + table[:, i : i + width]
    return np.where(np.arange(width) + k <= lengths[:, None], found, -1)


def word_counts(rows: list[Ints], n_letters: int) -> Array:
    """Return how often each word of k letters occurs (n, v^k), with the largest k of at most 512 words."""
    k = max(1, int(np.log(_MOST_WORDS) / np.log(n_letters)))
    found = words(rows, n_letters, k)
    counts = np.zeros((len(rows), n_letters**k))
    row, place = np.nonzero(found >= 0)
    np.add.at(counts, (row, found[row, place]), 1.0)
    return counts


def pair_counts(rows: list[Ints], n_letters: int, k: int, farthest: int) -> csr_array:
    """Return how often two words of k letters occur at each distance up to the farthest, sparse.

    The result is (n, farthest v^2k).
    """
    found, size = words(rows, n_letters, k), n_letters**k
    where: list[Ints] = [np.empty((2, 0), dtype=np.int64)]
    for apart in range(1, min(farthest, found.shape[1] - 1) + 1):
        left, right = found[:, :-apart], found[:, apart:]
        row, place = np.nonzero((left >= 0) & (right >= 0))
        number = ((apart - 1) * size + left[row, place]) * size + right[row, place]
        where.append(np.stack([row, number]))
    row, number = np.concatenate(where, axis=1)
    ones = np.ones(len(row), dtype=np.int64)
    counts = csr_array((ones, (row, number)), shape=(len(rows), farthest * size**2))
    counts.sum_duplicates()
    return counts
