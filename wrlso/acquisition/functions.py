"""Acquisition functions: how much a point is worth asking for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.belief import MOST_JOINT
from wrlso.acquisition.default_search import search_of
from wrlso.acquisition.latent_search import LatentSearch
from wrlso.acquisition.protocol import SearchStrategy
from wrlso.acquisition.several import LogHypervolumeImprovement, LogParEGO
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.surrogate.protocol import Surrogate

__all__ = ["LogExpectedImprovement", "Mixture", "ThompsonSampling", "UpperConfidenceBound", "log_h"]

_LOG_2PI_HALF = 0.5 * float(np.log(2.0 * np.pi))
_LOG_HALF_PI_HALF = 0.5 * float(np.log(0.5 * np.pi))
_FAR = -50.0  # left of it four terms of the asymptotic series leave an error under 1e-13 of log h
_SMALLEST_DEVIATION = 1e-150


def log_h(u: Tensor) -> Tensor:
    """Return log(φ(u) + u Φ(u)), accurate to 1e-12 relative and with finite gradients for |u| < 1e150.

    Expected improvement is σ h((μ - best) / σ). Three regimes: the definition for u > -1; an identity with
    the scaled complementary error function down to -50; the asymptotic series of h beyond.

    Source: Ament et al., "Unexpected Improvements to Expected Improvement", NeurIPS 2023, Eq. 9; the series
    replaces their third branch.

    Parameters
    ----------
    u : Tensor of float64, any shape

    Returns
    -------
    Tensor of float64, same shape
    """
    near = u.clamp_min(-1.0)
    direct = torch.log(torch.exp(-0.5 * near * near - _LOG_2PI_HALF) + near * torch.special.ndtr(near))
    v = u.clamp(_FAR, -1.0).neg()
    ratio = torch.log(v) + torch.log(torch.special.erfcx(v * 0.5**0.5)) + _LOG_HALF_PI_HALF
    middle = -0.5 * v * v - _LOG_2PI_HALF + torch.log(-torch.expm1(ratio))
    w = u.clamp_max(_FAR).neg()
    q = 1.0 / (w * w)
    series = q * (-3.0 + q * (15.0 + q * -105.0))
    far = -0.5 * w * w - _LOG_2PI_HALF - 2.0 * torch.log(w) + torch.log1p(series)
    return torch.where(u > -1.0, direct, torch.where(u > _FAR, middle, far))


class LogExpectedImprovement(BaseEstimator):
    """Logarithm of the expected improvement over the best value so far.

    With two goals :class:`LogHypervolumeImprovement` takes its place, with more :class:`LogParEGO`.

    Parameters
    ----------
    xi : float, default 0.0
        Smallest improvement that counts, in standard deviations of the surrogate's (transformed) values; a
        larger one explores more where many points are almost as good as the best.
    search : SearchStrategy or None
        How it is maximised; None takes the default strategy, a :class:`CandidatePool`.

    References
    ----------
    Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023.
    """

    uses_surrogate = True
    differentiable = True
    logarithmic = True
    increasing = True  # in mean and variance: bounds of these are bounds of its value

    def __init__(self, search: SearchStrategy | None = None, *, xi: float = 0.0) -> None:
        self.search = search
        self.xi = xi

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        check_real("xi", self.xi, minimum=0.0)

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return log EI (q,) at the points; always finite."""
        mean, variance = surrogate.predict(points)
        deviation = variance.sqrt().clamp_min(_SMALLEST_DEVIATION)
        improvement = mean - best - self.xi
        # without variance EI is the improvement itself; the bounds keep squares representable
        return torch.log(deviation) + log_h((improvement / deviation).clamp(-1e151, 1e300))

    def for_goals(self, n: int) -> Any:
        """Return what takes its place where there are n goals."""
        return LogHypervolumeImprovement() if n == 2 else LogParEGO()

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`Acquisition`."""
        self.check_parameters()
        return search_of(self.search, state).propose(state, n, rng, self)


class UpperConfidenceBound(BaseEstimator):
    """Mean + β standard deviations.

    Parameters
    ----------
    beta : float, default 2.0
        Weight of the standard deviation (not of the variance), at least 0.
    search : SearchStrategy or None
        How it is maximised; None takes the default strategy, a :class:`CandidatePool`.
    """

    uses_surrogate = True
    differentiable = True
    increasing = True

    def __init__(self, beta: float = 2.0, *, search: SearchStrategy | None = None) -> None:
        self.beta = beta
        self.search = search

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        check_real("beta", self.beta, minimum=0.0)

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return the upper confidence bound (q,) at the points."""
        mean, variance = surrogate.predict(points)
        return mean + self.beta * variance.clamp_min(_SMALLEST_DEVIATION**2).sqrt()

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`Acquisition`."""
        self.check_parameters()
        return search_of(self.search, state).propose(state, n, rng, self)


class ThompsonSampling(BaseEstimator):
    """A joint sample of the posterior at all points that are compared; a new one for every proposal.

    With several goals :class:`LogParEGO` takes its place. Of more than 3,000 points only those with the
    largest expected improvement are compared, because a joint sample of q points costs O(q³).

    Parameters
    ----------
    search : SearchStrategy or None
        Where the sample is compared; None takes the default strategy, a :class:`CandidatePool`. In
        :class:`LatentSearch` the best of its ``n_raw`` points is taken, without ascent.
    """

    uses_surrogate = True
    differentiable = False

    def __init__(self, search: SearchStrategy | None = None) -> None:
        self.search = search

    @property
    def promise(self) -> LogExpectedImprovement:
        """What tells which of very many points are worth comparing."""
        return LogExpectedImprovement()

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return one joint sample (q,) at the points; -inf at those that are not compared."""
        if len(points) <= MOST_JOINT:
            return surrogate.sample(points, 1, generator)[0]
        promise = self.promise.score(surrogate, points, best, generator)
        rows = promise.nan_to_num(nan=-torch.inf).topk(MOST_JOINT).indices.sort().values
        chosen = points[rows] if isinstance(points, Tensor) else [points[int(row)] for row in rows]
        sample = torch.full((len(points),), -torch.inf, dtype=torch.float64)
        sample[rows] = surrogate.sample(chosen, 1, generator)[0]
        return sample

    def for_goals(self, n: int) -> Any:
        """Return what takes its place where there are n goals."""
        return LogParEGO()

    def check_parameters(self) -> None:
        """Raise ParameterError for a search with parameters of an ascent, which a sample does not allow."""
        if not isinstance(self.search, LatentSearch):
            return
        for name in ("max_iter", "step"):
            value, default = getattr(self.search, name), getattr(LatentSearch(), name)
            if value != default:
                raise ParameterError(
                    f"{name} of the LatentSearch must be {default!r}, the default, in ThompsonSampling, "
                    f"which takes the best of n_raw points without ascent, got {value!r}"
                )

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`Acquisition`."""
        self.check_parameters()
        return search_of(self.search, state).propose(state, n, rng, self)


class Mixture(BaseEstimator):
    """Several acquisition functions that take turns, over the points of a batch and from ask to ask.

    Parts without a ``search`` of their own share one search. Where a part has its own, each part finds all
    its points of a batch in one search, and knows the points that the parts before it chose.

    Parameters
    ----------
    parts : sequence of acquisition functions
        Such as ``[LogExpectedImprovement(), ThompsonSampling()]``.
    turns : sequence of int or None, default None
        How many points in a row each part chooses; None: one each.
    search : SearchStrategy or None
        How parts without a ``search`` of their own are maximised; None takes the default strategy, a
        :class:`CandidatePool`.
    """

    uses_surrogate = True
    differentiable = False

    def __init__(
        self,
        parts: Sequence[Any],
        turns: Sequence[int] | None = None,
        *,
        search: SearchStrategy | None = None,
    ) -> None:
        self.parts = parts
        self.turns = turns
        self.search = search

    def pick(self, i: int) -> Any:
        """Return the part that chooses the i-th point of a campaign."""
        return self.parts[self._place(i)]

    def _place(self, i: int) -> int:
        turns = [1] * len(self.parts) if self.turns is None else self.turns
        ends = np.cumsum(turns)
        return int(np.searchsorted(ends, i % int(ends[-1]), side="right"))

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return the values (q,) that the first part gives the points."""
        value: Tensor = self.pick(0).score(surrogate, points, best, generator)
        return value

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`Acquisition`."""
        self._check_parameters()
        if not any(map(_own_search, self.parts)):
            return search_of(self.search, state).propose(state, n, rng, self)
        check_count("n", n)
        places = [self._place(state.turn + i) for i in range(n)]
        found: dict[int, list[Proposal]] = {}
        records: list[AskRecord] = []
        for place, count in Counter(places).items():
            part = self.parts[place]
            if _own_search(part) is not None:
                found[place], record = part.propose(state, count, rng)
            else:
                found[place], record = search_of(self.search, state).propose(state, count, rng, part)
            records.append(record)
            state = _with_pending(state, found[place])
        return [found[place].pop(0) for place in places], _joined(records)

    def _check_parameters(self) -> None:
        self._check_parts()
        self._check_turns()
        if self.search is not None and all(map(_own_search, self.parts)):
            raise ParameterError(
                f"search must be None where every part has a search of its own, got {self.search!r}: it "
                f"would have no effect. Give it to the mixture or to the parts"
            )

    def _check_parts(self) -> None:
        if not isinstance(self.parts, Sequence):
            raise ParameterTypeError(f"parts must be a sequence of acquisition functions, got {self.parts!r}")
        if len(self.parts) == 0:
            raise ParameterError("parts must hold at least one acquisition function, got none")
        for i, part in enumerate(self.parts):
            if isinstance(part, type) or not callable(getattr(part, "score", None)):
                raise ParameterTypeError(
                    f"parts[{i}] must be an acquisition function with score, got {part!r}"
                )
            if hasattr(part, "pick"):
                raise ParameterError(
                    f"parts[{i}] must not be a mixture itself: list its parts instead, got {part!r}"
                )
            if callable(check := getattr(part, "check_parameters", None)):
                check()
            if _own_search(part) is not None and not callable(getattr(part, "propose", None)):
                raise ParameterTypeError(f"parts[{i}] has a search and needs a method propose, got {part!r}")

    def _check_turns(self) -> None:
        if self.turns is None:
            return
        if not isinstance(self.turns, Sequence):
            raise ParameterTypeError(f"turns must be a list of integers, got {self.turns!r}")
        if len(self.turns) != len(self.parts):
            raise ParameterError(
                f"turns must have one number for each of the {len(self.parts)} parts, got {self.turns!r}"
            )
        for i, turn in enumerate(self.turns):
            check_count(f"turns[{i}]", turn)


def _own_search(part: Any) -> Any:
    """Return the strategy that a part of a mixture brings, or None."""
    return getattr(part, "search", None)


def _with_pending(state: SearchState, proposals: list[Proposal]) -> SearchState:
    """Return a state in which proposals are pending, so that the next search keeps away from them."""
    key, screen = state.model.key, state.screen
    chosen = {key(proposal.x) for proposal in proposals}
    return replace(
        state,
        pending=torch.cat([state.pending, *(proposal.z[None].to(state.pending) for proposal in proposals)]),
        pending_X=[*state.pending_X, *(proposal.x for proposal in proposals)],
        screen=lambda x: "chosen" if key(x) in chosen else screen(x),
    )


def _joined(records: list[AskRecord]) -> AskRecord:
    """Return one record of several searches of an ask."""
    rejected: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for record in records:
        rejected.update(record.rejected)
        for name, value in record.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + value
    strategies = dict.fromkeys(record.strategy for record in records)
    return AskRecord(
        sum(record.n_decoded for record in records), dict(rejected), dict(seconds), ", ".join(strategies)
    )
