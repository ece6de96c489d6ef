"""Calls of a model outside its training: evaluation mode, devices, dtypes."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.models.protocol import LatentModel

__all__ = ["Array", "evaluating", "to_array", "to_model"]

Array = NDArray[np.float64]


@contextmanager
def evaluating(model: LatentModel) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; afterwards the earlier mode."""
    training = bool(getattr(model, "training", False))
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def to_model(model: LatentModel, tensor: Tensor, like_weights: bool = True) -> Tensor:
    """Move a tensor to the model's device, and to its precision when ``like_weights``."""
    parameter = next(iter(model.parameters()), None)
    if parameter is None:
        return tensor.to(torch.get_default_dtype()) if like_weights else tensor
    return tensor.to(parameter.device, parameter.dtype if like_weights else None)


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as a float64 array on the CPU."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())
