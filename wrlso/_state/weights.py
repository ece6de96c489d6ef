"""Weights of the data in training."""

from collections.abc import Callable

import numpy as np

from wrlso.weighting import RankWeighting, normalize_weights

__all__ = ["training_weights", "weigh"]


def training_weights(
    y: np.ndarray,
    n_unlabelled: int,
    largest_share: float,
    weighting: Callable[[np.ndarray], np.ndarray] | None,
) -> np.ndarray:
    """Return weights of mean 1: of points with larger-is-better values y (n,), then of those without."""
    n = len(y) + n_unlabelled
    share = min(largest_share, n_unlabelled / n) if len(y) else 1.0
    with_value = weigh(y, weighting) * ((1 - share) * n / max(len(y), 1))
    return np.concatenate([with_value, np.full(n_unlabelled, share * n / max(n_unlabelled, 1))])


def weigh(y: np.ndarray, weighting: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
    """Return checked weights (n,) of larger-is-better values; None: rank weighting, k = max(1e-3, 1/N)."""
    if len(y) == 0:
        return np.empty(0)
    chosen = RankWeighting(k=max(1e-3, 1 / len(y))) if weighting is None else weighting
    # no warning here: the trainer warns of a low effective sample size once for each training
    return normalize_weights(chosen(y), len(y), warn=False)
