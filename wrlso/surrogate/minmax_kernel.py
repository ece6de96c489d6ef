"""Counts of features, and how similar objects are that have them: the MinMax (Tanimoto) kernel.

Symbols: c_f(x) how often x has feature f; |x| = Σ_f c_f(x); ∧ = Σ_f min(c_f(x), c_f(x')). The kernel is
k(x, x') = ∧ / (|x| + |x'| - ∧), positive semi-definite (Ralaivola et al., "Graph kernels for chemical
informatics", Neural Networks 18, 2005, for sets; counts are sets of "at least l times f").

The computation uses that last remark: every (f, l) with l ≤ c_f(x) is a binary column, and ∧ is a product
of two binary matrices. A few hundred columns are frequent and make a dense product in float32, which is exact
for whole numbers below 2²⁴; the many rare ones make a sparse product.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso.surrogate.protocol import Array

__all__ = [
    "MOST_COUNTS",
    "MOST_FEATURES",
    "Levels",
    "Overlaps",
    "dots",
    "expand",
    "held",
    "join",
    "squares",
    "tanimoto",
]

Integers = NDArray[np.int64]

MOST_COUNTS = 2**16 - 1  # of one object, all features together
_LEVEL_BITS = 16
MOST_FEATURES = 2 ** (63 - _LEVEL_BITS)  # numbers of features, so that a key is an int64
_FREQUENT = 0.01  # share of the rows from which on a column is dense
_ROWS = 1024  # of a query, at once


@dataclass(frozen=True)
class Levels:
    """Binary columns (f, l) of n objects, as sorted keys f · 2¹⁶ + l in each row."""

    keys: Integers  # (all,) one row after the other
    ends: Integers  # (n + 1,) where rows begin, and the end

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def sizes(self) -> Integers:
        """|x| (n,) of each object."""
        return np.diff(self.ends)


def expand(counts: csr_array) -> Levels:
    """Return the columns "at least l times f" of whole, non-negative counts (n, D), D ≤ 2⁴⁷."""
    values = counts.data.astype(np.int64)
    features = np.repeat(counts.indices.astype(np.int64), values)
    first = np.cumsum(values) - values
    level = np.arange(len(features)) - np.repeat(first, values)
    ends = np.concatenate([[0], np.cumsum(values)])[counts.indptr]
    return Levels((features << _LEVEL_BITS) + level, ends.astype(np.int64))


def join(first: Levels, second: Levels) -> Levels:
    """Return the rows of both."""
    ends = np.concatenate([first.ends, second.ends[1:] + first.ends[-1]])
    return Levels(np.concatenate([first.keys, second.keys]), ends)


@dataclass(frozen=True)
class Overlaps:
    """Computes the overlaps ∧ of queries with n objects."""

    levels: Levels

    @cached_property
    def _index(self) -> tuple[Integers, Integers, NDArray[np.float32], csr_array]:
        """Distinct keys, their columns, the frequent ones as (n, F) and the rare ones as (R, n)."""
        keys, inverse, counts = np.unique(self.levels.keys, return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        columns = np.empty(len(keys), dtype=np.int64)
        columns[order] = np.arange(len(keys))
        n = len(self.levels)
        n_frequent = int(np.count_nonzero(counts >= max(_FREQUENT * n, 2)))
        rows = np.repeat(np.arange(n), self.levels.sizes)
        dense, sparse = _split(rows, columns[inverse], n, n_frequent, len(keys))
        return keys, columns, dense, csr_array(sparse.T)

    def of(self, queries: Levels) -> Array:
        """Return ∧ (q, n) of q queries with the n objects."""
        keys, columns, dense, sparse = self._index
        overlap = np.zeros((len(queries), len(self.levels)))
        if len(keys) == 0:
            return overlap
        place = np.searchsorted(keys, queries.keys).clip(max=len(keys) - 1)
        known = keys[place] == queries.keys
        rows = np.repeat(np.arange(len(queries)), queries.sizes)[known]
        found = columns[place[known]]
        for start in range(0, len(queries), _ROWS):
            part = slice(*np.searchsorted(rows, [start, start + _ROWS]))
            n = min(_ROWS, len(queries) - start)
            ours, rare = _split(rows[part] - start, found[part], n, dense.shape[1], len(keys))
            overlap[start : start + n] = ours @ dense.T
            shared = (rare @ sparse).tocoo()
            overlap[start + shared.row, shared.col] += shared.data
        return overlap


def _split(
    rows: Integers, columns: Integers, n: int, n_frequent: int, n_columns: int
) -> tuple[NDArray[np.float32], csr_array]:
    """Return ones at (rows, columns) as a dense (n, F) and a sparse (n, R) part."""
    frequent = columns < n_frequent
    dense = np.zeros((n, n_frequent), dtype=np.float32)
    dense[rows[frequent], columns[frequent]] = 1.0
    place = (rows[~frequent], columns[~frequent] - n_frequent)
    ones = np.ones(len(place[0]), dtype=np.float32)
    return dense, csr_array((ones, place), shape=(n, n_columns - n_frequent))


def dots(queries: Levels, levels: Levels) -> Array:
    """Return Σ_f c_f(x) c_f(x') (q, n) of q queries with n objects."""
    found = [each.keys >> _LEVEL_BITS for each in (queries, levels)]
    features = np.unique(found[1])
    if len(features) == 0 or len(queries) == 0:
        return np.zeros((len(queries), len(levels)))
    ours, theirs = (
        _counts(each, rows, features) for each, rows in zip((queries, levels), found, strict=True)
    )
    product: Array = (ours @ theirs.T).toarray()
    return product


def squares(levels: Levels) -> Array:
    """Return Σ_f c_f(x)² (n,)."""
    found = levels.keys >> _LEVEL_BITS
    counts = _counts(levels, found, np.unique(found))
    total: Array = np.asarray(counts.multiply(counts).sum(axis=1), dtype=np.float64).reshape(len(levels))
    return total


def held(levels: Levels, reach: float) -> Array:
    """Return the factors (n,), at most 1, that bring the norms of counts down to a reach."""
    norms = np.sqrt(squares(levels))
    return np.divide(reach, norms, out=np.ones_like(norms), where=norms > reach)


def _counts(levels: Levels, found: Integers, features: Integers) -> csr_array:
    """Return the counts (n, F) of some features, sorted, given the feature of every key."""
    if len(features) == 0:
        return csr_array((len(levels), 0), dtype=np.float64)
    columns = np.searchsorted(features, found).clip(max=len(features) - 1)
    known = features[columns] == found
    rows = np.repeat(np.arange(len(levels)), levels.sizes)[known]
    # levels of one feature are as many entries at one place, which add up
    counts = csr_array((np.ones(len(rows)), (rows, columns[known])), shape=(len(levels), len(features)))
    counts.sum_duplicates()
    return counts


def tanimoto(overlap: Array, sizes: Integers, others: Integers) -> Array:
    """Return ∧ / (|x| + |x'| - ∧) from ∧ (q, n); two objects without any feature are alike."""
    union = sizes[:, None] + others[None, :] - overlap
    return np.divide(overlap, union, out=np.ones_like(overlap), where=union > 0)
