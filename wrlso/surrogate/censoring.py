"""Values of which only a limit is known, by expectation propagation.

A reading "> b" of f with noise variance σ² has the likelihood Φ((f - b) / σ) (Tobin, Econometrica 26, 1958).
Expectation propagation (Minka 2001; Rasmussen & Williams 2006, section 3.6) replaces each such factor by a
Gaussian one, its *site*: an observation with a variance of its own, which a process holds like any other. The
factors are log-concave: sites have positive variances, and updating one after the other converges.

Symbols: f = m + Gᵀ v with v ~ N(0, I), the censored points given all else; s = 1 for "above", -1 for "below";
z = s (μ - b) / √(V + σ²) with the cavity's mean μ and variance V; h(z) = φ(z) / Φ(z).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dger
from scipy.special import log_ndtr

from wrlso.surrogate.observations import Observations
from wrlso.surrogate.protocol import Array

__all__ = ["ROUNDS", "censored_log_density", "censored_sites", "first_guess", "sites_given"]

Side = NDArray[np.int8]
ROUNDS = 3  # fits of hyperparameters, with new sites after each
_BEYOND = 0.5  # how far beyond a limit a first guess is, in standard deviations of y, and its variance

_SWEEPS = 50
_CLOSE = 1e-6  # change of a posterior mean, in standard deviations, and of a log variance
_FAR = -30.0  # z below which h(z) is taken from its series
_LARGEST = 1e8  # site variance, times V + σ²: it says nothing any more
_LOG_ROOT_TAU = 0.5 * math.log(2.0 * math.pi)


def first_guess(t: Observations) -> Observations:
    """Return observations with a rough site for each limit, from which a first fit starts."""
    rows = t.censored
    values = t.y[rows] + _BEYOND * t.bound[rows]
    return t.with_sites(rows, values, np.full(len(values), _BEYOND))


def sites_given(t: Observations, mean: Array, covariance: Array, noise: float) -> Observations:
    """Return observations with the site of each limit.

    ``mean`` (c,) and ``covariance`` (c, c) are those of f at the limits given all else, ``noise`` is a
    measurement's variance.
    """
    rows = t.censored
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    G = np.sqrt(values.clip(0.0))[:, None] * vectors.T  # also where the covariance is singular
    return t.with_sites(rows, *censored_sites(mean, G, t.y[rows], t.bound[rows], t.variances(noise)[rows]))


def censored_log_density(mean: Array, variance: Array, limit: Array, side: Side) -> Array:
    """Log probabilities (c,) that measurements with this mean and variance lie beyond their limits."""
    return np.asarray(log_ndtr(side * (mean - limit) / np.sqrt(variance)))


def censored_sites(m: Array, G: Array, limit: Array, side: Side, noise: Array) -> tuple[Array, Array]:
    """Return the values and the variances (c,) of the sites of c censored readings.

    Parameters
    ----------
    m : ndarray (c,)
        Means of f given all else.
    G : ndarray (k, c)
        Gᵀ G is the covariance of f given all else.
    limit, side : ndarray (c,)
        The limits b, and 1 for a value above, -1 for one below.
    noise : ndarray (c,)
        Variance of each reading's noise, > 0.
    """
    if len(G) > len(m):
        G = np.asarray(np.linalg.qr(G, mode="r"))
    c, k = len(m), len(G)
    precision, shift = np.zeros(c), np.zeros(c)  # of the sites: 1 / variance, value / variance
    mean, S = np.zeros(k), np.eye(k, order="F")
    before = m.copy(), np.einsum("kc,kc->c", G, G)
    for _ in range(_SWEEPS):
        for i in range(c):
            g = G[:, i]
            w = S @ g
            V, mu = float(g @ w), float(m[i] + g @ mean)
            left = 1.0 - precision[i] * V
            if V <= 0.0 or left <= 1e-10:  # nothing is left to learn of f
                continue
            cavity = V / left
            value, variance = _site((mu - V * shift[i]) / left, cavity, limit[i], side[i], noise[i])
            more, moved = 1.0 / variance - precision[i], value / variance - shift[i]
            total = 1.0 + more * V
            mean = mean + w * ((moved - more * mu) / total)
            dger(-more / total, w, w, a=S, overwrite_a=1)  # in place
            precision[i], shift[i] = 1.0 / variance, value / variance
        # once more from the sites: rounding of many small steps would add up
        S = np.asfortranarray(np.linalg.inv(np.eye(k) + (G * precision) @ G.T))
        mean = S @ (G @ (shift - precision * m))
        now = m + G.T @ mean, np.einsum("kc,kl,lc->c", G, S, G, optimize=True)
        if _settled(before, now):
            break
        before = now
    precision = np.maximum(precision, 1.0 / (_LARGEST * (noise + np.einsum("kc,kc->c", G, G))))
    return shift / precision, 1.0 / precision


def _settled(before: tuple[Array, Array], now: tuple[Array, Array]) -> bool:
    variance = np.maximum(now[1], 1e-300)
    moved = np.abs(now[0] - before[0]) / np.sqrt(variance)
    narrowed = np.abs(np.log(variance / np.maximum(before[1], 1e-300)))
    return bool(max(moved.max(initial=0.0), narrowed.max(initial=0.0)) < _CLOSE)


def _site(mu: float, V: float, limit: float, side: float, noise: float) -> tuple[float, float]:
    """Return value and variance of the site that gives the cavity the moments of the true factor."""
    total = V + noise
    root = math.sqrt(total)
    h, rest = _hazard(side * (mu - limit) / root)
    curvature = h * rest  # in (0, 1)
    variance = total / max(curvature, 1.0 / _LARGEST) - V
    return mu + side * root / rest, max(variance, noise)


def _hazard(z: float) -> tuple[float, float]:
    """Return h(z) = φ(z) / Φ(z), and z + h(z)."""
    if z < _FAR:
        rest = -1.0 / z * (1.0 - 2.0 / z**2 + 10.0 / z**4)
        return rest - z, rest
    h = math.exp(-0.5 * z * z - _LOG_ROOT_TAU - float(log_ndtr(z)))
    return h, z + h
