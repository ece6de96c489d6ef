"""The calls of a run: new points only, in order, up to a budget."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wrlso.benchmarks.panel.problems import Problem

__all__ = ["Calls", "NothingNew", "Spent"]

_ATTEMPTS = 5000  # proposals for one new point


class Spent(Exception):
    """Ends a method when its calls are spent."""


class NothingNew(Exception):
    """Ends a method that makes no new point."""


class Calls:
    """The evaluated points of one run, larger values better, and what was called in order.

    Parameters
    ----------
    problem : Problem
    X, y : sequence of n x, ndarray (n,)
        The start, in the problem's own units.
    budget : int
        Largest number of calls.
    done : callable, default=None
        Called after each call.

    Attributes
    ----------
    X : list
        The start and what was called since.
    y : list of float
        Their values, larger better; -inf for failed experiments.
    told : list of float or None
        The values that were called for, in order and in the problem's own units.
    """

    def __init__(
        self, problem: Problem, X: Any, y: Any, budget: int, done: Callable[[], Any] | None = None
    ) -> None:
        self.problem = problem
        self.X = list(X)
        self.y = [problem.sign * float(value) for value in y]
        self.n_start = len(self.X)
        self.budget = budget
        self.told: list[float | None] = []
        self.known = {problem.space.key(x) for x in self.X}
        self.done = done

    @property
    def left(self) -> int:
        """Remaining calls."""
        return self.budget - len(self.told)

    def evaluate(self, x: Any) -> float:
        """Evaluate x and return its value, larger better; -inf where the experiment fails."""
        if not self.left:
            raise Spent
        value = self.problem.objective(x)
        self.told.append(value)
        self.X.append(x)
        self.y.append(-np.inf if value is None else self.problem.sign * value)
        self.known.add(self.problem.space.key(x))
        if self.done is not None:
            self.done()
        return self.y[-1]

    def new(self, propose: Callable[[], Any]) -> Any:
        """Return the first new x that ``propose`` gives; raise NothingNew after 5,000 proposals."""
        for _ in range(_ATTEMPTS):
            x = propose()
            if x is not None and self.problem.space.key(x) not in self.known:
                return x
        raise NothingNew

    def best(self, n: int) -> list[int]:
        """Return the places of the n best points, best first."""
        return [int(i) for i in np.argsort(-np.array(self.y), kind="stable")[:n]]
