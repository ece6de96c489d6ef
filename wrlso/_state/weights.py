"""Weights of the data in training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wrlso.weighting import Progress, RankWeighting, normalize_weights

__all__ = ["training_weights", "weigh", "weighting_now"]

_N_BEST = 10.0  # kN of the default: the number of best points that weigh about the same


def training_weights(
    y: np.ndarray,
    n_start: int,
    n_unlabelled: int,
    largest_share: float,
    weighting: Callable[[np.ndarray], np.ndarray] | None,
) -> np.ndarray:
    """Return weights of mean 1: of points with larger-is-better values y (n,), then of those without."""
    n = len(y) + n_unlabelled
    share = min(largest_share, n_unlabelled / n) if len(y) else 1.0
    with_value = weigh(y, n_start, weighting) * ((1 - share) * n / max(len(y), 1))
    return np.concatenate([with_value, np.full(n_unlabelled, share * n / max(n_unlabelled, 1))])


def weigh(y: np.ndarray, n_start: int, weighting: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
    """Return checked weights (n,) of larger-is-better values, in the order of telling."""
    if len(y) == 0:
        return np.empty(0)
    # no warning here: the trainer warns of a low effective sample size once for each training
    return normalize_weights(weighting_now(y, n_start, weighting)(y), len(y), warn=False)


def weighting_now(
    y: np.ndarray, n_start: int, weighting: Callable[[np.ndarray], np.ndarray] | None
) -> Callable[[np.ndarray], Any]:
    """Return the weighting at this point of a search; None: rank weighting with kN = 10, and k ≥ 1e-3."""
    if weighting is None:
        return RankWeighting(k=max(1e-3, _N_BEST / len(y)))
    return weighting.at(Progress.of(y, n_start)) if isinstance(weighting, RankWeighting) else weighting
