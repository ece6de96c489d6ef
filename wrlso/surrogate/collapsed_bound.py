"""Linear algebra of the sparse Gaussian process: collapsed bound with gradient, posterior.

Symbols: X (n, d) inputs, U (m, d) inducing points, both in units of the lengthscales where a function says
"scaled"; s outputscale, v linear part, σ² noise variance, μ constant mean; L Lᵀ = K_uu + jitter;
A = L⁻¹ K_uf (m, n); B = I + A Aᵀ / σ²; R any matrix with Rᵀ R = B⁻¹; r = y - μ.

Source: Titsias, "Variational Learning of Inducing Variables in Sparse Gaussian Processes", AISTATS 2009,
Eqs. 6 (optimal q), 9 (bound). The bound depends on K_uf only through A, so its gradient is written out here:
it costs one triangular solve, one symmetric product and one product of size n m², which is about half of what
automatic differentiation would spend.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dger
from scipy.linalg.lapack import dtrtri

from wrlso.surrogate.kernels import Hyperparameters, add_linear_part, correlation, covariance
from wrlso.surrogate.linear_algebra import safe_cholesky
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.sparse_posterior import Posterior

__all__ = ["Evidence", "build_posterior", "evidence"]


@dataclass(frozen=True)
class Evidence:
    """Value of the collapsed bound, its gradients, the mean μ and the jitter used."""

    value: float
    gradient: Array  # in the log parameters, of the length of Hyperparameters.to_log()
    slope: Array  # (m, d) in the inducing points; empty where it was not asked for
    mean: float
    jitter: float


@dataclass(frozen=True)
class _Factors:
    """Everything that bound, gradient and posterior share."""

    L: Array
    At: Array  # (n, m), the transpose of A
    P: Array  # A Aᵀ
    B: Array
    LB: Array
    mean: float
    residual: Array  # y - μ
    v: Array  # A (y - μ)
    jitter: float


def _profile_mean(At: Array, LB: Array, y: Array, noise: float) -> float:
    """Generalised least-squares estimate of the constant mean: 1ᵀΣ⁻¹y / 1ᵀΣ⁻¹1 with Σ = Q + σ² I."""
    ones = np.ones_like(y)
    both = solve_triangular(LB, At.T @ np.stack([ones, y], axis=1), lower=True, check_finite=False)
    denominator = len(y) - both[:, 0] @ both[:, 0] / noise
    numerator = float(np.sum(y)) - both[:, 0] @ both[:, 1] / noise
    estimate = numerator / denominator if denominator > 1e-12 * len(y) else float(np.mean(y))
    return float(np.clip(estimate, y.min(), y.max()))


def _factorize(
    hyper: Hyperparameters, Kfu: Array, Kuu: Array, y: Array, jitter: float, mean: float | None
) -> _Factors:
    """Factorise; ``Kfu`` is overwritten."""
    L, used = safe_cholesky(Kuu, hyper.scale, jitter)
    At = solve_triangular(L, Kfu.T, lower=True, overwrite_b=True, check_finite=False).T
    P = At.T @ At
    B = P / hyper.noise
    B[np.diag_indices_from(B)] += 1.0
    LB, _ = safe_cholesky(B, 1.0, 0.0)
    mu = _profile_mean(At, LB, y, hyper.noise) if mean is None else mean
    residual = y - mu
    return _Factors(L, At, P, B, LB, mu, residual, At.T @ residual, used)


def evidence(
    hyper: Hyperparameters,
    X: Array,
    U: Array,
    y: Array,
    *,
    jitter: float = 1e-8,
    mean: float | None = None,
    slope: bool = False,
) -> Evidence:
    """Collapsed variational bound of Titsias (2009, Eq. 9) and its gradient.

    Parameters
    ----------
    hyper : Hyperparameters
        Kernel, lengthscales, outputscale, linear part and noise variance.
    X, U, y : ndarray of float64, (n, d), (m, d), (n,)
        Inputs, inducing points and targets.
    jitter : float
        Smallest multiple of the prior variance s + v on the diagonal of K_uu.
    mean : float or None
        Constant mean; None takes the one that maximises the bound, which needs no gradient of its own.
    slope : bool
        Whether the gradient in the inducing points is wanted, too.

    Returns
    -------
    Evidence
        The bound is at most the exact log marginal likelihood, and equals it when U = X.
    """
    s, noise, n = hyper.outputscale, hyper.noise, len(y)
    Xs, Us = X / hyper.lengthscale, U / hyper.lengthscale
    kappa_fu, g_fu = correlation(Xs, Us, hyper.shape, slope=True)
    kappa_uu, g_uu = correlation(Us, Us, hyper.shape, slope=True)
    Kfu, Kuu = add_linear_part(hyper, s * kappa_fu, X, U), add_linear_part(hyper, s * kappa_uu, U, U)
    f = _factorize(hyper, Kfu, Kuu, y, jitter, mean)
    c = solve_triangular(f.LB, f.v, lower=True, check_finite=False) / noise
    beta = solve_triangular(f.LB, c, lower=True, trans=1, check_finite=False)
    square = f.residual @ f.residual / noise
    straight = hyper.linear * float(np.mean(X * X)) * n  # the linear part's share of tr K_ff
    trace = (n * s + straight - np.trace(f.P)) / noise
    logdet = 2.0 * np.sum(np.log(np.diag(f.LB)))
    value = -0.5 * (n * np.log(2.0 * np.pi * noise) + logdet + square - c @ c + trace)

    D_fu, D_uu, B_inverse_trace = _kernel_gradients(f, beta, noise)
    by_jitter = f.jitter * np.trace(D_uu)
    gradient = np.empty(len(hyper.to_log()))
    d = X.shape[1]
    gradient[d] = s * (np.vdot(D_fu, kappa_fu) + np.vdot(D_uu, kappa_uu) + by_jitter - 0.5 * n / noise)
    if hyper.linear:
        products = (np.vdot(D_fu @ U, X) + np.vdot(D_uu @ U, U)) / d
        gradient[d + 1] = hyper.linear * (products + by_jitter) - 0.5 * straight / noise
    gradient[-1] = 0.5 * (-n + len(U) - B_inverse_trace + square - beta @ beta - f.v @ beta / noise + trace)
    straight_slope: Any = 0.0
    if slope and hyper.linear:
        straight_slope = hyper.linear / d * (D_fu.T @ X + 2.0 * (D_uu @ U))
    # from here on D is the gradient in the squared distances, up to -1/2
    D_fu *= g_fu
    D_uu *= g_uu
    toward_data, toward_others = D_fu.T @ Xs, D_uu @ Us
    by_point = D_fu.sum(0) + 2.0 * D_uu.sum(0)
    squares = D_fu.sum(1) @ Xs**2 + by_point @ Us**2
    gradient[:d] = s * (squares - 2.0 * np.einsum("mj,mj->j", toward_data + toward_others, Us))
    by_inducing = np.empty((0, d))
    if slope:
        moved = toward_data + 2.0 * toward_others - by_point[:, None] * Us
        by_inducing = straight_slope + s / hyper.lengthscale * moved
    return Evidence(float(value), gradient, by_inducing, f.mean, f.jitter)


def _kernel_gradients(f: _Factors, beta: Array, noise: float) -> tuple[Array, Array, float]:
    """Gradients of the bound in K_fu (n, m) and K_uu (m, m), and tr B⁻¹."""
    identity = np.eye(len(beta))
    root = _inverse(f.LB)
    B_inverse = root.T @ root
    outer = np.outer(beta, beta)
    L_inverse = _inverse(f.L)
    D_uu = -0.5 * L_inverse.T @ (f.B + B_inverse - 2.0 * identity + outer) @ L_inverse
    D_fu = f.At @ (((identity - B_inverse - outer) / noise) @ L_inverse)
    dger(1.0, (beta / noise) @ L_inverse, f.residual, a=D_fu.T, overwrite_a=1)  # adds to D_fu in place
    return D_fu, D_uu, float(np.trace(B_inverse))


def _inverse(L: Array) -> Array:
    """Inverse of a lower triangular matrix, which is lower triangular as well."""
    # LAPACK works on columns: the transpose of a row-major array is what it can take without a copy.
    return np.asarray(dtrtri(L.T, lower=0)[0]).T


def build_posterior(
    hyper: Hyperparameters,
    X: Array,
    U: Array,
    y: Array,
    center: Array,
    scale: Array,
    jitter: float,
    mean: float | None = None,
) -> tuple[Posterior, float]:
    """Optimal q(u) of Titsias (2009, Eq. 6) for standardised X, U, y, and the jitter that was used.

    ``center`` and ``scale`` (d,) say how raw Z was standardised, so that the posterior takes raw Z. A mean of
    None is the most likely one.
    """
    f = _factorize(hyper, covariance(hyper, X, U), covariance(hyper, U, U), y, jitter, mean)
    R = _inverse(f.LB)
    h = f.v / hyper.noise
    tensor = torch.from_numpy
    L, R, Us = np.ascontiguousarray(f.L), np.ascontiguousarray(R), np.ascontiguousarray(U / hyper.lengthscale)
    posterior = Posterior(
        hyper,
        tensor(hyper.lengthscale * scale),
        tensor(center),
        tensor(Us),
        tensor(L),
        tensor(R),
        tensor(h),
        tensor(R @ h),
        f.mean,
    )
    return posterior, f.jitter
