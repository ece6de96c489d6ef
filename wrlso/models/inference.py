"""Calls of a model outside its training: evaluation mode, devices, dtypes."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.exceptions import ModelError
from wrlso.models.protocol import LatentModel, Objects, Spells

__all__ = [
    "Array",
    "decoded",
    "encoded",
    "evaluating",
    "key_of",
    "spelled",
    "tensorized",
    "to_array",
    "to_model",
]

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


def key_of(model: LatentModel, x: Any) -> Hashable:
    """Return the identity of x; raises ModelError for one that cannot be one, as it has no hash."""
    key = model.key(x)
    try:
        hash(key)
    except TypeError as error:
        raise ModelError(
            f"{_name(model)}.key must return something hashable (a text, a number, a tuple of them), got "
            f"{key!r:.200}: {error}"
        ) from error
    return key


def spelled(model: LatentModel, X: Objects) -> Objects:
    """Return n objects as records keep them: as the model spells them, where it has a spelling of its own."""
    return model.spelled(X) if isinstance(model, Spells) else X


def tensorized(model: LatentModel, X: Objects) -> Tensor:
    """Return n objects as a tensor (n, ...); raises ModelError for anything else."""
    inputs: Any = model.tensorize(X)
    _check_rows(inputs, f"{_name(model)}.tensorize", len(X), "...")
    return cast("Tensor", inputs)


def encoded(model: LatentModel, inputs: Tensor) -> Tensor:
    """Return latent points (n, d) of tensorized objects; raises ModelError for another shape or type."""
    Z: Any = model.encode(inputs)
    _check_rows(Z, f"{_name(model)}.encode", len(inputs), str(d := model.latent_dim))
    if Z.shape != (len(inputs), d) or not Z.is_floating_point():
        raise ModelError(
            f"{_name(model)}.encode must return a float tensor of shape {(len(inputs), d)}, got one of "
            f"shape {tuple(Z.shape)} and {Z.dtype}"
        )
    return cast("Tensor", Z)


def decoded(
    model: LatentModel, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
) -> list[Any]:
    """Return the n objects of latent points (n, d); raises ModelError when they are fewer or more."""
    X: Any = model.decode(Z, temperature, generator)
    if isinstance(X, str | bytes) or not hasattr(X, "__len__") or len(X) != len(Z):
        got = f"{len(X)}" if hasattr(X, "__len__") else type(X).__name__
        raise ModelError(
            f"{_name(model)}.decode must return a list of one object (or None) for each of {len(Z)} points, "
            f"got {got}"
        )
    return list(X)


def _check_rows(value: Any, method: str, n: int, width: str) -> None:
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != n:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ModelError(f"{method} must return a tensor of shape ({n}, {width}), got {got}")


def _name(model: Any) -> str:
    return type(model).__name__


def to_model(model: LatentModel, tensor: Tensor, like_weights: bool = True) -> Tensor:
    """Move a tensor to the model's device, and to its precision when ``like_weights``."""
    parameter = next(iter(model.parameters()), None)
    if parameter is None:
        return tensor.to(torch.get_default_dtype()) if like_weights else tensor
    return tensor.to(parameter.device, parameter.dtype if like_weights else None)


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as a float64 array on the CPU."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())
