"""The probability that an experiment succeeds, learned from those that did and those that failed.

Several predictors see the same outcomes: a process on where points lie in Z, one on features of x, and a
noisy-or of its parts (:mod:`wrlso.surrogate.noisy_or`). A logistic regression on what each would have
predicted of an outcome, given those before it, joins them. Its slopes are 0 a priori: a few failures say that
there are failures, and only predictions that come true say where. All is computed from the outcomes at once,
so that no state is kept between asks.

Symbols: s outcome, 1 success and -1 failure; m(x) a predictor's value; p = σ(b + Σ v m), v ≥ 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit
from torch import Tensor

from wrlso._utils.copies import keep
from wrlso.models.protocol import HasParts, LatentModel
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.surrogate.minmax_kernel import Overlaps, expand, tanimoto
from wrlso.surrogate.morgan import MorganCounts
from wrlso.surrogate.noisy_or import NoisyOr
from wrlso.surrogate.points import features_of
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.tanimoto_gp import TanimotoGP

__all__ = ["MOST_OUTCOMES", "SuccessModel", "Traits", "traits_of"]

MOST_OUTCOMES = 1000  # that the probability is learned from
_PROCESS = 300  # the latest of them, which processes see
_HALF_LIFE = 50.0  # outcomes after which one counts half: what is proposed changes as a search goes on
_WIDTHS = (0.1, 0.4, 1.6)  # squares of lengthscales, in median squared distances
_NOISES = (0.1, 1.0)  # variances of the noise, relative to the signal's
_SLOPE = 1.0  # standard deviation of slopes a priori
_LEVEL = (2.0, 1.5)  # mean and standard deviation of b a priori: most experiments succeed
_LEAST = 1e-6  # nothing is thought impossible


@dataclass(frozen=True)
class Traits:
    """What is known of n objects, None for what is not: Z (n, d), features (n, D), counts of parts (n, P)."""

    Z: Tensor | None
    features: Tensor | None = None
    parts: csr_array | None = None


def traits_of(surrogate: Any, model: LatentModel, X: Sequence[Any], Z: Tensor) -> Traits:
    """Return what the model and the surrogate know of n objects with latent points Z (n, d)."""
    parts = csr_array(model.parts(X)) if isinstance(model, HasParts) else None
    features = features_of(model, X)
    if isinstance(surrogate, TanimotoGP):  # copies: a function that changes its arguments must not change X
        parts = csr_array((surrogate.fingerprint or MorganCounts())([keep(x) for x in X]))
    elif isinstance(surrogate, FeatureGP):
        found = np.asarray(surrogate.features([keep(x) for x in X]), dtype=np.float64)
        features = torch.from_numpy(found)
    return Traits(Z.to("cpu", torch.float64), features, parts)


class _Predictor(Protocol):
    """One of several predictors of success."""

    @property
    def in_advance(self) -> Array:
        """Return m (k,) of the last outcomes that it was fitted to, each given only those before it."""

    def values(self, traits: Traits) -> Array:
        """Return m (q,) of other objects."""


@dataclass(frozen=True)
class SuccessModel:
    """The probability of success of objects, given the outcomes of others.

    Attributes
    ----------
    predictors : list
    level, slopes, centers : float, ndarray (k,), ndarray (k,)
        Of the logistic regression: b, v, and the means of m.
    """

    predictors: list[Any]
    level: float
    slopes: Array
    centers: Array

    @classmethod
    def fit(cls, traits: Traits, success: NDArray[np.bool_]) -> "SuccessModel":
        """Fit to n objects, the latest last, and whether each succeeded (n,)."""
        weights = 0.5 ** (np.arange(len(success))[::-1] / _HALF_LIFE)
        predictors: list[_Predictor] = [_Process.fit("Z", traits, success)]
        if traits.features is not None:
            predictors.append(_Process.fit("features", traits, success))
        if traits.parts is not None and traits.parts.nnz:
            predictors.append(_Process.fit("parts", traits, success))
            predictors.append(_Causes.fit(traits.parts, success, weights))
        last = slice(-_PROCESS, None)
        m = np.stack([each.in_advance[last] for each in predictors], axis=1)
        centers = weights[last] @ m / weights[last].sum()
        level, slopes = _logistic(m - centers, success[last], weights[last])
        return cls(predictors, level, slopes, centers)

    def probability(self, traits: Traits) -> Array:
        """Return the probability of success (q,) of q objects, between 1e-6 and 1."""
        m = np.stack([each.values(traits) for each in self.predictors], axis=1)
        return np.asarray(_LEAST + (1.0 - _LEAST) * expit(self.level + (m - self.centers) @ self.slopes))


@dataclass(frozen=True)
class _Process:
    """A Gaussian process on outcomes ±1 with a kernel of unit variance: m is its mean, without that of s."""

    name: str
    known: Any  # what the kernel compares with
    width: float
    weights: Array  # (n,)
    in_advance: Array  # (n,)

    @classmethod
    def fit(cls, name: str, traits: Traits, success: NDArray[np.bool_]) -> "_Process":
        known = _seen(name, traits)[-_PROCESS:]
        s = np.where(success[-_PROCESS:], 1.0, -1.0)
        t = s - s.mean()
        found: list[tuple[float, _Process]] = []
        for width in (1.0,) if name == "parts" else [each * _typical(known) for each in _WIDTHS]:
            K = _kernel(known, known, width)
            for noise in _NOISES:
                root = cholesky(K + noise * np.eye(len(t)), lower=True, check_finite=False)
                half = solve_triangular(root, t, lower=True, check_finite=False)
                errors = np.diag(root) * half  # of each outcome given those before it
                weights = solve_triangular(root, half, lower=True, trans="T", check_finite=False)
                found.append((float(errors @ errors), cls(name, known, width, weights, t - errors)))
        return min(found, key=lambda each: each[0])[1]

    def values(self, traits: Traits) -> Array:
        """Return the means (q,)."""
        return np.asarray(_kernel(_seen(self.name, traits), self.known, self.width) @ self.weights)


@dataclass(frozen=True)
class _Causes:
    """A noisy-or of parts: m is the log of its probability."""

    model: NoisyOr

    @classmethod
    def fit(cls, parts: csr_array, success: NDArray[np.bool_], weights: Array) -> "_Causes":
        return cls(NoisyOr.fit(parts, success, weights))

    @property
    def in_advance(self) -> Array:
        """Return log p (n,) of each outcome given those before it."""
        return self.model.in_advance

    def values(self, traits: Traits) -> Array:
        """Return log p (q,)."""
        return self.model.log_success(traits.parts)


def _seen(name: str, traits: Traits) -> Any:
    """Return what a process sees of objects."""
    return traits.parts if name == "parts" else np.asarray(getattr(traits, name).numpy())


def _typical(X: Array) -> float:
    """Return the median squared distance of objects, positive."""
    squares = _squares(X, X)[np.triu_indices(len(X), 1)]
    squares = squares[squares > 0]
    return float(np.median(squares)) if len(squares) else 1.0


def _squares(X: Array, U: Array) -> Array:
    found = np.einsum("ij,ij->i", X, X)[:, None] + np.einsum("ij,ij->i", U, U) - 2.0 * (X @ U.T)
    return np.asarray(np.maximum(found, 0.0))


def _kernel(X: Any, U: Any, width: float) -> Array:
    if isinstance(X, csr_array):
        ours, theirs = expand(X), expand(U)
        return tanimoto(Overlaps(theirs).of(ours), ours.sizes, theirs.sizes)
    return np.asarray(np.exp(-0.5 * _squares(X, U) / width))


def _logistic(m: Array, success: NDArray[np.bool_], weights: Array) -> tuple[float, Array]:
    """Return b and v ≥ 0 of the largest posterior density."""
    s = np.where(success, 1.0, -1.0)

    def loss(theta: Array) -> tuple[float, Array]:
        b, v = theta[0], theta[1:]
        u = s * (b + m @ v)
        slope = -weights * s * expit(-u)
        value = float(weights @ np.logaddexp(0.0, -u))
        value += 0.5 * ((b - _LEVEL[0]) / _LEVEL[1]) ** 2 + 0.5 * float(v @ v) / _SLOPE**2
        gradient = [slope.sum() + (b - _LEVEL[0]) / _LEVEL[1] ** 2, *(m.T @ slope + v / _SLOPE**2)]
        return value, np.array(gradient)

    start = np.array([_LEVEL[0], *np.zeros(m.shape[1])])
    bounds = [(None, None), *[(0.0, None)] * m.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]
