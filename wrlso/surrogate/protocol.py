"""The protocol of a surrogate, and its optional abilities."""

from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "Array",
    "HasWorkingScale",
    "KnowsNoise",
    "LearnsFromErrors",
    "PredictsMeasurements",
    "Surrogate",
    "TakesCorrections",
    "TakesObservations",
]

Array = NDArray[np.float64]


@runtime_checkable
class Surrogate(Protocol):
    """A model of y given Z, features of x, or both, that is refitted seldom and conditioned often.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), Surrogate)
    True
    """

    space: Literal["latent", "features", "both"]
    """Whether the points handed over are Z (n, d), a list of x, or :class:`wrlso.surrogate.Points`."""

    def fit(self, Z: Any, y: Tensor, rng: np.random.Generator) -> Self:
        """Fit hyperparameters and posterior to Z (n, d) float64 and y (n,), larger is better."""

    def condition_on(self, Z: Any, y: Tensor) -> "Surrogate":
        """Return a new surrogate that has seen these observations too, hyperparameters unchanged."""

    def predict(self, Z: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective in the units of y, differentiable in Z."""

    def sample(self, Z: Any, n: int, generator: torch.Generator) -> Tensor:
        """Return n joint posterior samples (n, q) of the noise-free objective in the units of y."""


@runtime_checkable
class KnowsNoise(Protocol):
    """A surrogate that knows the noise of measurements.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), KnowsNoise)
    True
    """

    def noise_variance(self) -> float:
        """Variance of a measurement's noise in the units of y."""


@runtime_checkable
class PredictsMeasurements(Protocol):
    """A surrogate whose noise depends on the value."""

    def predict_measurements(self, Z: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of one measurement at q points, noise included, in the units of y."""


@runtime_checkable
class HasWorkingScale(Protocol):
    """A surrogate that is jointly normal on a scale of its own, on which a search compares points.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), HasWorkingScale)
    True
    """

    def working_scale(self, y: Any) -> tuple["Surrogate", Any]:
        """Return the same surrogate on that scale, and the values y (n,), a tensor, on it."""

    def joint(self, Z: Any) -> tuple[Tensor, Tensor, float]:
        """Mean (q,), covariance (q, q) and noise variance at q points, on that scale."""


@runtime_checkable
class TakesCorrections(Protocol):
    """A surrogate that takes in replicates and corrections of its values without another fit.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), TakesCorrections)
    True
    """

    def corrected(self, Z: Any, y: Tensor) -> "Surrogate":
        """Return a new surrogate that has seen these values y (n,) only, hyperparameters unchanged."""


@runtime_checkable
class LearnsFromErrors(Protocol):
    """A surrogate that learns from how well it predicted values, before it is given them.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), LearnsFromErrors)
    False
    """

    def scored(self, Z: Any, y: Tensor) -> "Surrogate":
        """Return a new surrogate that remembers how well it predicts these values, unseen so far."""


@runtime_checkable
class TakesObservations(Protocol):
    """A surrogate that knows what to do with replicates, standard errors and limits.

    Its methods ``fit``, ``condition_on``, ``corrected``, ``scored`` and ``working_scale`` take
    :class:`wrlso.surrogate.Observations` in place of a tensor y.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> isinstance(SparseGP(), TakesObservations)
    True
    """

    takes_observations: Literal[True]
