"""What a generative model must offer to be searched and retrained.

These are :class:`typing.Protocol` classes, not base classes: any object with the right methods is a
model. :func:`wrlso.testing.check_latent_model` checks a model's behaviour, not only its signatures.

Glossary: x is one input object, ``inputs`` the tensor (n, ...) that :meth:`LatentModel.tensorize` made of
n of them, Z an (n, d) tensor of latent points, d the latent dimension.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

__all__ = ["Crosses", "DrawsObjects", "HasLogLikelihood", "LatentModel", "Mutates", "Objects", "SamplesPrior"]

Objects: TypeAlias = Sequence[Any] | np.ndarray  # n objects; an array (n, ...) holds one in each row


@runtime_checkable
class LatentModel(Protocol):
    """A generative model g: Z → X with an inverse q: X → Z, trainable by gradient descent.

    Every :class:`torch.nn.Module` has ``parameters``, ``state_dict``, ``load_state_dict``, ``train`` and
    ``to``; what is left to write are ``latent_dim`` and the five methods in the middle.
    """

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""

    def tensorize(self, X: Objects) -> Tensor:
        """Turn n objects into one tensor (n, ...), the form that all other methods take.

        It is called once per object and the result is kept, so it should be compact (uint8 rather than
        float32 where that loses nothing). Raises :class:`wrlso.exceptions.DataError` for an object that
        the model cannot represent.
        """

    def encode(self, inputs: Tensor) -> Tensor:
        """Return the (n, d) float tensor of posterior means, deterministic in evaluation mode."""

    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Decode (n, d) latent points into n objects, None where nothing valid comes out.

        ``temperature=0`` is deterministic (the mode), larger values draw more diverse samples, with
        randomness from ``generator`` only. Always ends.
        """

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the (n,) per-example training losses with gradients (for a VAE, the negative ELBO)."""

    def key(self, x: Any) -> Hashable:
        """Return the identity of x: two objects are the same point exactly when their keys are equal."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Yield the trainable parameters."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all weights and buffers by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any:
        """Put weights and buffers back."""

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode."""

    def to(self, device: torch.device | str) -> Self:
        """Move to a device."""


@runtime_checkable
class HasLogLikelihood(Protocol):
    """A model that can say how likely x is at z, with gradients (used to invert the decoder)."""

    def log_likelihood(self, inputs: Tensor, Z: Tensor) -> Tensor:
        """Return the (n,) values log p(x_i | z_i), differentiable with respect to Z."""


@runtime_checkable
class SamplesPrior(Protocol):
    """A model that knows better than N(0, I) where its data lies in Z."""

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return n latent points (n, d) drawn from where the training data lies."""


@runtime_checkable
class Mutates(Protocol):
    """A model that can change an object a little in the form in which it reads it, such as one token."""

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return n objects, each of X (n) with a small random change; None where nothing valid comes out.

        X stays as it is, and randomness comes from ``generator`` only.
        """


@runtime_checkable
class Crosses(Protocol):
    """A model that can make one object of parts of two."""

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return n objects, the i-th of parts of X[i] and Y[i]; None where nothing valid comes out.

        X and Y stay as they are, and randomness comes from ``generator`` only.
        """


@runtime_checkable
class DrawsObjects(Protocol):
    """A model that knows what its objects look like, such as strings that stand for molecules."""

    def draw(self, x: Any) -> str:
        """Return a picture of x as SVG; where it raises, x is shown as text."""
