"""A BoTorch model and acquisition function of the user's own, over the candidates of this library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_choice, check_count
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.belief import Belief
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.sources import usable
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterTypeError
from wrlso.surrogate.points import features_of

__all__ = ["BoTorchAcquisition", "Choice"]

_SPACES = ("latent", "features")


@dataclass(frozen=True)
class Choice:
    """What a loop of BoTorch chooses from, in one ask.

    Attributes
    ----------
    points : Tensor of float64, (N, d)
        The points with a value.
    y : Tensor of float64, (N, 1)
        Their values, larger is better, in the units in which they were told (the sign is turned where the
        optimizer minimises).
    candidates : Tensor of float64, (c, d)
        What may be proposed: new, valid and feasible, all different. The columns are those of ``points``.
    pending : Tensor of float64, (p, d)
        What is being evaluated, for ``X_pending``.
    X : list of c objects
        The candidates themselves.
    n : int
        How many to choose.

    Examples
    --------
    A function for :class:`BoTorchAcquisition` that chooses the first candidates:

    >>> def choose(choice: Choice):
    ...     return list(range(choice.n))
    """

    points: Tensor
    y: Tensor
    candidates: Tensor
    pending: Tensor
    X: list[Any]
    n: int


class BoTorchAcquisition(BaseEstimator):
    """Lets a function that is written with BoTorch choose among this library's candidates.

    Candidates are made by the model's decoder and by changes of known objects, as in every search; the
    optimizer's own surrogate only says what the later generations start from. Then ``choose`` fits a model
    of its own, and returns what its acquisition function likes best. The optimizer does the rest: training,
    pending points, campaigns, reports.

    Parameters
    ----------
    choose : callable Choice → Tensor
        Returns n rows of ``choice.candidates`` (n, d), as ``optimize_acqf_discrete`` does, or their n
        numbers (integers). Random numbers that it takes from torch's global generator are reproducible.
    on : {"latent", "features"}, default="latent"
        Whether points are latent points, or the model's features of x (:class:`wrlso.models.HasFeatures`).
    pool : CandidatePool, default=None
        Makes the candidates; None: a :class:`wrlso.CandidatePool`.

    Examples
    --------
    ::

        def choose(choice):
            model = SingleTaskGP(choice.points, choice.y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            acquisition = qLogNoisyExpectedImprovement(model, choice.points, X_pending=choice.pending)
            return optimize_acqf_discrete(acquisition, q=choice.n, choices=choice.candidates)[0]

        opt = WeightedRetrainingOptimizer(model=vae, acquisition=BoTorchAcquisition(choose))
    """

    uses_surrogate = True

    def __init__(
        self,
        choose: Callable[[Choice], Tensor],
        *,
        on: str = "latent",
        pool: CandidatePool | None = None,
    ) -> None:
        self.choose = choose
        self.on = on
        self.pool = pool

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        if not callable(self.choose):
            raise ParameterTypeError(f"choose must be a callable Choice → Tensor, got {self.choose!r}")
        check_choice("on", self.on, _SPACES)
        if self.pool is not None and not isinstance(self.pool, CandidatePool):
            raise ParameterTypeError(f"pool must be a CandidatePool or None, got {self.pool!r}")

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.Acquisition`."""
        self.check_parameters()
        check_count("n", n)
        pool = CandidatePool() if self.pool is None else self.pool
        screener = Screener(state, type(self).__name__, rng)
        sources = usable(pool.sources, state)
        judge = LogExpectedImprovement()
        found = pool._gather(state, Belief.of(state), sources, screener, judge, [judge] * n, rng)
        if len(found.X) < n:
            raise screener.give_up(len(found.X), n)
        choice = self._choice(state, found.X, torch.from_numpy(found.Z), n)
        with isolated_torch_rng(int(rng.integers(2**31))):
            rows = _chosen(self.choose(choice), choice)
        proposals = [
            Proposal(found.X[i], torch.from_numpy(found.Z[i].copy()), np.nan, found.sources[i]) for i in rows
        ]
        for proposal in proposals:
            screener.record.sources[proposal.source]["chosen"] += 1
        return proposals, screener.finish()

    def _choice(self, state: SearchState, X: list[Any], Z: Tensor, n: int) -> Choice:
        points, candidates, pending = state.Z, Z.clone(), state.pending
        if self.on == "features":
            if state.point is None:
                raise ModelError("the objects themselves are not known in this search: use on='latent'")
            known = [state.point(i) for i in range(len(state.y))]
            points, candidates = _features(state, known), _features(state, X)
            pending = _features(state, state.pending_X) if len(state.pending_X) else points[:0]
        return Choice(points.clone(), state.y[:, None].clone(), candidates, pending.clone(), list(X), n)


def _features(state: SearchState, X: Sequence[Any]) -> Tensor:
    """Return the model's features (n, D); raises ModelError for a model without any."""
    found = features_of(state.model, X)
    if found is None:
        raise ModelError(f"{type(state.model).__name__} has no method features: use on='latent'")
    return found


def _chosen(returned: Any, choice: Choice) -> list[int]:
    """Return which candidates were chosen, by their numbers or by their points."""
    if not isinstance(returned, Tensor):
        raise DataTypeError(f"choose must return a tensor, got {type(returned).__name__}")
    if returned.shape == (choice.n,) and not returned.is_floating_point():
        rows = [int(i) for i in returned]
        if not all(0 <= row < len(choice.X) for row in rows) or len(set(rows)) < choice.n:
            raise DataError(
                f"choose must return {choice.n} different numbers of the {len(choice.X)} candidates, "
                f"got {rows}"
            )
        return rows
    if returned.shape != (choice.n, choice.candidates.shape[1]):
        raise DataError(
            f"choose must return {choice.n} rows of the candidates {tuple(choice.candidates.shape)}, or "
            f"their numbers, got a tensor of shape {tuple(returned.shape)}"
        )
    rows = []
    for point in returned.detach().to(choice.candidates):
        same = (choice.candidates == point).all(dim=1).nonzero().flatten().tolist()
        free = [row for row in same if row not in rows]
        if not free:
            raise DataError(
                "choose must return different rows of choice.candidates, got a point that is none of them, "
                "or one too often"
            )
        rows.append(free[0])
    return rows
