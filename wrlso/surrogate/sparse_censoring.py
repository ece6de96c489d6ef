"""Limits in the sparse process: each becomes a site, an observation with a variance of its own."""

import numpy as np
import torch

from wrlso.surrogate.censoring import censored_sites, sites_given
from wrlso.surrogate.collapsed_bound import build_posterior
from wrlso.surrogate.kernels import Hyperparameters, prior_variance
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.sparse_posterior import Posterior

__all__ = ["condition", "settle"]


def settle(
    hyper: Hyperparameters, X: Array, U: Array, known: Observations, mean: float, jitter: float
) -> Observations:
    """Return observations with the site of each limit at these hyperparameters; X and U are scaled."""
    rows = known.censored
    if not rows.any():
        return known
    nothing = known.with_sites(rows, known.y[rows], np.full(rows.sum(), np.inf))
    d = X.shape[1]
    posterior, _ = build_posterior(hyper, X, U, nothing, np.zeros(d), np.ones(d), jitter, mean)
    x, a, b = posterior.features(torch.from_numpy(X[rows]))
    unexplained = (prior_variance(hyper, x) - (a * a).sum(0)).clamp_min(0.0).numpy()
    y, variance = censored_sites(
        mean + (b.T @ posterior.c).numpy(),
        b.numpy(),
        known.y[rows],
        known.bound[rows],
        known.variances(hyper.noise)[rows] + unexplained,
    )
    return known.with_sites(rows, y, variance)


def condition(posterior: Posterior, Z: Array, known: Observations, most: int) -> Posterior:
    """Add observations at raw Z, each as an inducing point as long as there are fewer than ``most``.

    Limits come last, all at once: what was measured tells where their points lie.
    """
    points, limits = torch.from_numpy(Z), known.censored
    for rows in (np.flatnonzero(~limits), np.flatnonzero(limits)):
        part, noise = known[rows], posterior.hyper.noise
        if part.censored.any():
            mean, covariance = posterior.covariance(points[torch.from_numpy(rows)])
            part = sites_given(part, mean.numpy(), covariance.numpy(), noise)
        for i, value, variance in zip(rows, part.y, part.variances(noise), strict=True):
            posterior = posterior.condition(points[i], float(value), len(posterior.U) < most, float(variance))
    return posterior
