"""Linear algebra of the sparse Gaussian process: collapsed bound with gradient, posterior.

Symbols: X (n, d) inputs, U (m, d) inducing points, both in units of the lengthscales where a function says
"scaled"; s outputscale, v linear part, σ² noise variance, μ constant mean; L Lᵀ = K_uu + jitter;
A = L⁻¹ K_uf (m, n); B = I + A Aᵀ / σ²; R any matrix with Rᵀ R = B⁻¹; r = y - μ.

Observations with variances λ of their own are brought to the variance σ²: with ω = √(σ² / λ), rows of K_fu
and r are multiplied by ω. All that is said of A and r below holds for these; ω = 1 changes no bit.

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
from wrlso.surrogate.observations import Observations, known_of
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
    residual: Array  # ω (y - μ)
    v: Array  # A r
    jitter: float


def _profile_mean(At: Array, LB: Array, y: Array, omega: Array, noise: float) -> float:
    """Generalised least-squares estimate of the constant mean: 1ᵀΣ⁻¹y / 1ᵀΣ⁻¹1 with Σ = Q + diag(λ)."""
    scaled = omega * y
    both = solve_triangular(LB, At.T @ np.stack([omega, scaled], axis=1), lower=True, check_finite=False)
    total = float(np.sum(omega * omega))
    denominator = total - both[:, 0] @ both[:, 0] / noise
    numerator = float(np.sum(omega * scaled)) - both[:, 0] @ both[:, 1] / noise
    estimate = numerator / denominator if denominator > 1e-12 * total else float(np.mean(y))
    return float(np.clip(estimate, y.min(), y.max()))


def _factorize(
    hyper: Hyperparameters,
    Kfu: Array,
    Kuu: Array,
    y: Array,
    omega: Array,
    jitter: float,
    mean: float | None,
) -> _Factors:
    """Factorise; ``Kfu`` is overwritten."""
    Kfu *= omega[:, None]
    L, used = safe_cholesky(Kuu, hyper.scale, jitter)
    At = solve_triangular(L, Kfu.T, lower=True, overwrite_b=True, check_finite=False).T
    P = At.T @ At
    B = P / hyper.noise
    B[np.diag_indices_from(B)] += 1.0
    LB, _ = safe_cholesky(B, 1.0, 0.0)
    mu = _profile_mean(At, LB, y, omega, hyper.noise) if mean is None else mean
    residual = omega * (y - mu)
    return _Factors(L, At, P, B, LB, mu, residual, At.T @ residual, used)


def evidence(
    hyper: Hyperparameters,
    X: Array,
    U: Array,
    y: Array | Observations,
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
    X, U : ndarray of float64, (n, d), (m, d)
        Inputs and inducing points.
    y : ndarray of float64 (n,), or Observations
        Targets. The bound is that of all replicates, whose squares say how large the noise is.
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
    s, noise, n, known = hyper.outputscale, hyper.noise, len(y), known_of(y)
    omega = _relative_precision(known, noise)
    weight = float(np.sum(omega * omega))
    Xs, Us = X / hyper.lengthscale, U / hyper.lengthscale
    kappa_fu, g_fu = correlation(Xs, Us, hyper.shape, slope=True)
    kappa_uu, g_uu = correlation(Us, Us, hyper.shape, slope=True)
    Kfu, Kuu = add_linear_part(hyper, s * kappa_fu, X, U), add_linear_part(hyper, s * kappa_uu, U, U)
    f = _factorize(hyper, Kfu, Kuu, known.y, omega, jitter, mean)
    c = solve_triangular(f.LB, f.v, lower=True, check_finite=False) / noise
    beta = solve_triangular(f.LB, c, lower=True, trans=1, check_finite=False)
    square = f.residual @ f.residual / noise
    straight = hyper.linear * float(np.mean((omega[:, None] * X) ** 2)) * n  # the linear part of tr K_ff
    trace = (weight * s + straight - np.trace(f.P)) / noise
    logdet = 2.0 * (np.sum(np.log(np.diag(f.LB))) - np.sum(np.log(omega)))
    value = -0.5 * (n * np.log(2.0 * np.pi * noise) + logdet + square - c @ c + trace)
    among, by_noise = _among_replicates(known, noise)

    D_fu, D_uu, B_inverse_trace = _kernel_gradients(f, beta, noise)
    D_fu *= omega[:, None]
    by_jitter = f.jitter * np.trace(D_uu)
    gradient = np.empty(len(hyper.to_log()))
    d = X.shape[1]
    gradient[d] = s * (np.vdot(D_fu, kappa_fu) + np.vdot(D_uu, kappa_uu) + by_jitter - 0.5 * weight / noise)
    if hyper.linear:
        products = (np.vdot(D_fu @ U, X) + np.vdot(D_uu @ U, U)) / d
        gradient[d + 1] = hyper.linear * (products + by_jitter) - 0.5 * straight / noise
    gradient[-1] = 0.5 * (-n + len(U) - B_inverse_trace + square - beta @ beta - f.v @ beta / noise + trace)
    gradient[-1] += by_noise - _told_slope(hyper, f, beta, known, omega, X)
    straight_slope: Any = 0.0
    if slope and hyper.linear:
        straight_slope = hyper.linear / d * (D_fu.T @ X + 2.0 * (D_uu @ U))
    # from here on D is the gradient in the squared distances, up to -1/2
    D_fu *= g_fu
    D_uu *= g_uu
    by_lengthscale, moved = _distance_gradients(D_fu, D_uu, Xs, Us, slope)
    gradient[:d] = s * by_lengthscale
    by_inducing = straight_slope + s / hyper.lengthscale * moved if slope else moved
    return Evidence(float(value) + among, gradient, by_inducing, f.mean, f.jitter)


def _distance_gradients(D_fu: Array, D_uu: Array, Xs: Array, Us: Array, slope: bool) -> tuple[Array, Array]:
    """Gradients in the log lengthscales (d,) and, if wanted, in the scaled inducing points (m, d)."""
    toward_data, toward_others = D_fu.T @ Xs, D_uu @ Us
    by_point = D_fu.sum(0) + 2.0 * D_uu.sum(0)
    squares = D_fu.sum(1) @ Xs**2 + by_point @ Us**2
    by_lengthscale = squares - 2.0 * np.einsum("mj,mj->j", toward_data + toward_others, Us)
    if not slope:
        return by_lengthscale, np.empty((0, Xs.shape[1]))
    return by_lengthscale, toward_data + 2.0 * toward_others - by_point[:, None] * Us


def _relative_precision(known: Observations, noise: float) -> Array:
    """Return ω = √(σ² / λ) (n,)."""
    return np.asarray(np.sqrt(noise / known.variances(noise)))


def _among_replicates(known: Observations, noise: float) -> tuple[float, float]:
    """Log density of replicates given their means, and its gradient in log σ²."""
    more, squares = known.spread()
    constant = float(np.sum(np.log(known.n[np.isnan(known.sd)])))
    value = -0.5 * (more * np.log(2.0 * np.pi * noise) + squares / noise + constant)
    return float(value), 0.5 * (squares / noise - more)


def _told_slope(
    hyper: Hyperparameters, f: _Factors, beta: Array, known: Observations, omega: Array, X: Array
) -> float:
    """Return the bound's gradient in the log variances that were told: they do not follow σ²."""
    told = ~np.isnan(known.sd)
    if not told.any():
        return 0.0
    At, noise = f.At[told], hyper.noise
    errors = f.residual[told] - At @ beta
    explained = solve_triangular(f.LB, At.T, lower=True, check_finite=False)
    prior = hyper.outputscale + hyper.linear / X.shape[1] * np.einsum("ij,ij->i", X[told], X[told])
    unexplained = prior * omega[told] ** 2 - np.einsum("ij,ij->i", At, At)
    terms = errors**2 + np.einsum("ij,ij->j", explained, explained) + unexplained
    return float(0.5 * np.sum(terms / noise - 1.0))


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
    y: Array | Observations,
    center: Array,
    scale: Array,
    jitter: float,
    mean: float | None = None,
) -> tuple[Posterior, float]:
    """Optimal q(u) of Titsias (2009, Eq. 6) for standardised X, U, y, and the jitter that was used.

    ``center`` and ``scale`` (d,) say how raw Z was standardised, so that the posterior takes raw Z. A mean of
    None is the most likely one.
    """
    known = known_of(y)
    omega = _relative_precision(known, hyper.noise)
    f = _factorize(hyper, covariance(hyper, X, U), covariance(hyper, U, U), known.y, omega, jitter, mean)
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
