"""Two goals of real numbers, smaller is better: Branin-Currin and ZDT1.

Objects are vectors of the unit box. A user's plain networks, trained on the start, make the latent space.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso._utils.random import stream
from wrlso._utils.validation import check_choice

__all__ = ["NAMES", "PROBLEMS", "BoxCodec", "GoalsProblem", "goals_problem"]

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


@dataclass(frozen=True)
class GoalsProblem:
    """A problem of two goals, smaller is better.

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

    def values(self, x: Values) -> Values:
        """Return the values (2,) of one vector."""
        return np.asarray(self.function(np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)[None])[0])

    def start(self, seed: int) -> tuple[Values, Values]:
        """Return the start of a seed (n, D), and its values (n, 2)."""
        X = stream(seed, 0).uniform(size=(self.n_start, self.n_columns))
        return X, self.function(X)


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


PROBLEMS: dict[str, Callable[[], GoalsProblem]] = {
    "branin-currin": lambda: GoalsProblem("branin-currin", 2, 2, branin_currin, (18.0, 6.0)),
    "zdt1": lambda: GoalsProblem("zdt1", 8, 6, zdt1, (1.1, 7.0)),
}


@cache
def goals_problem(name: str) -> GoalsProblem:
    """Return a problem by name."""
    check_choice("problem", name, PROBLEMS)
    return PROBLEMS[name]()
