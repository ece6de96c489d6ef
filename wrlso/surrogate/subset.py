"""The part of the data that a surrogate is fitted to (appendix C.2)."""

import numpy as np
from numpy.typing import NDArray

from wrlso.surrogate.protocol import Array

__all__ = ["select_subset"]


def select_subset(
    y: Array, n_best: int, n_random: int, rng: np.random.Generator, *, n_latest: int = 0
) -> NDArray[np.int64]:
    """Indices of at most n_best + n_random values, in O(N); the order of the data is kept.

    The last ``n_latest`` are among them, half of all at most. The others are the best and random ones, in the
    proportion of ``n_best`` and ``n_random``. The latest values are those that the search asked for; without
    its failures it would repeat them. Without the random ones it would forget what is ordinary.
    """
    n, size = len(y), n_best + n_random
    if n <= size:
        return np.arange(n)
    n_latest = min(n_latest, size // 2)
    n_earlier, n_random = n - n_latest, -(-n_random * (size - n_latest) // max(size, 1))
    n_best = size - n_latest - n_random
    order = np.argpartition(y[:n_earlier], n_earlier - n_best) if n_best > 0 else np.arange(n_earlier)
    best, rest = order[n_earlier - n_best :], order[: n_earlier - n_best]
    others = rng.choice(rest, size=n_random, replace=False)
    return np.sort(np.concatenate([best, others, np.arange(n_earlier, n)]))
