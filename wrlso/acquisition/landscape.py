"""Where the data lies in Z."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.random import torch_generator
from wrlso.acquisition.state import SearchState
from wrlso.models.inference import Array, evaluating, to_array
from wrlso.models.protocol import LatentModel, SamplesPrior

__all__ = ["Landscape"]

_MAX_ROWS = 10_000  # rows of Z that stand for the data, so that the cost does not grow with N
_PRIOR_SPREAD = 0.5  # of samples around a data point, in standard deviations of the data


@dataclass(frozen=True)
class Landscape:
    """Where the data lies in Z: a bounded number of rows stands for all of them."""

    rows: Array  # (k, d), a random part of Z and of the candidates' encodings
    spread: Array  # (d,) standard deviations, never 0
    half_width: Array  # (d,) of the box |z_j| ≤ half_width_j

    @classmethod
    def of(cls, state: SearchState, rng: np.random.Generator, margin: float, quantile: float) -> "Landscape":
        """Summarise the encodings; a standard normal where there are none."""
        Z = state.Z
        if state.candidates_Z is not None and len(state.candidates_Z) > 0:
            Z = torch.cat([Z, state.candidates_Z]) if len(Z) else state.candidates_Z
        d = state.model.latent_dim
        if len(Z) > _MAX_ROWS:
            Z = Z[torch.from_numpy(rng.choice(len(Z), size=_MAX_ROWS, replace=False))]
        rows = to_array(Z).reshape(-1, d)
        if len(rows) == 0:
            return cls(np.zeros((1, d)), np.full(d, 1.0 / _PRIOR_SPREAD), np.full(d, 3.3 * margin))
        spread = rows.std(axis=0)
        typical = float(np.sqrt(np.mean(spread**2)))
        spread = np.maximum(spread, 0.01 * typical) if typical > 0 else np.ones(d)
        half_width = margin * np.quantile(np.abs(rows), quantile, axis=0)
        return cls(rows, spread, np.maximum(half_width, spread))

    def clip(self, Z: Array) -> Array:
        """Project Z onto the box."""
        return np.clip(Z, -self.half_width, self.half_width)

    def project(self, Z: Tensor) -> Tensor:
        """Return the nearest points (q, d) of the box, differentiably."""
        half = torch.from_numpy(self.half_width)
        return torch.minimum(torch.maximum(Z, -half), half)

    def sample(self, model: LatentModel, n: int, rng: np.random.Generator) -> Array:
        """Sample n points where the data lies: from the model's own prior, else around random rows."""
        if n == 0:  # models need not support it
            return np.empty((0, model.latent_dim))
        if isinstance(model, SamplesPrior):
            with evaluating(model):
                return to_array(model.sample_prior(n, torch_generator(rng)))
        rows = self.rows[rng.integers(len(self.rows), size=n)]
        return rows + _PRIOR_SPREAD * self.spread * rng.standard_normal(rows.shape)
