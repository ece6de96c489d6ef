"""Covariance functions of the sparse Gaussian process, on arrays and, differentiably, on tensors.

k(x, x') = s κ(r) + v ⟨x, x'⟩ / d, where κ is a correlation of the distance r in units of the lengthscales,
and only kernels named "linear+…" have the linear part. It is taken about the centre of the data and has one
scale for all dimensions: κ's lengthscales are long where the function is straight, so that they cannot serve
both. Away from the data κ goes to 0, and the linear part remains.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso.surrogate.protocol import Array

__all__ = [
    "KERNELS",
    "Hyperparameters",
    "correlation",
    "covariance",
    "cross_covariance",
    "prior_variance",
]

KERNELS: tuple[str, ...] = ("rbf", "matern52", "linear+rbf", "linear+matern52")

_CHUNK = 512  # rows of a kernel matrix that are worked on while they stay in cache


@dataclass(frozen=True)
class Hyperparameters:
    """Kernel and likelihood parameters, for inputs and targets that are already standardised."""

    kernel: str
    lengthscale: Array  # (d,)
    outputscale: float  # s
    noise: float  # variance σ²
    linear: float = 0.0  # v, variance of the linear part at an average point

    @classmethod
    def from_log(cls, kernel: str, theta: Array) -> "Hyperparameters":
        """Build from (log ℓ_1 … log ℓ_d, log s, log v where the kernel has it, log σ²)."""
        values = np.exp(theta)
        last = 3 if has_linear_part(kernel) else 2
        linear = float(values[-2]) if last == 3 else 0.0
        return cls(kernel, values[:-last], float(values[-last]), float(values[-1]), linear)

    def to_log(self) -> Array:
        """Return the vector (log ℓ_1 … log ℓ_d, log s, log v where there is one, log σ²)."""
        linear = [self.linear] if has_linear_part(self.kernel) else []
        return np.asarray(np.log([*self.lengthscale, self.outputscale, *linear, self.noise]))

    @property
    def shape(self) -> str:
        """Name of the correlation κ."""
        return self.kernel.rpartition("+")[2]

    @property
    def scale(self) -> float:
        """Prior variance at an average point."""
        return self.outputscale + self.linear


def has_linear_part(kernel: str) -> bool:
    """Whether the kernel's name says that it has a linear part."""
    return kernel.startswith("linear+")


def correlation(X: Array, U: Array, shape: str, slope: bool = False) -> tuple[Array, Array]:
    """Correlations (n, m) between X and U in units of the lengthscales, and their slopes.

    The slope is g with ∂κ / ∂ log ℓ_j = g · (x_j - u_j)²; it is κ itself for the RBF kernel, and an empty
    array when it is not asked for.
    """
    n, m = len(X), len(U)
    kappa = np.empty((n, m))
    g = kappa if shape == "rbf" else np.empty((n, m) if slope else (0, m))
    squares = np.einsum("ij,ij->i", U, U)
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        x = X[rows]
        r2 = np.dot(x, U.T, out=kappa[rows])
        r2 *= -2.0
        r2 += squares
        r2 += np.einsum("ij,ij->i", x, x)[:, None]
        np.maximum(r2, 0.0, out=r2)
        if shape == "rbf":
            r2 *= -0.5
            np.exp(r2, out=r2)
            continue
        r2 *= 5.0
        r = np.sqrt(r2)
        decay = np.exp(-r)
        r += 1.0
        r2 /= 3.0
        r2 += r
        r2 *= decay
        if slope:
            np.multiply(r, decay, out=g[rows])
            g[rows] *= 5.0 / 3.0
    return kappa, g


def covariance(hyper: Hyperparameters, X: Array, U: Array) -> Array:
    """Covariances (n, m) between standardised X (n, d) and U (m, d)."""
    K = correlation(X / hyper.lengthscale, U / hyper.lengthscale, hyper.shape)[0]
    return add_linear_part(hyper, np.multiply(K, hyper.outputscale, out=K), X, U)


def add_linear_part(hyper: Hyperparameters, K: Array, X: Array, U: Array) -> Array:
    """Add v ⟨x, u⟩ / d to K (n, m), in place, and return it."""
    if hyper.linear:
        K += (hyper.linear / X.shape[1] * X) @ U.T
    return K


def _torch_correlation(X: Tensor, U: Tensor, shape: str) -> Tensor:
    """Correlations (n, m) of points in units of the lengthscales, differentiable everywhere."""
    r2 = (X * X).sum(1)[:, None] + (U * U).sum(1) - 2.0 * (X @ U.T)
    if shape == "rbf":
        return torch.exp(-0.5 * r2.clamp_min(0.0))
    r = torch.sqrt(5.0 * r2.clamp_min(1e-30))
    return (1.0 + r + r * r / 3.0) * torch.exp(-r)


def cross_covariance(hyper: Hyperparameters, X: Tensor, U: Tensor) -> Tensor:
    """Covariances (n, m), differentiable, of points in units of the lengthscales."""
    K = hyper.outputscale * _torch_correlation(X, U, hyper.shape)
    return K + (X * _linear_weights(hyper)) @ U.T if hyper.linear else K


def prior_variance(hyper: Hyperparameters, X: Tensor) -> Any:
    """Prior variance, a tensor (n,) where it varies, of points in units of the lengthscales."""
    if not hyper.linear:
        return hyper.outputscale
    return hyper.outputscale + (X * X) @ _linear_weights(hyper)


def _linear_weights(hyper: Hyperparameters) -> Tensor:
    """Return v ℓ² / d (d,), which turns products in units of the lengthscales into the linear part."""
    return torch.from_numpy(hyper.linear / len(hyper.lengthscale) * hyper.lengthscale**2)
