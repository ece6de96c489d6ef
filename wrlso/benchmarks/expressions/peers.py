"""Other methods on a task over a grammar, with the same starting data and calls.

Both methods work on leftmost derivations: tuples of rule numbers, in which every subtree is a slice. They
work with any task that has ``grammar`` (text), ``max_rules``, ``objective`` and ``keys``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, NoCandidateError
from wrlso.models.context_free import ContextFreeGrammar
from wrlso.models.derivations import Derivation, DerivationMoves

__all__ = ["GrammarTask", "genetic_algorithm", "random_search"]

Member = tuple[float, Derivation]  # value first
Values = NDArray[np.float64]

MAX_ATTEMPTS = 20_000  # proposals for one new point


class GrammarTask(Protocol):
    """A task over the strings of a grammar."""

    @property
    def grammar(self) -> str:
        """The grammar, as :class:`wrlso.models.context_free.ContextFreeGrammar` reads it."""

    @property
    def max_rules(self) -> int:
        """Longest derivation."""

    def objective(self, x: str) -> float:
        """Return the value of x, larger is better."""

    def keys(self, X: Sequence[str]) -> list[Any]:
        """Return the identities of some x."""


class _Calls:
    """Calls of the objective, for new points only and up to the budget."""

    def __init__(
        self, task: GrammarTask, X: Sequence[str], y: ArrayLike, budget: int, grammar: ContextFreeGrammar
    ) -> None:
        check_count("budget", budget)
        self.y = np.asarray(y, dtype=np.float64)
        if self.y.shape != (len(X),) or not len(X):
            raise DataError(
                f"X and y must hold the same number of points, at least 1, got {len(X)} and {self.y.shape}"
            )
        self.task = task
        self.X = X
        self.grammar = grammar
        self.keys = task.keys(X)
        self.known = set(self.keys)
        self.values: list[float] = []

    def evaluate_new(self, propose: Callable[[], Derivation]) -> tuple[Derivation, float]:
        """Call ``propose`` until a proposal is new, and evaluate it.

        Raises
        ------
        NoCandidateError
            When none of 20,000 proposals is new.
        """
        for _ in range(MAX_ATTEMPTS):
            derivation = propose()
            x = self.grammar.text(derivation)
            (key,) = self.task.keys([x])
            if key not in self.known:
                self.known.add(key)
                self.values.append(self.task.objective(x))
                return derivation, self.values[-1]
        raise NoCandidateError(
            f"none of {MAX_ATTEMPTS} proposals was new after {len(self.values)} calls: "
            "use a smaller budget or longer derivations"
        )

    def best(self, n: int) -> list[Member]:
        """Return the n best distinct starting points, best first."""
        chosen: dict[Any, int] = {}
        for i in np.argsort(-self.y, kind="stable"):
            if len(chosen) == n:
                break
            chosen.setdefault(self.keys[i], int(i))
        return [(float(self.y[i]), self.grammar.parse(self.X[i])) for i in chosen.values()]


def random_search(
    task: GrammarTask, X: Sequence[str], y: ArrayLike, budget: int, rng: np.random.Generator
) -> Values:
    """Evaluate random new strings of the grammar; the task's ``keys`` decide which are new.

    Parameters
    ----------
    task : GrammarTask
    X, y : sequence of n str, array_like of shape (n,)
        Starting data; they only count as known.
    budget : int
        Number of calls of the objective.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (budget,), float64
        The values in order.

    Raises
    ------
    NoCandidateError
        When 20,000 proposals give no new string.
    """
    derivations = DerivationMoves(ContextFreeGrammar(task.grammar), task.max_rules, rng)
    calls = _Calls(task, X, y, budget, derivations.grammar)
    while len(calls.values) < budget:
        calls.evaluate_new(derivations.sample)
    return np.array(calls.values)


def genetic_algorithm(
    task: GrammarTask,
    X: Sequence[str],
    y: ArrayLike,
    budget: int,
    rng: np.random.Generator,
    *,
    population: int = 100,
    tournament: int = 30,
    crossover: float = 0.5,
) -> Values:
    """Evolve derivations: a steady-state genetic algorithm with subtree crossover and mutation.

    The population starts with the best distinct starting points. Each step makes one new point: two parents
    each win a tournament and are crossed with the given probability. A child without crossing is mutated, a
    crossed child is mutated half the time. A better child replaces the worst member of the population. Known
    points are neither evaluated nor counted.

    The defaults were tuned on the expressions task: target "reference", identity by values, seeds 100 to 147.

    Parameters
    ----------
    task : GrammarTask
    X, y : sequence of n str, array_like of shape (n,)
        Starting data.
    budget : int
        Number of calls of the objective.
    rng : numpy.random.Generator
    population : int, default=100
    tournament : int, default=30
        The best of this many random members becomes a parent.
    crossover : float, default=0.5
        Probability that a child has two parents.

    Returns
    -------
    ndarray of shape (budget,), float64
        The values in order.

    Raises
    ------
    NoCandidateError
        When 20,000 proposals give no new child.
    """
    check_count("population", population)
    check_count("tournament", tournament)
    check_real("crossover", crossover, minimum=0, maximum=1)
    derivations = DerivationMoves(ContextFreeGrammar(task.grammar), task.max_rules, rng)
    calls = _Calls(task, X, y, budget, derivations.grammar)
    members = calls.best(population)

    def parent() -> Derivation:
        # members are sorted, best first
        return members[int(rng.integers(len(members), size=tournament).min())][1]

    def child() -> Derivation:
        derivation = parent()
        crossed = rng.random() < crossover
        if crossed:
            derivation = derivations.cross(derivation, parent())
        if not crossed or rng.random() < 0.5:
            derivation = derivations.mutate(derivation)
        return derivation

    while len(calls.values) < budget:
        derivation, value = calls.evaluate_new(child)
        members.append((value, derivation))
        members.sort(key=lambda member: -member[0])
        del members[population:]
    return np.array(calls.values)
