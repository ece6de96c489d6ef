"""Cholesky factors of matrices that rounding has made indefinite."""

import numpy as np
import torch
from torch import Tensor

from wrlso.exceptions import DataError
from wrlso.surrogate.protocol import Array

__all__ = ["covariance_root", "safe_cholesky"]

_MAX_JITTER = 1e-2


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


def covariance_root(covariance: Tensor, scale: float) -> Tensor:
    """Lower Cholesky factor (q, q) of a posterior covariance, with as little jitter as it needs."""
    symmetric = 0.5 * (covariance + covariance.T)
    identity = torch.eye(len(symmetric), dtype=symmetric.dtype)
    for exponent in range(-10, 1):
        jittered: Tensor = symmetric + scale * 10.0**exponent * identity
        root, info = torch.linalg.cholesky_ex(jittered)
        if int(info) == 0:
            return Tensor(root)
    raise DataError("sample: the posterior covariance is not positive definite even with jitter")
