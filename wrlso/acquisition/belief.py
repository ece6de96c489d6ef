"""What the surrogate believes of candidates, one by one and jointly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.state import SearchState
from wrlso.exceptions import NotFittedError
from wrlso.models.inference import to_array
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.points import points_for
from wrlso.surrogate.protocol import HasWorkingScale, Surrogate

__all__ = ["MOST_JOINT", "Belief", "FinitePosterior", "for_turn", "safe_scores"]

MOST_JOINT = 3000  # points whose joint covariance is held at once
_MOST_COMPARED = 100  # best values whose means are compared


@dataclass(frozen=True)
class Belief:
    """A surrogate with the best value so far, to which points with their predicted values can be added."""

    surrogate: Surrogate
    best: float
    model: Any = None  # knows features of x, for surrogates that want them
    spread: float = 0.0  # standard deviation of the values, in the units of best

    @classmethod
    def of(cls, state: SearchState, *, latent: bool = False) -> "Belief":
        """Condition the state's surrogate, or what it has of Z alone, on the pending points."""
        if state.surrogate is None:
            raise NotFittedError("this acquisition needs a fitted surrogate: fit one, or use PriorSampling")
        surrogate, y = state.surrogate, state.y
        if latent:
            surrogate = getattr(surrogate, "latent_", surrogate)
        if isinstance(surrogate, HasWorkingScale):
            surrogate, y = surrogate.working_scale(y)
        allowed = y if state.satisfies is None or not state.satisfies.any() else y[state.satisfies]
        best, spread = (float(allowed.max()), float(y.std(correction=0))) if len(y) else (-np.inf, 0.0)
        belief = cls(surrogate, best, state.model, spread)
        if len(y) and state.noisy:
            belief = belief.without_luck(state, y)
        if len(state.pending) == 0:
            return belief
        points = points_for(surrogate, state.model, lambda: state.pending_X, lambda: state.pending)
        return belief.add(points)

    def without_luck(self, state: SearchState, y: Tensor) -> "Belief":
        """Return a belief in which the best value is the largest mean at the points with a value.

        The largest of many noisy values is a lucky one, on which no point improves. Only the best values
        of y (n,) are looked at.
        """
        rows = y.topk(min(len(y), _MOST_COMPARED)).indices.sort().values
        points = points_for(
            self.surrogate, self.model, lambda: [_point(state, int(i)) for i in rows], lambda: state.Z[rows]
        )
        with torch.no_grad():
            mean, _ = self.surrogate.predict(points)
        return replace(self, best=min(self.best, float(mean.max())))

    def points(self, X: Sequence[Any], Z: NDArray[np.float64]) -> Any:
        """Return q candidates and their encodings Z (q, d) in the form that the surrogate takes."""
        return points_for(self.surrogate, self.model, lambda: X, lambda: torch.from_numpy(Z))

    def add(self, points: Any) -> "Belief":
        """Kriging believer (Ginsbourger et al. 2010): take the predicted mean for what will be observed."""
        with torch.no_grad():
            mean, _ = self.surrogate.predict(points)
        best = max(self.best, float(mean.max()))
        return replace(self, surrogate=self.surrogate.condition_on(points, mean), best=best)

    def demanding(self, deviations: float) -> "Belief":
        """Return a belief for which only what is so many standard deviations of the values better counts."""
        return replace(self, best=self.best + deviations * self.spread)

    def over(self, points: Any) -> tuple["Belief", Any]:
        """Return a belief about these points only, and their names in it.

        Where the surrogate knows their joint distribution, all that follows needs nothing else, at a fraction
        of the cost of asking the surrogate again after each choice.
        """
        if not isinstance(self.surrogate, HasWorkingScale) or len(points) > MOST_JOINT:
            return self, points
        with torch.no_grad():
            mean, covariance, noise = self.surrogate.joint(points)
        # it has all methods of a surrogate but fit, which is not called
        finite = cast(Surrogate, FinitePosterior(mean, covariance, noise))
        return replace(self, surrogate=finite), torch.arange(len(mean))


def _point(state: SearchState, i: int) -> Any:
    """Return the x of a row of the state's values."""
    if state.point is None:
        raise NotFittedError("a surrogate of features of x needs a search state with its points, point=…")
    return state.point(i)


class FinitePosterior:
    """A Gaussian over q points, named by their numbers: enough to choose among them.

    Parameters
    ----------
    mean : Tensor of float64, (q,)
    covariance : Tensor of float64, (q, q)
    noise : float
        Variance of the noise of an observation.
    """

    def __init__(self, mean: Tensor, covariance: Tensor, noise: float) -> None:
        self.mean = mean
        self.covariance = covariance
        self.noise = noise

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance at the points with numbers Z (k,)."""
        return self.mean[Z], self.covariance.diagonal()[Z].clamp_min(0.0)

    def sample(self, Z: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, k) at the points with numbers Z."""
        covariance = self.covariance[Z][:, Z]
        root = covariance_root(covariance, float(covariance.diagonal().max().clamp_min(1e-300)))
        noise = torch.randn(n, len(Z), dtype=torch.float64, generator=generator)
        return self.mean[Z] + noise @ root.T

    def condition_on(self, Z: Tensor, y: Tensor) -> "FinitePosterior":
        """Return the Gaussian given values y (k,) of the points with numbers Z (k,), one by one."""
        mean, covariance = self.mean, self.covariance
        for i, value in zip(Z.tolist(), y, strict=True):
            column = covariance[:, i]
            total = covariance[i, i] + self.noise
            mean = mean + column * ((value - mean[i]) / total)
            covariance = covariance - torch.outer(column, column) / total
        return FinitePosterior(mean, covariance, self.noise)


class Believes(Protocol):
    """A belief about one goal or several."""

    @property
    def surrogate(self) -> Any:
        """What a criterion scores with."""

    @property
    def best(self) -> float:
        """The best value so far; of no meaning with several goals."""


def safe_scores(
    criterion: Criterion,
    belief: Believes,
    points: Any,
    generator: torch.Generator,
    success: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Acquisition values (q,) without gradient, times the probability of success; NaN counts as worst."""
    with torch.no_grad():
        values = to_array(criterion.score(belief.surrogate, points, belief.best, generator))
    values = np.nan_to_num(values, nan=-np.inf, posinf=np.finfo(np.float64).max, neginf=-np.inf)
    return values if success is None else _weighed(values, success, getattr(criterion, "logarithmic", False))


def _weighed(
    values: NDArray[np.float64], success: NDArray[np.float64], logarithmic: bool
) -> NDArray[np.float64]:
    """Return values times the probability of success (q,).

    A logarithm adds up. Other values have no zero: what a point is worth beyond the median of all is
    multiplied, as though a failure were worth as much as that.
    """
    if logarithmic:
        return np.asarray(values + np.log(success))
    finite = np.isfinite(values)
    if not finite.any():
        return values
    gain = values - np.median(values[finite])
    return np.where(gain > 0, gain * success, gain)


def for_turn(criterion: Criterion, i: int) -> Criterion:
    """Return the criterion that chooses the i-th point, where several take turns."""
    pick = getattr(criterion, "pick", None)
    return criterion if pick is None else cast(Criterion, pick(i))
