"""The box in which a search in Z looks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wrlso.acquisition.landscape import Landscape
from wrlso.models.inference import Array

__all__ = ["Box"]


@dataclass(frozen=True)
class Box:
    """All z between ``low`` and ``high`` (d,); ``unit`` (d,) is the length of one step in it."""

    low: Array
    high: Array
    unit: Array

    @classmethod
    def around_data(cls, landscape: Landscape) -> "Box":
        """Return the box in which the data lies."""
        return Box(-landscape.half_width, landscape.half_width, landscape.spread)

    def project(self, Z: Tensor) -> Tensor:
        """Return the nearest points (q, d), differentiably."""
        return torch.minimum(torch.maximum(Z, torch.from_numpy(self.low)), torch.from_numpy(self.high))
