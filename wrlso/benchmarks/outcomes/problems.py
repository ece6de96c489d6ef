"""Two goals of real numbers, smaller is better: Branin-Currin and ZDT1.

Objects are vectors of the unit box. A user's plain networks, trained on the start, make the latent space.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wrlso._utils.random import stream
from wrlso.benchmarks.panel.problems import networks
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.outcomes import Minimize

__all__ = ["BOXES", "NAMES", "BoxCodec", "BoxGoals", "GoalsProblem"]

Values = NDArray[np.float64]

NAMES = ("first", "second")


class BoxCodec:
    """A user's translation between vectors of the unit box and arrays; nothing lies outside."""

    def transform(self, X: Any) -> Values:
        """Return the vectors as an array (n, D)."""
        return np.asarray(X, dtype=np.float64)

    def inverse_transform(self, array: Values) -> Any:
        """Return the nearest vectors of the box, with four decimals."""
        return list(np.round(np.clip(np.asarray(array, dtype=np.float64), 0.0, 1.0), 4))


class GoalsProblem(Protocol):
    """A problem of two goals."""

    @property
    def name(self) -> str:
        """Name in records."""

    @property
    def reference(self) -> tuple[float, float]:
        """Of the hypervolume."""

    @property
    def larger(self) -> bool:
        """Whether larger values are better."""

    @property
    def batch(self) -> int:
        """Number of objects that the optimizer is asked for at once; other methods have their own."""

    def start(self, seed: int) -> tuple[Any, Values]:
        """Return what all methods start from: objects (n, ...), and their values (n, 2)."""

    def values(self, x: Any) -> Values:
        """Return the values (2,) of one object."""

    def search(
        self, X: Any, Y: Values, seed: int, acquisition: Any, surrogate: Any
    ) -> WeightedRetrainingOptimizer:
        """Return a fitted optimizer.

        ``acquisition`` makes an acquisition function of a search strategy, ``surrogate`` a surrogate; None:
        the default ones.
        """


@dataclass(frozen=True)
class BoxGoals:
    """Two goals of a vector in the unit box, smaller is better.

    Attributes
    ----------
    name : str
    n_columns, latent_dim : int
    function : callable
        Vectors (n, D) in the unit box → values (n, 2).
    reference : tuple of float
        Of the hypervolume.
    n_start : int
        Random vectors with values, from which all methods start.
    """

    name: str
    n_columns: int
    latent_dim: int
    function: Callable[[Values], Values]
    reference: tuple[float, float]
    n_start: int = 30
    larger: bool = False
    batch: int = 1

    def values(self, x: Values) -> Values:
        """Return the values (2,) of one vector."""
        return np.asarray(self.function(np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)[None])[0])

    def start(self, seed: int) -> tuple[Values, Values]:
        """Return the start of a seed (n, D), and its values (n, 2)."""
        X = stream(seed, 0).uniform(size=(self.n_start, self.n_columns))
        return X, self.function(X)

    def search(
        self, X: Values, Y: Values, seed: int, acquisition: Any, surrogate: Any
    ) -> WeightedRetrainingOptimizer:
        """Return a fitted optimizer on the latent space of plain networks."""
        encoder, decoder = networks(seed, (self.n_columns,), self.latent_dim)
        return WeightedRetrainingOptimizer(
            encoder,
            decoder,
            likelihood="gaussian",
            codec=BoxCodec(),
            outcomes=[Minimize(name, reference=r) for name, r in zip(NAMES, self.reference, strict=True)],
            acquisition=None if acquisition is None else acquisition(None),
            surrogate=None if surrogate is None else surrogate(),
            random_state=seed,
        ).fit(X, Y)


def branin_currin(X: Values) -> Values:
    """Return the Branin and the Currin function (n, 2) at points of the unit square (n, 2).

    Source: Belakaria, Deshwal, Doppa, "Max-value Entropy Search for Multi-Objective Bayesian Optimization",
    NeurIPS 2019; as in BoTorch's ``BraninCurrin``.
    """
    u, v = X[:, 0], X[:, 1]
    a, b = 15.0 * u - 5.0, 15.0 * v
    branin = (
        (b - 5.1 / (4.0 * np.pi**2) * a**2 + 5.0 / np.pi * a - 6.0) ** 2
        + 10.0 * (1.0 - 1.0 / (8.0 * np.pi)) * np.cos(a)
        + 10.0
    )
    rest = (2300.0 * u**3 + 1900.0 * u**2 + 2092.0 * u + 60.0) / (
        100.0 * u**3 + 500.0 * u**2 + 4.0 * u + 20.0
    )
    currin = (1.0 - np.exp(-1.0 / (2.0 * np.maximum(v, 1e-12)))) * rest
    return np.stack([branin, currin], axis=1)


def zdt1(X: Values) -> Values:
    """Return the two goals (n, 2) of ZDT1 at points of the unit cube (n, D).

    Source: Zitzler, Deb, Thiele, "Comparison of Multiobjective Evolutionary Algorithms", Evolutionary
    Computation 8, 2000.
    """
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
    return np.stack([X[:, 0], g * (1.0 - np.sqrt(X[:, 0] / g))], axis=1)


BOXES = (
    BoxGoals("branin-currin", 2, 2, branin_currin, (18.0, 6.0)),
    BoxGoals("zdt1", 8, 6, zdt1, (1.1, 7.0)),
)
