"""The methods of a generative model that the optimizer searches and retrains.

These are :class:`typing.Protocol` classes, not base classes: any object with the right methods is a
model. :func:`wrlso.testing.check_latent_model` checks a model's behaviour, not only its signatures.

Glossary: x is one object, ``inputs`` the tensor (n, ...) that :meth:`LatentModel.tensorize` makes of n
objects, Z an (n, d) tensor of latent points, d the latent dimension.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "CountsOddities",
    "Crosses",
    "DrawsObjects",
    "HasBlocks",
    "HasFeatures",
    "HasLikelihood",
    "HasParts",
    "LatentModel",
    "Mutates",
    "Objects",
    "SamplesPrior",
    "Spells",
    "has_likelihood",
]

Objects: TypeAlias = Sequence[Any] | np.ndarray  # n objects; an array (n, ...) holds one in each row


@runtime_checkable
class LatentModel(Protocol):
    """A generative model g: Z → X with an inverse q: X → Z, trainable by gradient descent.

    Every :class:`torch.nn.Module` has ``parameters``, ``state_dict``, ``load_state_dict``, ``train`` and
    ``to``. You write only ``latent_dim`` and the five methods after it.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> model = VAE(nn.Linear(12, 4), nn.Linear(2, 12))
    >>> inputs = model.tensorize([[0, 1] * 6])  # it knows its dimensions from the first x
    >>> isinstance(model, LatentModel)
    True
    """

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""

    def tensorize(self, X: Objects) -> Tensor:
        """Turn n objects into one tensor (n, ...), the input of the other methods.

        The optimizer calls this once per object and keeps the result, so make it compact (uint8 instead of
        float32 if that loses nothing). Raises :class:`wrlso.exceptions.DataError` for an object that the
        model cannot represent.
        """

    def encode(self, inputs: Tensor) -> Tensor:
        """Return the (n, d) float tensor of posterior means, deterministic in evaluation mode."""

    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Decode (n, d) latent points into n objects, None for invalid ones.

        ``temperature=0`` returns the mode, larger values give more diverse samples, with randomness from
        ``generator`` only. Decoding must always end.
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
        """Restore weights and buffers."""

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode."""

    def to(self, device: torch.device | str) -> Self:
        """Move to a device."""


@runtime_checkable
class HasFeatures(Protocol):
    """A model that describes its objects by numbers, from which the objective may be predicted.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> isinstance(VAE(nn.Linear(12, 4), nn.Linear(2, 12)), HasFeatures)
    True
    """

    def features(self, X: Objects) -> np.ndarray:
        """Return the features (n, D) float64 of n objects: finite, always the same for an object.

        A training may change their units, one factor and shift for each column.
        """


@runtime_checkable
class HasParts(Protocol):
    """A model that knows parts of its objects, one of which may be why an experiment on an object fails.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> isinstance(VAE(nn.Linear(12, 4), nn.Linear(2, 12)), HasParts)
    True
    """

    def parts(self, X: Objects) -> Any:
        """Return how often each part occurs in n objects: whole numbers (n, P), an array or a sparse one.

        Where a part stands does not matter. The counts of an object never change.
        """


@runtime_checkable
class HasLikelihood(Protocol):
    """A model that knows how likely its objects are, wherever in Z they lie.

    Examples
    --------
    >>> from wrlso.models import SequenceVAE
    >>> isinstance(SequenceVAE("dna"), HasLikelihood)
    True
    """

    def likelihood(self, X: Objects) -> tuple[np.ndarray, np.ndarray]:
        """Return log p(x) of n objects (n,) float64, and how many symbols each has (n,), at least 1."""


def has_likelihood(model: object) -> TypeGuard[HasLikelihood]:
    """Whether a model has that method: a ``VAE`` has an attribute of the same name, which is a word."""
    return callable(getattr(model, "likelihood", None))


@runtime_checkable
class CountsOddities(Protocol):
    """A model that can say what is odd about its objects.

    Examples
    --------
    >>> from wrlso.models import SelfiesVAE
    >>> parts, rings, alerts = SelfiesVAE.pretrained().oddities(["CCO", "CCN"])
    >>> alerts(["c1ccccc1", "O=CCC"]).tolist()  # the second is an aldehyde
    [0.0, 1.0]
    """

    def oddities(self, known: Objects) -> Sequence[Callable[[Objects], np.ndarray]]:
        """Return functions that count in n objects (n,) what is odd beside known ones, the fastest first.

        A known object that one of them is asked about is compared with the others.
        """


@runtime_checkable
class Spells(Protocol):
    """A model that reads several spellings of an object as the same; records keep the one of the model."""

    def spelled(self, X: Objects) -> list[Any]:
        """Return n objects as the model spells them; raises DataError for those that it cannot read."""


@runtime_checkable
class SamplesPrior(Protocol):
    """A model with a prior closer to its data than N(0, I).

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> isinstance(VAE(nn.Linear(12, 4), nn.Linear(2, 12)), SamplesPrior)
    False
    """

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Sample n latent points (n, d) from the region of the training data."""


@runtime_checkable
class HasBlocks(Protocol):
    """A model whose z is a sequence of blocks, each of which says what stands at one place of x.

    Examples
    --------
    >>> from wrlso.models import SequenceVAE
    >>> isinstance(SequenceVAE("dna"), HasBlocks)
    True
    """

    @property
    def block(self) -> int:
        """Coordinates in a block, a divisor of d. Blocks of zeros behind the last other one are not used."""


@runtime_checkable
class Mutates(Protocol):
    """A model that can change an object a little, such as one of its tokens.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> isinstance(VAE(nn.Linear(12, 4), nn.Linear(2, 12)), Mutates)
    True
    """

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return a copy of each of the n objects X with a small random change; None for an invalid result.

        X does not change, and randomness comes from ``generator`` only.
        """


@runtime_checkable
class Crosses(Protocol):
    """A model that can join parts of two objects.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> isinstance(VAE(nn.Linear(12, 4), nn.Linear(2, 12)), Crosses)
    True
    """

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return n objects, the i-th of parts of X[i] and Y[i]; None for an invalid result.

        X and Y do not change, and randomness comes from ``generator`` only.
        """


@runtime_checkable
class DrawsObjects(Protocol):
    """A model that can draw its objects, such as molecules."""

    def draw(self, x: Any) -> str:
        """Return a picture of x as SVG; when this raises, x is shown as text."""
