"""The optimizer in a loop that was written for Nevergrad."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from wrlso._state.reading import read_value
from wrlso._utils.validation import check_count
from wrlso.adapters.direction import check_direction
from wrlso.exceptions import ParameterError
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["Candidate", "NevergradOptimizer"]

_EVENTS = ("ask", "tell")
_numbers = count()


@dataclass(eq=False)
class Candidate:
    """A point as Nevergrad's loops see it, in place of ``nevergrad.p.Parameter``.

    Attributes
    ----------
    value : object
        The x.
    loss : float or None
        The last value told.
    uid : str
        Its name.
    args, kwargs
        What the objective is called with: ``objective(*candidate.args, **candidate.kwargs)``.

    Examples
    --------
    >>> candidate = Candidate("CCO")
    >>> candidate.value, candidate.args
    ('CCO', ('CCO',))
    """

    value: Any
    loss: float | None = None
    uid: str = field(default_factory=lambda: f"x{next(_numbers)}")

    @property
    def args(self) -> tuple[Any, ...]:
        """The x alone."""
        return (self.value,)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def spawn_child(self, new_value: Any) -> "Candidate":
        """Return a candidate for another x."""
        return Candidate(new_value)


class NevergradOptimizer:
    """Takes the place of an optimizer of Nevergrad: the same calls, with candidates that hold an x.

    Nevergrad need not be installed. It minimises, and so must ``opt``. There is no
    ``nevergrad.p.Parameter`` behind a candidate: Nevergrad's parameters are made of numbers, and x need not
    be. None or NaN as a loss is an experiment that failed.

    Parameters
    ----------
    opt : WeightedRetrainingOptimizer
        With ``direction="minimize"`` and starting data.
    budget : int, default=None
        Number of evaluations; :meth:`minimize` needs it.
    num_workers : int, default=1
        How many evaluations :meth:`minimize` has out at once, where it is given an executor.

    Attributes
    ----------
    opt : WeightedRetrainingOptimizer
    budget : int or None
    num_workers, num_ask, num_tell : int
    parametrization : Candidate
        For ``parametrization.spawn_child(new_value=x)``, a candidate for an x that was not asked for.

    Raises
    ------
    ParameterError, ParameterTypeError
        When ``opt`` maximises or is no optimizer, or for a bad number.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> from wrlso.adapters import NevergradOptimizer
    >>> X = np.tril(np.ones((12, 12)))[3:9]
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(12, 4), nn.Linear(2, 12), direction="minimize")
    >>> loop = NevergradOptimizer(opt.fit(X, X.sum(axis=1)), budget=2)
    >>> best = loop.minimize(lambda x: float(x.sum()))
    >>> loop.num_tell, bool(best.value.sum() == best.loss)
    (2, True)
    """

    def __init__(
        self, opt: WeightedRetrainingOptimizer, budget: int | None = None, num_workers: int = 1
    ) -> None:
        check_direction(opt, "Nevergrad minimises", "minimize")
        check_count("budget", budget, none="no budget")
        check_count("num_workers", num_workers)
        self.opt = opt
        self.budget = budget
        self.num_workers = num_workers
        self.num_ask: int = 0
        self.num_tell: int = 0
        self.parametrization: Candidate = Candidate(None)
        self._suggested: list[Any] = []
        self._callbacks: dict[str, list[Callable[..., Any]]] = {event: [] for event in _EVENTS}

    def suggest(self, x: Any) -> None:
        """Let the next ask return this x; of several the last comes first."""
        self._suggested.append(x)

    def ask(self) -> Candidate:
        """Return a candidate; its x is ``candidate.value``."""
        for callback in self._callbacks["ask"]:
            callback(self)
        candidate = Candidate(self._suggested.pop() if self._suggested else self.opt.ask())
        self.num_ask += 1
        return candidate

    def tell(self, candidate: Candidate, loss: Any) -> None:
        """Record the loss of a candidate; None or NaN: the experiment failed."""
        self.opt.tell(candidate.value, loss)
        candidate.loss = read_value(loss)
        for callback in self._callbacks["tell"]:
            callback(self, candidate, candidate.loss)
        self.num_tell += 1

    def provide_recommendation(self) -> Candidate:
        """Return the best candidate of all data, starting data included."""
        return Candidate(self.opt.best_x_, self.opt.best_y_)

    recommend = provide_recommendation

    def register_callback(self, name: str, callback: Callable[..., Any]) -> None:
        """Have a function called at every ask with (self), or tell with (self, candidate, loss)."""
        if name not in _EVENTS:
            raise ParameterError(f"name must be one of 'ask', 'tell', got {name!r}")
        self._callbacks[name].append(callback)

    def remove_all_callbacks(self) -> None:
        """Forget all callbacks."""
        for callbacks in self._callbacks.values():
            callbacks.clear()

    def minimize(self, objective_function: Callable[[Any], Any], executor: Any = None) -> Candidate:
        """Spend what is left of the budget, and return the recommendation.

        Parameters
        ----------
        objective_function : callable x → float
        executor : executor, default=None
            With ``submit(function, x)``, which returns a future. Rounds of ``num_workers`` evaluations are
            told in the order in which they were asked for, so that the search is reproducible;
            :func:`wrlso.minimize` waits for none in particular.

        Raises
        ------
        ParameterError
            Without a budget.
        """
        if self.budget is None:
            raise ParameterError("budget must be given for minimize, got None")
        while (left := self.budget - self.num_ask) > 0:
            if executor is None:
                candidate = self.ask()
                self.tell(candidate, objective_function(*candidate.args))
                continue
            candidates = [self.ask() for _ in range(min(left, self.num_workers))]
            jobs = [executor.submit(objective_function, *candidate.args) for candidate in candidates]
            for candidate, job in zip(candidates, jobs, strict=True):
                self.tell(candidate, job.result())
        return self.provide_recommendation()
