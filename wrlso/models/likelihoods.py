"""The three likelihoods of a decoder.

Each stores x in a compact form (``compact``), turns this into the encoder's input (``expand``), computes
the negative log-likelihood per example (``nll``) and samples an x from the decoder's output (``sample``).
"""

import math
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wrlso.exceptions import DataError, DataTypeError

__all__ = ["LIKELIHOODS", "Bernoulli", "Categorical", "Gaussian", "Likelihood"]


class Likelihood(Protocol):
    """A likelihood of :class:`wrlso.VAE`."""

    name: ClassVar[str]

    def compact(self, array: np.ndarray) -> Tensor:
        """Check n objects (n, ...) and return them in the smallest lossless form."""

    def expand(self, inputs: Tensor) -> Tensor:
        """Turn the compact form into the encoder's input."""

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Return the error in the shape of a decoder's output, None for a correct shape."""

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the (n,) negative log-likelihoods of compact ``inputs`` under the decoder's output.

        With ``smoothing`` s, the share s of each part of x is spread evenly over all classes.
        """

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return n objects (n, ...) in compact form: the mode at temperature 0, else a sample."""


def _numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise DataTypeError(
            f"x must be an array of numbers, got dtype {array.dtype}; give a codec for other objects"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise DataError(f"x must be finite, got NaN or infinity in row {row}")
    return array


def _as_tensor(array: np.ndarray, dtype: type) -> Tensor:
    # from_numpy shares memory with arrays of the right type: no second copy of large data
    return torch.from_numpy(np.require(array, dtype=dtype, requirements=["C", "W"]))


def _same_shape_error(output: Tensor, inputs: Tensor) -> str | None:
    if output.shape == inputs.shape:
        return None
    return f"expected {tuple(inputs.shape)} like x, got {tuple(output.shape)}"


class Bernoulli:
    """Binary x (or probabilities in [0, 1]); the decoder gives logits of the same shape."""

    name: ClassVar[str] = "bernoulli"

    def compact(self, array: np.ndarray) -> Tensor:
        """Return uint8 for binary x, float32 for other x in [0, 1]."""
        array = _numeric(array)
        if array.size and (array.min() < 0 or array.max() > 1):
            row = int(np.argwhere((array < 0) | (array > 1))[0][0])
            raise DataError(
                f"x must lie in [0, 1] for the Bernoulli likelihood, got a value outside it in row {row}"
            )
        binary = array.dtype.kind in "bui" or bool(((array == 0) | (array == 1)).all())
        return _as_tensor(array, np.uint8 if binary else np.float32)

    def expand(self, inputs: Tensor) -> Tensor:
        """Return float32."""
        return inputs.to(torch.float32)

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Logits must have the shape of x."""
        return _same_shape_error(output, inputs)

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Binary cross-entropy, summed over the parts of x."""
        targets = self.expand(inputs)
        if smoothing:
            targets = targets * (1 - smoothing) + 0.5 * smoothing
        losses = F.binary_cross_entropy_with_logits(output, targets, reduction="none")
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Threshold the logits, or sample with the logits divided by the temperature."""
        if temperature == 0:
            return (output > 0).to(torch.uint8)
        uniform = torch.rand(output.shape, generator=generator, dtype=output.dtype)
        return (uniform < torch.sigmoid(output / temperature)).to(torch.uint8)


class Categorical:
    """Class indices; the decoder gives logits with the shape of x and the classes last."""

    name: ClassVar[str] = "categorical"

    def compact(self, array: np.ndarray) -> Tensor:
        """Return uint8 or int64 indices."""
        array = _numeric(array)
        if array.dtype.kind == "f" and (array != np.floor(array)).any():
            raise DataError("x must hold whole class indices for the categorical likelihood, got fractions")
        if array.size and array.min() < 0:
            raise DataError(f"x must hold class indices of at least 0, got {array.min()}")
        return _as_tensor(array, np.uint8 if not array.size or array.max() < 256 else np.int64)

    def expand(self, inputs: Tensor) -> Tensor:
        """Return int64 class indices, ready for an embedding."""
        return inputs.to(torch.int64)

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Logits must have the shape of x and a last axis with a class for every index."""
        if output.shape[:-1] != inputs.shape:
            return f"expected {tuple(inputs.shape)} and a last axis of classes, got {tuple(output.shape)}"
        if inputs.numel() and int(inputs.max()) >= output.shape[-1]:
            return f"it has {output.shape[-1]} classes, but x holds class {int(inputs.max())}"
        return None

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over the parts of x."""
        logits, targets = output.movedim(-1, 1), self.expand(inputs)
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Take the likeliest class, or sample one with the logits divided by the temperature."""
        if temperature == 0:
            return output.argmax(dim=-1)
        probabilities = torch.softmax(output.reshape(-1, output.shape[-1]) / temperature, dim=-1)
        classes = torch.multinomial(probabilities, 1, generator=generator)
        return classes.reshape(output.shape[:-1])


class Gaussian:
    """Real x; the decoder gives the mean of a Gaussian with variance 1."""

    name: ClassVar[str] = "gaussian"

    def compact(self, array: np.ndarray) -> Tensor:
        """Return float32."""
        # adding 0 turns -0.0 into 0.0: equal values must have the same identity
        return _as_tensor(_numeric(array) + np.float32(0), np.float32)

    def expand(self, inputs: Tensor) -> Tensor:
        """Return float32."""
        return inputs.to(torch.float32)

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """The mean must have the shape of x."""
        return _same_shape_error(output, inputs)

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Half the squared error plus the constant of the normal density, summed over the parts of x."""
        losses = 0.5 * (output - self.expand(inputs)).square() + 0.5 * math.log(2 * math.pi)
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Take the mean, or add normal noise with variance ``temperature``."""
        if temperature == 0:
            return output + 0.0
        noise = torch.randn(output.shape, generator=generator, dtype=output.dtype)
        return output + math.sqrt(temperature) * noise


LIKELIHOODS: dict[str, type[Likelihood]] = {kind.name: kind for kind in (Bernoulli, Categorical, Gaussian)}
