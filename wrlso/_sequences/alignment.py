"""Global alignment of pairs of sequences, many pairs at once (Needleman and Wunsch, 1970)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["aligned_places", "edit_distance", "padded"]

Ints = NDArray[np.int64]

_MATCH, _MISMATCH, _GAP = 2.0, -1.0, 2.0
_CELLS = 2**24  # cells of all tables that are filled at once


def padded(rows: list[Ints], length: int | None = None) -> tuple[Ints, Ints]:
    """Return rows of numbers as one array (n, length), -1 behind their ends, and their lengths (n,)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    width = int(lengths.max(initial=0)) if length is None else length
    table = np.full((len(rows), width), -1, dtype=np.int64)
    for row, numbers in zip(table, rows, strict=True):
        row[: len(numbers)] = numbers
    return table, lengths


def aligned_places(first: list[Ints], second: list[Ints]) -> list[Ints]:
    """Return for each letter of the i-th first sequence its partner's place in the i-th second, or -1."""
    found: list[Ints] = []
    longest = max([len(a) + 1 for a in first], default=1) * max([len(b) + 1 for b in second], default=1)
    step = max(1, _CELLS // longest)
    for start in range(0, len(first), step):
        found += _places(first[start : start + step], second[start : start + step])
    return found


def _places(first: list[Ints], second: list[Ints]) -> list[Ints]:
    (A, n_A), (B, n_B) = padded(first), padded(second)
    n, rows, columns = len(A), A.shape[1], B.shape[1]
    costs = _GAP * np.arange(columns + 1)
    score = np.broadcast_to(-costs, (n, columns + 1)).copy()
    steps = np.zeros((n, rows + 1, columns + 1), dtype=np.int8)  # 0 both, 1 a letter of A alone, 2 one of B
    steps[:, 0, 1:] = 2
    for i in range(1, rows + 1):
        both = score[:, :-1] + np.where(A[:, i - 1 : i] == B, _MATCH, _MISMATCH)
        alone = score - _GAP
        best = alone.copy()
        best[:, 1:] = np.maximum(both, alone[:, 1:])
        # gaps in A: the best earlier column, less what the gap costs
        new = np.maximum.accumulate(best + costs, axis=1) - costs
        steps[:, i] = np.where(new > best, 2, 1)
        steps[:, i, 1:][(new[:, 1:] == both)] = 0
        score = new
    return _back(steps, n_A, n_B, rows)


def _back(steps: NDArray[np.int8], n_A: Ints, n_B: Ints, rows: int) -> list[Ints]:
    n = len(n_A)
    partner = np.full((n, rows), -1, dtype=np.int64)
    i, j, every = n_A.copy(), n_B.copy(), np.arange(n)
    while bool(((i > 0) | (j > 0)).any()):
        step = steps[every, i, j]
        both, alone, other = (step == 0) & (i > 0) & (j > 0), (step == 1) & (i > 0), (step == 2) & (j > 0)
        stuck = ~(both | alone | other)
        alone |= stuck & (i > 0)
        other |= stuck & (i == 0) & (j > 0)
        partner[every[both], i[both] - 1] = j[both] - 1
        i -= both | alone
        j -= both | other
    return [partner[row, :length] for row, length in enumerate(n_A)]


def edit_distance(first: str, second: str) -> int:
    """Return the number of mutations between two sequences.

    Substitutions where they have one length, else the fewest substitutions, insertions and deletions.
    """
    if len(first) == len(second):
        return sum(a != b for a, b in zip(first, second, strict=True))
    a, b = (np.frombuffer(each.encode("utf-32-le"), dtype=np.uint32) for each in (first, second))
    places = np.arange(len(b) + 1)
    row = places.copy()
    for i, letter in enumerate(a, start=1):
        new = row + 1
        new[1:] = np.minimum(new[1:], row[:-1] + (b != letter))
        new[0] = i
        row = np.minimum.accumulate(new - places) + places
    return int(row[-1])
