"""Failures that have a part as their cause: a noisy-or of the parts of x.

Every part of an object (a pair of neighbours, a fragment of a molecule) destroys it with a probability of its
own, and one cause is enough: p(success | x) = Π_f (1 - q_f)^(c_f(x)). A part that many successes have is
harmless, so that a failure is blamed on those of its parts that successes lack: a few failures tell much.

Symbols: c_f(x) how often x has part f; q_f the probability that f destroys, a priori of mean ν; r_f(x) that
an f of x was a cause, given that x failed. ν is learned from what came of parts that were new at their time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso.surrogate.protocol import Array

__all__ = ["NoisyOr"]

_WEIGHT = 0.2  # occurrences that the prior of q counts as: parts are harmless or deadly, and seldom between
_NEW, _NEW_WEIGHT = 0.1, 2.0  # ν a priori, and the new parts that this counts as
_OTHER = 0.01  # prior probability of a cause that is no part
_ROUNDS = 20  # of expectation and maximisation
_MOST = 1.0 - 1e-6  # nothing is thought impossible
_LEAST = 1e-12


@dataclass(frozen=True)
class NoisyOr:
    """The expected probabilities q of parts, and that of one which no object had.

    Attributes
    ----------
    parts : ndarray (k,) int64
        Numbers of the parts seen, sorted.
    q : ndarray (k + 1,)
        Their probabilities; the last is that of a cause which is no part.
    new : float
        That of a part which was never seen, ν.
    in_advance : ndarray (n,)
        log p(success) of the objects that it was fitted to, each given the outcomes before it.
    """

    parts: NDArray[np.int64]
    q: Array
    new: float
    in_advance: Array

    @classmethod
    def fit(cls, counts: csr_array, success: NDArray[np.bool_], weights: Array) -> Self:
        """Fit to n objects, in the order of their outcomes.

        Parameters
        ----------
        counts : csr_array (n, P)
            Of their parts.
        success : ndarray (n,) bool
        weights : ndarray (n,)
            How much each says of what becomes of new parts.
        """
        parts = np.unique(counts.indices).astype(np.int64)
        C = _with_cause(counts, parts)
        causes, seen, new, in_advance = _in_order(C, success, weights)
        failed = C[~success]
        row = np.repeat(np.arange(failed.shape[0]), np.diff(failed.indptr))
        for _ in range(_ROUNDS):
            blame: Array = failed.data * _blame(
                failed.data, failed.indices, row, _expected(causes, seen, new)
            )
            causes = np.asarray(np.bincount(failed.indices, blame, len(seen)), dtype=np.float64)
        return cls(parts, _expected(causes, seen, new), new, in_advance)

    def log_success(self, counts: csr_array) -> Array:
        """Return log p(success) (n,) of objects with counts (n, P)."""
        known = _with_cause(counts, self.parts)
        unseen = np.asarray(counts.sum(axis=1)).ravel() - (np.asarray(known.sum(axis=1)).ravel() - 1.0)
        return np.asarray(known @ np.log1p(-self.q) + unseen * np.log1p(-self.new))


def _in_order(C: csr_array, success: NDArray[np.bool_], weights: Array) -> tuple[Array, Array, float, Array]:
    """Learn from one outcome after the other, predicted first; return causes, seen, ν, predictions."""
    k = C.shape[1]
    causes, seen = np.zeros(k), np.zeros(k)
    killed, met = _NEW * _NEW_WEIGHT, _NEW_WEIGHT
    found = np.empty(C.shape[0])
    for i, (parts, count) in enumerate(_rows(C)):
        q = (causes[parts] + _WEIGHT * killed / met) / (_WEIGHT + seen[parts])
        q[-1] = (causes[-1] + _WEIGHT * _OTHER) / (_WEIGHT + seen[-1])
        q = q.clip(_LEAST, _MOST)
        found[i] = float(count @ np.log1p(-q))
        new = seen[parts] == 0
        new[-1] = False
        if not success[i]:
            blame = q / max(-np.expm1(found[i]), _LEAST)
            causes[parts] += count * np.minimum(blame, 1.0)
            killed += weights[i] * float(np.minimum(blame[new], 1.0).sum())
        met += weights[i] * float(np.count_nonzero(new))
        seen[parts] += count
    return causes, seen, killed / met, found


def _rows(C: csr_array) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Yield the columns and counts of each row; the last column comes last."""
    for start, end in zip(C.indptr[:-1], C.indptr[1:], strict=True):
        yield C.indices[start:end], C.data[start:end]


def _expected(causes: Array, seen: Array, new: float) -> Array:
    """Return the mean of each q given how often a part was seen, and how often it was a cause."""
    prior = np.full(len(seen), new)
    prior[-1] = _OTHER
    found = (_WEIGHT * prior + causes) / (_WEIGHT + seen)
    return np.asarray(found.clip(_LEAST, _MOST))


def _blame(counts: Array, parts: NDArray[np.int64], row: NDArray[np.int64], q: Array) -> Array:
    """Return r of each entry: the probability that one such part was a cause of its row's failure."""
    alive = np.bincount(row, counts * np.log1p(-q[parts]))
    return np.asarray(np.minimum(q[parts] / np.maximum(-np.expm1(alive), _LEAST)[row], 1.0))


def _with_cause(counts: csr_array, parts: NDArray[np.int64]) -> csr_array:
    """Return the counts (n, k + 1) of some parts, and 1 in a last column: the cause that is no part."""
    n, k = counts.shape[0], len(parts)
    row = np.repeat(np.arange(n), np.diff(counts.indptr))
    place = np.searchsorted(parts, counts.indices).clip(max=max(k - 1, 0))
    known = parts[place] == counts.indices if k else np.zeros(len(row), dtype=bool)
    rows, columns = np.concatenate([row[known], np.arange(n)]), np.concatenate([place[known], np.full(n, k)])
    values = np.concatenate([counts.data[known].astype(np.float64), np.ones(n)])
    found = csr_array((values, (rows, columns)), shape=(n, k + 1))
    found.sort_indices()
    return found
