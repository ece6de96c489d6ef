"""What a sequence is, in numbers: aligned letters, and how often short parts occur."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso._sequences.alignment import aligned_places, padded

__all__ = ["aligned_letters", "neighbours", "word_counts"]

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


def word_counts(rows: list[Ints], n_letters: int) -> Array:
    """Return how often each word of k letters occurs (n, v^k), with the largest k of at most 512 words."""
    k = max(1, int(np.log(_MOST_WORDS) / np.log(n_letters)))
    table, lengths = padded(rows)
    counts = np.zeros((len(rows), n_letters**k))
    if table.shape[1] < k:
        return counts
    words = sum(table[:, i : table.shape[1] - k + 1 + i] * n_letters ** (k - 1 - i) for i in range(k))
    there = np.arange(words.shape[1]) + k <= lengths[:, None]
    which = np.nonzero(there)
    np.add.at(counts, (which[0], words[which]), 1.0)
    return counts


def neighbours(rows: list[Ints], n_letters: int) -> csr_array:
    """Return how often each pair of neighbouring letters occurs (n, v²), sparse."""
    table, lengths = padded(rows)
    pairs = table[:, :-1] * n_letters + table[:, 1:]
    there = np.arange(pairs.shape[1]) + 1 < lengths[:, None]
    which = np.nonzero(there)
    ones = np.ones(len(which[0]), dtype=np.int64)
    counts = csr_array((ones, (which[0], pairs[which])), shape=(len(rows), n_letters**2))
    counts.sum_duplicates()
    return counts
