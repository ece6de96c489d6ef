"""Acquisition functions for several goals: what a point would add to the front, by BoTorch."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_count
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.default_search import search_of
from wrlso.acquisition.drawn_model import drawn_model
from wrlso.acquisition.goals import Compared
from wrlso.acquisition.protocol import SearchStrategy
from wrlso.acquisition.state import Proposal, SearchState

__all__ = ["LogHypervolumeImprovement", "LogParEGO", "SeveralGoals"]

_CHUNK = 100  # candidates at once


class Promise:
    """How good a point may be by the process of merits: its mean and two standard deviations."""

    differentiable = True
    increasing = True  # in mean and variance: bounds of these are bounds of its value

    def score(self, surrogate: Any, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return that (q,)."""
        mean, variance = surrogate.predict(points)
        found: Tensor = mean + 2.0 * variance.clamp_min(0.0).sqrt()
        return found


class SeveralGoals(BaseEstimator, ABC):
    """What acquisition functions for several goals share."""

    uses_surrogate = True
    differentiable = False
    logarithmic = True
    several = True

    def __init__(self, search: SearchStrategy | None = None, *, n_samples: int = 64) -> None:
        self.search = search
        self.n_samples = n_samples

    @property
    def promise(self) -> "Promise":
        """What tells which of very many points are worth comparing."""
        return Promise()

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        check_count("n_samples", self.n_samples)

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.Acquisition`."""
        self.check_parameters()
        return search_of(self.search, state).propose(state, n, rng, self)

    @abstractmethod
    def score(self, surrogate: Any, points: Tensor, best: float, generator: torch.Generator) -> Tensor:
        """Return how much points, by number (q,), are worth."""


def _scored(
    compared: Compared, points: Tensor, n_samples: int, criterion_of: Callable[[Any, Any, Tensor], Any]
) -> Tensor:
    """Return what a criterion of BoTorch says of points, by number (q,).

    ``criterion_of`` makes it of a model, a sampler and the numbers (n, 1) of the points on the front.
    """
    count = min(n_samples, len(compared.draws))
    known = compared.known.double()[:, None]
    with warnings.catch_warnings(), isolated_torch_rng(0), torch.no_grad():
        warnings.simplefilter("ignore")  # of BoTorch's own use of torch
        criterion = criterion_of(*drawn_model(compared.mean, compared.draws[:count]), known)
        return torch.cat([criterion(part.double()[:, None, None]) for part in points.split(_CHUNK)])


class LogHypervolumeImprovement(SeveralGoals):
    """Logarithm of the expected improvement of the hypervolume that the front dominates, noise considered.

    BoTorch's ``qLogNoisyExpectedHypervolumeImprovement``, on the candidates of a :class:`CandidatePool`. The
    front is that of the processes, not of the measurements; what is pending or was chosen before belongs to
    it.

    Parameters
    ----------
    search : SearchStrategy or None
        None takes the default strategy, a :class:`CandidatePool`.
    n_samples : int, default 64
        Joint samples of the processes, at most 64. The cost of more than two goals grows fast with it.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import Maximize, Minimize, WeightedRetrainingOptimizer
    >>> from wrlso.acquisition import LogHypervolumeImprovement
    >>> opt = WeightedRetrainingOptimizer(
    ...     nn.Linear(9, 4),
    ...     nn.Linear(2, 9),
    ...     outcomes=[Maximize("potency"), Minimize("size")],
    ...     acquisition=LogHypervolumeImprovement(),
    ... )

    References
    ----------
    Daulton, Balandat, Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected
    Hypervolume Improvement", NeurIPS 2021; Ament et al., NeurIPS 2023.
    """

    def score(self, surrogate: Any, points: Tensor, best: float, generator: torch.Generator) -> Tensor:
        """Return the logarithm of what points, by number (q,), would add."""
        from botorch.acquisition.multi_objective import logei

        # it would compile a kernel with the machine's C++ compiler, wait for other processes that do, and
        # give other last digits where there is one
        vars(logei)["_load_attempted"] = True
        reference = torch.zeros(surrogate.mean.shape[1]).double()
        return _scored(
            surrogate,
            points,
            self.n_samples,
            lambda model, sampler, known: logei.qLogNoisyExpectedHypervolumeImprovement(
                model, reference, known, sampler, cache_root=False
            ),
        )


class LogParEGO(SeveralGoals):
    """Logarithm of the expected improvement of a Chebyshev scalarisation with random weights.

    BoTorch's ``qLogNParEGO``, on the candidates of a :class:`CandidatePool`; each point has new weights.

    Parameters
    ----------
    search, n_samples
        As of :class:`LogHypervolumeImprovement`.

    Examples
    --------
    In turns with the other function for several goals, as the default has them:

    >>> from wrlso import Mixture
    >>> from wrlso.acquisition import LogHypervolumeImprovement, LogParEGO
    >>> acquisition = Mixture([LogHypervolumeImprovement(), LogParEGO()])

    References
    ----------
    Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006; Daulton et al., NeurIPS 2020.
    """

    def score(self, surrogate: Any, points: Tensor, best: float, generator: torch.Generator) -> Tensor:
        """Return the logarithm of what points, by number (q,), would add."""
        from botorch.acquisition.multi_objective.parego import qLogNParEGO

        uniform = torch.rand(surrogate.mean.shape[1], generator=generator, dtype=torch.float64)
        weights = -torch.log(uniform.clamp_min(1e-12))  # uniform on the simplex
        weights = weights / weights.sum()
        return _scored(
            surrogate,
            points,
            self.n_samples,
            lambda model, sampler, known: qLogNParEGO(
                model, known, weights, sampler, cache_root=False, prune_baseline=False
            ),
        )
