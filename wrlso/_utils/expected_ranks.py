"""What the rank of an uncertain value is worth: E[1 / (c + rank)] where values are known up to an error."""

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["expected_share"]

_N_LEVELS = 16  # quantiles of a value at which its rank is looked up
_N_VALUES = 20_000  # of others with which it is compared, by drawing all of them again and again
_MOST_DRAWS = 64


def expected_share(mean: np.ndarray, sd: np.ndarray, offset: float) -> np.ndarray:
    """Return E[1 / (offset + rank)] (n,) of independent normal values; rank counts the larger ones.

    Parameters
    ----------
    mean, sd : ndarray (n,)
        Of each value; sd ≥ 0.
    offset : float
        k times N of Eq. 3, > 0.

    Notes
    -----
    Each value is taken at the middles of 16 quantile ranges, the others as drawn: a few draws of many values,
    and 64 of few, always the same ones. A value's own draw is taken out by its expectation at that quantile.
    So equal points get equal results, of two with one sd the larger mean gets the larger result, and without
    any error it is 1 / (offset + rank) itself.
    """
    n = len(mean)
    n_draws = int(np.clip(_N_VALUES // max(n, 1), 4, _MOST_DRAWS))
    levels = (np.arange(_N_LEVELS) + 0.5) / _N_LEVELS
    z, rng = ndtri(levels), np.random.default_rng(0)
    own = np.where(sd > 0, 1.0, 0.0)
    total = np.zeros(n)
    for _ in range(n_draws):
        ascending = np.sort(mean + sd * rng.standard_normal(n))
        for quantile in z:
            larger = n - np.searchsorted(ascending, mean + sd * quantile, side="right")
            total += 1 / (offset + np.maximum(larger - own * ndtr(-quantile), 0.0))
    return np.asarray(total / (n_draws * _N_LEVELS))
