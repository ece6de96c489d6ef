"""``bounds="ball"``: a search in Z within a ball about the origin, as the prior of a VAE is one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wrlso.acquisition.box import Box
from wrlso.acquisition.landscape import Landscape

__all__ = ["Ball"]


@dataclass(frozen=True)
class Ball(Box):
    """The part of a box within ``radius`` of the origin."""

    radius: float

    @classmethod
    def within(cls, box: Box, landscape: Landscape, margin: float, quantile: float) -> "Ball":
        """Return the ball whose radius is ``margin`` × this quantile of the norms of the data."""
        typical = float(np.quantile(np.linalg.norm(landscape.rows, axis=1), quantile))
        return cls(box.low, box.high, box.unit, max(margin * typical, float(landscape.spread.max())))

    def project(self, Z: Tensor) -> Tensor:
        """Return points (q, d) of the ball in the directions of these."""
        Z = super().project(Z)
        norm = Z.norm(dim=1, keepdim=True)
        return torch.where(norm > self.radius, Z * (self.radius / norm.clamp_min(1e-300)), Z)
