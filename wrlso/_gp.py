"""Linear algebra of the sparse Gaussian process: kernels, collapsed bound with gradient, posterior.

Symbols: X (n, d) inputs, U (m, d) inducing points, both in units of the lengthscales where a function says
"scaled"; s outputscale, σ² noise variance, μ constant mean; L Lᵀ = K_uu + jitter; A = L⁻¹ K_uf (m, n);
B = I + A Aᵀ / σ²; R any matrix with Rᵀ R = B⁻¹; r = y - μ.

Source: Titsias, "Variational Learning of Inducing Variables in Sparse Gaussian Processes", AISTATS 2009,
Eqs. 6 (optimal q), 9 (bound). The bound depends on K_uf only through A, so its gradient is written out here:
it costs one triangular solve, one symmetric product and one product of size n m², which is about half of what
automatic differentiation would spend.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dger
from scipy.linalg.lapack import dtrtri
from torch import Tensor

from wrlso.exceptions import DataError

__all__ = [
    "KERNELS",
    "Evidence",
    "Hyperparameters",
    "Posterior",
    "build_posterior",
    "evidence",
    "safe_cholesky",
]

Array = NDArray[np.float64]
KernelName = Literal["rbf", "matern52"]
KERNELS: tuple[str, ...] = ("rbf", "matern52")

_CHUNK = 512  # rows of a kernel matrix that are worked on while they stay in cache
_MAX_JITTER = 1e-2
_FAR = 1e6  # lengthscales beyond which all correlations are 0 and squares might overflow
_VARIANCE_FLOOR = 1e-12  # relative to the outputscale; below it rounding decides


@dataclass(frozen=True)
class Hyperparameters:
    """Kernel and likelihood parameters, for inputs and targets that are already standardised."""

    kernel: str
    lengthscale: Array  # (d,)
    outputscale: float
    noise: float

    @classmethod
    def from_log(cls, kernel: str, theta: Array) -> "Hyperparameters":
        """Build from the vector (log ℓ_1 … log ℓ_d, log s, log σ²) that the optimizer moves."""
        values = np.exp(theta)
        return cls(kernel, values[:-2], float(values[-2]), float(values[-1]))

    def to_log(self) -> Array:
        """Return the vector (log ℓ_1 … log ℓ_d, log s, log σ²)."""
        return np.asarray(np.log(np.concatenate([self.lengthscale, [self.outputscale, self.noise]])))


def safe_cholesky(K: Array, scale: float, jitter: float) -> tuple[Array, float]:
    """Lower Cholesky factor of K + jitter · scale · I, with ten times more jitter until it exists.

    Returns the factor (m, m) and the relative jitter that was used. Raises
    :class:`wrlso.exceptions.DataError` when even a jitter of 1e-2 does not help.
    """
    used = jitter
    while used <= _MAX_JITTER:
        shifted = K.copy()
        shifted[np.diag_indices_from(shifted)] += used * scale
        try:
            return np.asarray(np.linalg.cholesky(shifted), dtype=np.float64), used
        except np.linalg.LinAlgError:
            used = max(10.0 * used, 1e-10)
    raise DataError(
        f"expected a positive definite covariance matrix, got one of shape {K.shape} that has no Cholesky "
        f"factor even with a relative jitter of {_MAX_JITTER:g}"
    )


def correlation(X: Array, U: Array, kernel: str, slope: bool = False) -> tuple[Array, Array]:
    """Correlations (n, m) between scaled X and scaled U, and their slopes.

    The slope is g with ∂κ / ∂ log ℓ_j = g · (x_j - u_j)²; it is κ itself for the RBF kernel, and an empty
    array when it is not asked for.
    """
    n, m = len(X), len(U)
    kappa = np.empty((n, m))
    g = kappa if kernel == "rbf" else np.empty((n, m) if slope else (0, m))
    squares = np.einsum("ij,ij->i", U, U)
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        x = X[rows]
        r2 = np.dot(x, U.T, out=kappa[rows])
        r2 *= -2.0
        r2 += squares
        r2 += np.einsum("ij,ij->i", x, x)[:, None]
        np.maximum(r2, 0.0, out=r2)
        if kernel == "rbf":
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


@dataclass(frozen=True)
class Evidence:
    """Value of the collapsed bound, its gradient in the log parameters, the mean μ and the jitter used."""

    value: float
    gradient: Array  # (d + 2,)
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
    L, used = safe_cholesky(Kuu, hyper.outputscale, jitter)
    At = solve_triangular(L, Kfu.T, lower=True, overwrite_b=True, check_finite=False).T
    P = At.T @ At
    B = P / hyper.noise
    B[np.diag_indices_from(B)] += 1.0
    LB, _ = safe_cholesky(B, 1.0, 0.0)
    mu = _profile_mean(At, LB, y, hyper.noise) if mean is None else mean
    residual = y - mu
    return _Factors(L, At, P, B, LB, mu, residual, At.T @ residual, used)


def evidence(
    hyper: Hyperparameters, X: Array, U: Array, y: Array, *, jitter: float = 1e-8, mean: float | None = None
) -> Evidence:
    """Collapsed variational bound of Titsias (2009, Eq. 9) and its gradient.

    Parameters
    ----------
    hyper : Hyperparameters
        Kernel, lengthscales, outputscale and noise variance.
    X, U, y : ndarray of float64, (n, d), (m, d), (n,)
        Inputs, inducing points and targets.
    jitter : float
        Smallest multiple of the outputscale on the diagonal of K_uu.
    mean : float or None
        Constant mean; None takes the one that maximises the bound, which needs no gradient of its own.

    Returns
    -------
    Evidence
        The bound is at most the exact log marginal likelihood, and equals it when U = X.
    """
    s, noise, n = hyper.outputscale, hyper.noise, len(y)
    Xs, Us = X / hyper.lengthscale, U / hyper.lengthscale
    kappa_fu, g_fu = correlation(Xs, Us, hyper.kernel, slope=True)
    kappa_uu, g_uu = correlation(Us, Us, hyper.kernel, slope=True)
    f = _factorize(hyper, s * kappa_fu, s * kappa_uu, y, jitter, mean)
    m = len(U)
    c = solve_triangular(f.LB, f.v, lower=True, check_finite=False) / noise
    beta = solve_triangular(f.LB, c, lower=True, trans=1, check_finite=False)
    square = f.residual @ f.residual / noise
    trace = (n * s - np.trace(f.P)) / noise
    logdet = 2.0 * np.sum(np.log(np.diag(f.LB)))
    value = -0.5 * (n * np.log(2.0 * np.pi * noise) + logdet + square - c @ c + trace)

    identity = np.eye(m)
    root = _inverse(f.LB)
    B_inverse = root.T @ root
    outer = np.outer(beta, beta)
    L_inverse = _inverse(f.L)
    D_uu = -0.5 * L_inverse.T @ (f.B + B_inverse - 2.0 * identity + outer) @ L_inverse
    D_fu = f.At @ (((identity - B_inverse - outer) / noise) @ L_inverse)
    dger(1.0, (beta / noise) @ L_inverse, f.residual, a=D_fu.T, overwrite_a=1)  # adds to D_fu in place

    gradient = np.empty(len(hyper.lengthscale) + 2)
    gradient[-2] = s * (np.vdot(D_fu, kappa_fu) + np.vdot(D_uu, kappa_uu) + f.jitter * np.trace(D_uu))
    gradient[-2] -= 0.5 * n * s / noise
    gradient[-1] = 0.5 * (-n + m - np.trace(B_inverse) + square - beta @ beta - f.v @ beta / noise + trace)
    gradient[:-2] = s * (_weighted_squares(D_fu, g_fu, Xs, Us) + _weighted_squares(D_uu, g_uu, Us, Us))
    return Evidence(float(value), gradient, f.mean, f.jitter)


def _inverse(L: Array) -> Array:
    """Inverse of a lower triangular matrix, which is lower triangular as well."""
    # LAPACK works on columns: the transpose of a row-major array is what it can take without a copy.
    return np.asarray(dtrtri(L.T, lower=0)[0]).T


def _weighted_squares(D: Array, g: Array, X: Array, U: Array) -> Array:
    """Return Σ_nm D_nm g_nm (x_nj - u_mj)² for every dimension j; D is overwritten."""
    D *= g
    return np.asarray(D.sum(1) @ X**2 + D.sum(0) @ U**2 - 2.0 * np.einsum("nj,nj->j", X, D @ U))


@dataclass(frozen=True)
class Posterior:
    """The posterior of f on standardised targets: a Gaussian process with mean and covariance below.

    With a(z) = L⁻¹ k(U, z) and b = R a, mean(z) = μ + bᵀ c and cov(z, z') = k(z, z') - aᵀa' + bᵀb'.
    """

    hyper: Hyperparameters
    lengthscale: Tensor  # (d,) in raw units of Z: lengthscale × standardising scale
    center: Tensor  # (d,)
    U: Tensor  # (m, d) scaled
    L: Tensor  # (m, m)
    R: Tensor  # (m, m)
    h: Tensor  # (m,) A r / σ²
    c: Tensor  # (m,) R h
    mean: float

    def features(self, Z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scaled Z (q, d), a (m, q) and b (m, q), differentiable in Z."""
        x = ((Z - self.center) / self.lengthscale).clamp(-_FAR, _FAR)
        k = self.hyper.outputscale * _torch_correlation(self.U, x, self.hyper.kernel)
        a = torch.linalg.solve_triangular(self.L, k, upper=False)
        return x, a, self.R @ a

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of f on standardised targets."""
        _, a, b = self.features(Z)
        s = self.hyper.outputscale
        variance = s - (a * a).sum(0) + (b * b).sum(0)
        return self.mean + b.T @ self.c, variance.clamp_min(_VARIANCE_FLOOR * s)

    def covariance(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (q,) and joint covariance (q, q) of f on standardised targets."""
        x, a, b = self.features(Z)
        prior = self.hyper.outputscale * _torch_correlation(x, x, self.hyper.kernel)
        return self.mean + b.T @ self.c, prior - a.T @ a + b.T @ b

    def condition(self, z: Tensor, y: float, grow: bool) -> "Posterior":
        """Add one observation y at z (d,); O(m²).

        With ``grow`` the point becomes an inducing point as well, unless the inducing points explain it
        already: then this is the exact update of the posterior process, whatever z. Without, its part
        outside the span of the inducing points is lost, as it is for the data of the bound.
        """
        hyper, s, noise = self.hyper, self.hyper.outputscale, self.hyper.noise
        x, a_column, _ = self.features(z[None])
        a = a_column[:, 0]
        unexplained = s - float(a @ a)
        grown = self
        if grow and unexplained > _GROWTH_TOLERANCE * s:
            m = len(a)
            L, R = torch.zeros(m + 1, m + 1, dtype=a.dtype), torch.zeros(m + 1, m + 1, dtype=a.dtype)
            L[:m, :m], L[m, :m], L[m, m] = self.L, a, unexplained**0.5
            R[:m, :m], R[m, m] = self.R, 1.0
            a = L[m].clone()
            grown = replace(self, U=torch.cat([self.U, x]), L=L, R=R, h=torch.cat([self.h, a.new_zeros(1)]))
        # Potter's square-root form of the Sherman-Morrison formula: with w = R a,
        # B'⁻¹ = Rᵀ (I - w wᵀ / (σ² + wᵀw)) R and the bracket is (I - γ w wᵀ)².
        w = grown.R @ a
        total = noise + float(w @ w)
        gamma = 1.0 / (total * (1.0 + (noise / total) ** 0.5))
        R = torch.addr(grown.R, w, w @ grown.R, alpha=-gamma)
        h = grown.h + a * ((y - self.mean) / noise)
        return replace(grown, hyper=hyper, R=R, h=h, c=R @ h)


_GROWTH_TOLERANCE = 1e-6  # a point with less unexplained prior variance than this is no inducing point


def _torch_correlation(X: Tensor, U: Tensor, kernel: str) -> Tensor:
    """Correlations (n, m) of scaled points, differentiable everywhere."""
    r2 = (X * X).sum(1)[:, None] + (U * U).sum(1) - 2.0 * (X @ U.T)
    if kernel == "rbf":
        return torch.exp(-0.5 * r2.clamp_min(0.0))
    r = torch.sqrt(5.0 * r2.clamp_min(1e-30))
    return (1.0 + r + r * r / 3.0) * torch.exp(-r)


def build_posterior(
    hyper: Hyperparameters, X: Array, U: Array, y: Array, center: Array, scale: Array, jitter: float
) -> tuple[Posterior, float]:
    """Optimal q(u) of Titsias (2009, Eq. 6) for standardised X, U, y, and the jitter that was used.

    ``center`` and ``scale`` (d,) say how raw Z was standardised, so that the posterior takes raw Z.
    """
    s = hyper.outputscale
    Xs, Us = X / hyper.lengthscale, U / hyper.lengthscale
    Kfu, Kuu = correlation(Xs, Us, hyper.kernel)[0], correlation(Us, Us, hyper.kernel)[0]
    Kfu *= s
    Kuu *= s
    f = _factorize(hyper, Kfu, Kuu, y, jitter, None)
    R = _inverse(f.LB)
    h = f.v / hyper.noise
    tensor = torch.from_numpy
    L, R, Us = np.ascontiguousarray(f.L), np.ascontiguousarray(R), np.ascontiguousarray(Us)
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
