"""The posterior of the sparse process, and its exact conditioning on new values."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wrlso.surrogate.kernels import Hyperparameters, cross_covariance, prior_variance

__all__ = ["Posterior"]

_FAR = 1e6  # lengthscales beyond which all correlations are 0 and squares might overflow
_VARIANCE_FLOOR = 1e-12  # relative to the prior variance; smaller values are rounding
_NEGLIGIBLE = 1e-10  # unexplained prior variance, in units of the noise, that needs no inducing point
_ROUNDING = 1e-12  # unexplained share of the prior variance that may be rounding


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
        k = cross_covariance(self.hyper, self.U, x)
        a = torch.linalg.solve_triangular(self.L, k, upper=False)
        return x, a, self.R @ a

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of f on standardised targets."""
        x, a, b = self.features(Z)
        variance = prior_variance(self.hyper, x) - (a * a).sum(0) + (b * b).sum(0)
        return self.mean + b.T @ self.c, variance.clamp_min(_VARIANCE_FLOOR * self.hyper.scale)

    def covariance(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (q,) and joint covariance (q, q) of f on standardised targets."""
        x, a, b = self.features(Z)
        prior = cross_covariance(self.hyper, x, x)
        return self.mean + b.T @ self.c, prior - a.T @ a + b.T @ b

    def condition(self, z: Tensor, y: float, grow: bool, noise: float) -> "Posterior":
        """Add one observation y at z (d,) with this noise variance; O(m²).

        With ``grow`` the point also becomes an inducing point, unless the present ones explain it already:
        this is the exact update of the posterior process, whatever z. Without, what the inducing points do
        not explain of it is lost, as it is for the data of the bound.
        """
        x, a_column, _ = self.features(z[None])
        a = a_column[:, 0]
        prior = float(prior_variance(self.hyper, x))
        unexplained = prior - float(a @ a)
        grown = self
        if grow and unexplained > max(_NEGLIGIBLE * noise, _ROUNDING * prior):
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
        return replace(grown, R=R, h=h, c=R @ h)
