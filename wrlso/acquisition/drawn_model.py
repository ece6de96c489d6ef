"""A model for BoTorch's acquisition functions that knows a finite set of points by joint samples of them.

Its points are numbers of the set. All functions of BoTorch that take a mean and samples of a posterior see
the same samples of a point each time, so that they compare points on common ground; nothing is sampled or
factored again. BoTorch is imported when the first such model is made.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["drawn_model"]


def drawn_model(mean: Tensor, draws: Tensor) -> tuple[Any, Any]:
    """Return a BoTorch model of a finite set of points, and the sampler that goes with it.

    Parameters
    ----------
    mean : Tensor of float64, (Q, m)
        Means of m outcomes at Q points.
    draws : Tensor of float64, (S, Q, m)
        Joint samples.
    """
    model, sampler = _classes()
    return model(mean, draws), sampler(sample_shape=torch.Size([len(draws)]))


@cache
def _classes() -> tuple[Any, Any]:
    """Return the classes of the model and of its sampler; botorch is loaded for them."""
    posterior = _posterior_class()
    return _model_class(posterior), _sampler_class()


def _posterior_class() -> Any:
    from botorch.posteriors import Posterior

    class DrawnPosterior(Posterior):
        """What the model says of points (…, q): their means (…, q, m) and samples (S, …, q, m)."""

        def __init__(self, mean: Tensor, draws: Tensor) -> None:
            self._mean, self.draws = mean, draws

        @property
        def mean(self) -> Tensor:
            return self._mean

        @property
        def device(self) -> torch.device:
            return self._mean.device

        @property
        def dtype(self) -> torch.dtype:
            return self._mean.dtype

        def _extended_shape(self, sample_shape: torch.Size = torch.Size()) -> torch.Size:  # noqa: B008
            return sample_shape + self._mean.shape

        def rsample(self, sample_shape: torch.Size | None = None) -> Tensor:
            return self.draws

    return DrawnPosterior


def _sampler_class() -> Any:
    from botorch.sampling.base import MCSampler

    class DrawnSampler(MCSampler):
        """Returns the samples that there are."""

        def forward(self, posterior: Any) -> Tensor:
            draws: Tensor = posterior.draws
            return draws

        def _update_base_samples(self, posterior: Any, base_sampler: MCSampler) -> None:
            """There are no base samples."""

    return DrawnSampler


def _model_class(posterior_of: Any) -> Any:
    from botorch.models.model import Model

    class DrawnModel(Model):
        """Knows its points by their numbers (…, q, 1)."""

        def __init__(self, mean: Tensor, draws: Tensor) -> None:
            super().__init__()
            self._mean, self._draws = mean, draws

        @property
        def num_outputs(self) -> int:
            return int(self._mean.shape[-1])

        @property
        def batch_shape(self) -> torch.Size:
            return torch.Size()

        def posterior(self, X: Tensor, *args: Any, **options: Any) -> Any:
            places = X[..., 0].long()
            return posterior_of(self._mean[places], self._draws[:, places])

    return DrawnModel
