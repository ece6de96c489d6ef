"""Hyperparameters of the process on counts of substructures, by maximum a posteriori.

Symbols: K (n, n) correlations; t (n,) targets with variances λ; s the signal's variance; ρ the noise's
variance relative to it; μ the mean. t ~ N(μ, s K + diag(λ)), and λ = s ρ / n for the mean of n replicates.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize, minimize_scalar

from wrlso.surrogate.censoring import sites_given
from wrlso.surrogate.observations import Observations, known_of
from wrlso.surrogate.protocol import Array

__all__ = [
    "Fit",
    "evidence",
    "expected_signal",
    "maximize_evidence",
    "relative_noise",
    "settle",
    "with_told_noise",
]

_NOISE_BOUNDS = (1e-4, 10.0)  # of the noise's variance, relative to the signal's
_SIGNAL_BOUNDS = (1e-3, 1e3)
_NOISE_PRIOR = (float(np.log(1e-2)), 2.0)  # centre and width of its logarithm
_SIGNAL_PRIOR = (1.0, 1.0)  # shape and scale of the inverse gamma density of the signal's variance
_WARM = 1.5  # half width of the search for log noise around an earlier result
_CLOSE = 0.05  # error of log noise that is small enough
_MOST_TRIED = 25  # pairs of noise and signal


@dataclass(frozen=True)
class Fit:
    """What a fit finds."""

    value: float  # log marginal likelihood with priors
    signal: float  # the most probable one
    ratio: float
    mean: float


def maximize_evidence(K: Array, t: Observations, start: float | None) -> tuple[Fit, int]:
    """Return the best hyperparameters that were seen, and how many were tried; no target is a limit."""
    if not np.isnan(t.sd).all():
        return _maximize_both(K, t, start)
    lowest, highest = np.log(_NOISE_BOUNDS)
    low, high = lowest, highest
    if start is not None:
        low, high = max(lowest, np.log(start) - _WARM), min(highest, np.log(start) + _WARM)
    tried: list[Fit] = []

    def loss(log_ratio: float) -> float:
        tried.append(evidence(K, t, float(np.exp(log_ratio))))
        return -tried[-1].value

    options = {"xatol": _CLOSE}
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options=options)
    edges = (low > lowest and found.x < low + 2 * _CLOSE), (high < highest and found.x > high - 2 * _CLOSE)
    if any(edges):  # the data changed more than a warm start allows for
        bounds = (lowest, low) if edges[0] else (high, highest)
        minimize_scalar(loss, bounds=bounds, method="bounded", options=options)
    return max(tried, key=lambda fit: fit.value), len(tried)


def evidence(K: Array, t: Array | Observations, ratio: float) -> Fit:
    """Log marginal likelihood at a noise ratio, with signal and mean at their best, up to a constant.

    For targets whose noise is learned; the likelihood is that of all replicates.
    """
    known = known_of(t)
    n, y = len(known), known.y
    more, squares = known.spread()
    shifted = K.copy()
    shifted[np.diag_indices(n)] += ratio / known.n
    L = np.linalg.cholesky(shifted)
    ones, target = solve_triangular(L, np.stack([np.ones(n), y], axis=1), lower=True, check_finite=False).T
    mean = float(np.clip((ones @ target) / (ones @ ones), y.min(), y.max()))
    residual = target - mean * ones
    shape, scale = _SIGNAL_PRIOR
    freedom = 0.5 * (n + more) + shape + 1.0
    signal = float((0.5 * (residual @ residual + squares / ratio) + scale) / freedom)
    among = 0.5 * (more * np.log(ratio) + float(np.sum(np.log(known.n))))
    prior = 0.5 * ((np.log(ratio) - _NOISE_PRIOR[0]) / _NOISE_PRIOR[1]) ** 2
    value = (
        -freedom * (np.log(signal) + 1.0)
        - np.log(np.diag(L)).sum()
        - 0.5 * (n + more) * np.log(2.0 * np.pi)
        - among
        - prior
    )
    return Fit(float(value), signal, ratio, mean)


def _maximize_both(K: Array, t: Observations, start: float | None) -> tuple[Fit, int]:
    """Search for the signal's variance, too: where noise was told, its best value has no closed form."""
    tried: list[Fit] = []

    def loss(theta: Array) -> tuple[float, Array]:
        fit, slope = told_evidence(K, t, float(np.exp(theta[0])), float(np.exp(theta[1])))
        tried.append(fit)
        return -fit.value, -slope

    first = np.array([_NOISE_PRIOR[0] if start is None else np.log(start), 0.0])
    bounds = np.log([_NOISE_BOUNDS, _SIGNAL_BOUNDS])
    options = {"maxfun": _MOST_TRIED, "ftol": 1e-5}
    minimize(loss, first.clip(*bounds.T), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return max(tried, key=lambda fit: fit.value), len(tried)


def told_evidence(K: Array, t: Observations, ratio: float, signal: float) -> tuple[Fit, Array]:
    """Log marginal likelihood with priors at the best mean, and its gradient in (log ρ, log s)."""
    noise, n, learned = signal * ratio, len(t), np.isnan(t.sd)
    variances = t.variances(noise)
    L = np.linalg.cholesky(signal * K + np.diag(variances))
    ones, target = solve_triangular(L, np.stack([np.ones(n), t.y], axis=1), lower=True, check_finite=False).T
    mean = float(np.clip((ones @ target) / (ones @ ones), t.y.min(), t.y.max()))
    residual = target - mean * ones
    more, squares = t.spread()
    among = 0.5 * (more * np.log(2 * np.pi * noise) + squares / noise + np.sum(np.log(t.n[learned])))
    shape, scale = _SIGNAL_PRIOR
    deviation = (np.log(ratio) - _NOISE_PRIOR[0]) / _NOISE_PRIOR[1]
    prior = -(shape + 1.0) * np.log(signal) - scale / signal - 0.5 * deviation**2
    straight = 0.5 * (residual @ residual) + np.log(np.diag(L)).sum() + 0.5 * n * np.log(2.0 * np.pi)
    alpha = solve_triangular(L, residual, lower=True, trans=1, check_finite=False)
    slope = 0.5 * (np.outer(alpha, alpha) - cho_solve((L, True), np.eye(n)))
    by_noise = float(np.sum((np.diag(slope) * variances)[learned])) + 0.5 * (squares / noise - more)
    by_signal = signal * float(np.vdot(slope, K)) + by_noise - (shape + 1.0) + scale / signal
    gradient = np.array([by_noise - deviation / _NOISE_PRIOR[1], by_signal])
    return Fit(float(prior - straight - among), signal, ratio, mean), gradient


def with_told_noise(fit: Fit, t: Observations) -> Fit:
    """Return the fit with a measurement's mean noise, where that of all measurements was told."""
    told = t.sd[~t.censored]
    if len(told) == 0 or np.isnan(told).any():
        return fit
    return replace(fit, ratio=float(np.clip(np.mean(told**2) / fit.signal, *_NOISE_BOUNDS)))


def settle(fit: Fit, K: Array, t: Observations) -> Observations:
    """Return observations with the site of each limit at these hyperparameters."""
    rows = t.censored
    if not rows.any():
        return t
    noise, measured = fit.signal * fit.ratio, ~rows
    own = fit.signal * K[np.ix_(measured, measured)] + np.diag(t.variances(noise)[measured])
    L = np.linalg.cholesky(own)
    V = solve_triangular(L, fit.signal * K[np.ix_(measured, rows)], lower=True, check_finite=False)
    v = solve_triangular(L, t.y[measured] - fit.mean, lower=True, check_finite=False)
    covariance = fit.signal * K[np.ix_(rows, rows)] - V.T @ V
    return sites_given(t, fit.mean + V.T @ v, covariance, noise)


def expected_signal(fit: Fit, t: Observations) -> float:
    """Return the mean of the signal's variance given all measurements, of which the mean takes up one.

    It is the variance of the t distribution that the most probable signal stands for: from six values, the
    most probable one alone gives intervals of 90 % that hold 70 %.
    """
    shape, _ = _SIGNAL_PRIOR
    n = len(t) + t.spread()[0]
    return fit.signal * (0.5 * n + shape + 1.0) / max(0.5 * (n - 1) + shape - 1.0, 0.5)


def relative_noise(t: Observations, signal: float, ratio: float) -> Array:
    """Return the noise (n,) of each target relative to the signal."""
    return np.asarray(np.where(np.isnan(t.sd), ratio / t.n, t.variances(0.0) / signal))
