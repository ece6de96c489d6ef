"""A model whose objects are latent points, without training and without loss."""

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wrlso.models.protocol import Objects

__all__ = ["PointModel"]


class PointModel(nn.Module):
    """A :class:`wrlso.models.LatentModel` whose objects are latent points (d,).

    Parameters
    ----------
    dimension : int
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.latent_dim = dimension
        # only sets the dtype and the device of computations
        self.anchor = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def tensorize(self, X: Objects) -> Tensor:
        """Return the points (n, d) float64."""
        points = np.ascontiguousarray(X, dtype=np.float64)
        return torch.from_numpy(points.reshape(len(X), self.latent_dim))

    def encode(self, inputs: Tensor) -> Tensor:
        """Return the points."""
        return inputs

    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Return the points as arrays, at any temperature."""
        return list(Z.detach().numpy())

    def loss(self, inputs: Tensor) -> Tensor:
        """Return zeros (n,)."""
        return self.anchor + inputs.new_zeros(len(inputs))

    def key(self, x: Any) -> bytes:
        """Return a digest of the point."""
        return blake2b(np.asarray(x, dtype=np.float64).tobytes(), digest_size=16).digest()
