"""The protocols of an acquisition function, of what it scores, and of a strategy that maximises it."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Generator, Tensor

from wrlso.acquisition.state import AskRecord, Proposal, SearchState
from wrlso.surrogate.protocol import Surrogate

__all__ = ["Acquisition", "Criterion", "SearchStrategy"]


@runtime_checkable
class Acquisition(Protocol):
    """Chooses the points of one ask. :func:`wrlso.testing.check_acquisition` checks one of your own.

    Examples
    --------
    >>> from wrlso import ThompsonSampling
    >>> isinstance(ThompsonSampling(), Acquisition)
    True
    """

    uses_surrogate: bool
    """Whether :attr:`SearchState.surrogate` must be there."""

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals with distinct ``model.key(x)`` that pass ``state.screen``, and a record.

        Raises :class:`wrlso.exceptions.NoCandidateError`, with counts by reason, after a bounded number of
        attempts.
        """


class Criterion(Protocol):
    """How much a point is worth asking for: what a :class:`SearchStrategy` maximises.

    Acquisition functions with a ``search`` are criteria: they hand themselves to their strategy. One whose
    parts take turns, as :class:`wrlso.Mixture`, also has a method ``pick(i)``, which returns the criterion
    that chooses the i-th point of a campaign: a strategy calls it with ``state.turn`` for its first point,
    with ``state.turn + 1`` for the second, and so on.

    Examples
    --------
    >>> class Mean:  # a greedy criterion
    ...     differentiable = True
    ...
    ...     def score(self, surrogate, points, best, generator):
    ...         return surrogate.predict(points)[0]
    >>> greedy: Criterion = Mean()
    """

    differentiable: bool
    """Whether ``score`` has gradients in Z, and the same value for the same point in every call."""

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: Generator) -> Tensor:
        """Return how much each point is worth (q,) float64, larger is better.

        Parameters
        ----------
        surrogate : Surrogate
            Conditioned on the points that are pending, and on those that this ask has chosen already.
        points : Tensor (q, d) float64, or a list of q objects
            As ``surrogate.space`` says.
        best : float
            The best value so far, in the units of the surrogate.
        generator : torch.Generator
            The only source of random numbers.
        """


class SearchStrategy(Protocol):
    """Finds the points that a criterion scores highest: the ``search`` of an acquisition function.

    It has parameters like scikit-learn's estimators, takes random numbers from ``rng`` only, and changes
    nothing but itself; the optimizer uses a deep copy of it. The guide has a short example.

    Examples
    --------
    A strategy that proposes what ``fit`` was given without a value, in its order:

    >>> from wrlso.acquisition import AskRecord, Proposal, SearchStrategy
    >>> class InOrder:
    ...     def propose(self, state, n, rng, criterion):
    ...         new = [x for x in state.candidates if state.screen(x) is None][:n]
    ...         return [Proposal(x, None) for x in new], AskRecord(strategy="in order")
    >>> strategy: SearchStrategy = InOrder()
    """

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals as :meth:`Acquisition.propose` does, judged by ``criterion.score``."""
