"""Which values stand next to each other in arrays, and how often."""

import numpy as np
from scipy.sparse import csr_array

__all__ = ["neighbours"]


def neighbours(arrays: np.ndarray, n_classes: int | None) -> csr_array:
    """Return how often each pair of values occurs in n objects, as sparse counts int64 (n, P).

    Parameters
    ----------
    arrays : ndarray (n, ...)
        Class indices, or bits.
    n_classes : int or None
        Number k of classes; None: real numbers, which have no pairs.

    Returns
    -------
    csr_array
        With a column for each axis and ordered pair: P = k² times the number of axes, at least 1.
    """
    n, axes = len(arrays), range(1, arrays.ndim)
    if n_classes is None or not n or arrays.ndim == 1:
        return csr_array((n, 1), dtype=np.int64)
    values, k = arrays.astype(np.int64), int(n_classes)
    codes = []
    for axis in axes:
        first = np.take(values, np.arange(values.shape[axis] - 1), axis=axis)
        second = np.take(values, np.arange(1, values.shape[axis]), axis=axis)
        codes.append((((axis - 1) * k + first) * k + second).reshape(n, -1))
    found = np.concatenate(codes, axis=1)
    rows = np.repeat(np.arange(n), found.shape[1])
    counts = csr_array(
        (np.ones(found.size, dtype=np.int64), (rows, found.ravel())), shape=(n, len(axes) * k * k)
    )
    counts.sum_duplicates()
    return counts
