"""Weights of the data in training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wrlso.weighting import Progress, RankWeighting, normalize_weights

__all__ = ["Beliefs", "training_weights", "weigh", "weighting_now"]

Beliefs = tuple[np.ndarray, np.ndarray]  # mean and standard deviation
_N_BEST = 10.0  # kN of the default: the number of best points that weigh about the same


def training_weights(
    y: np.ndarray,
    n_start: int,
    n_unlabelled: int,
    largest_share: float,
    weighting: Callable[[np.ndarray], np.ndarray] | None,
    believed: Beliefs | None = None,
) -> np.ndarray:
    """Return weights of mean 1: of points with larger-is-better values y (n,), then of those without."""
    n = len(y) + n_unlabelled
    share = min(largest_share, n_unlabelled / n) if len(y) else 1.0
    with_value = weigh(y, n_start, weighting, believed) * ((1 - share) * n / max(len(y), 1))
    return np.concatenate([with_value, np.full(n_unlabelled, share * n / max(n_unlabelled, 1))])


def weigh(
    y: np.ndarray,
    n_start: int,
    weighting: Callable[[np.ndarray], np.ndarray] | None,
    believed: Beliefs | None = None,
) -> np.ndarray:
    """Return checked weights (n,) of larger-is-better values, in the order of telling.

    ``believed`` are mean and standard deviation (n,) of the values where these are noisy: a rank weighting
    takes the expectation over them.
    """
    if len(y) == 0:
        return np.empty(0)
    now = weighting_now(y, n_start, weighting)
    if believed is not None and isinstance(now, RankWeighting):
        return now.expected(*believed)
    # no warning here: the trainer warns of a low effective sample size once for each training
    return normalize_weights(now(y), len(y), warn=False)


def weighting_now(
    y: np.ndarray, n_start: int, weighting: Callable[[np.ndarray], np.ndarray] | None
) -> Callable[[np.ndarray], Any]:
    """Return the weighting at this point of a search; None: rank weighting with kN = 10, and k ≥ 1e-3."""
    if weighting is None:
        return RankWeighting(k=max(1e-3, _N_BEST / len(y)))
    return weighting.at(Progress.of(y, n_start)) if isinstance(weighting, RankWeighting) else weighting
