"""What every search shares: its state and record, decoding, screening, and where the data lies in Z."""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._random import torch_generator
from wrlso.exceptions import DataError, ModelError, NoCandidateError, NotFittedError
from wrlso.models.protocol import LatentModel, SamplesPrior
from wrlso.surrogate import HasWorkingScale, Surrogate, covariance_root

__all__ = ["AskRecord", "Criterion", "Proposal", "SearchState"]

Array = NDArray[np.float64]
_MAX_ROWS = 10_000  # rows of Z that say where the data lies, so that the cost does not grow with N
_CHUNK = 1024  # points that go through the model at once
_MOST_JOINT = 3000  # points whose joint covariance is held at once
_PRIOR_SPREAD = 0.5  # of a draw around a data point, in standard deviations of the data


@dataclass(frozen=True)
class SearchState:
    """All that a search may know; the optimizer builds one for each ask.

    Attributes
    ----------
    model : LatentModel
        Decodes and encodes.
    surrogate : Surrogate or None
        Fitted; None when there are too few values.
    Z : Tensor of float64, (n, d)
        Encodings of the points with a value.
    y : Tensor of float64, (n,)
        Their values, larger is better.
    weights : Tensor of float64, (n,)
        The weighting's weights of those points, mean 1.
    pending : Tensor of float64, (p, d)
        Encodings of the points that are out.
    screen : callable
        ``screen(x)`` says in a word why x may not be proposed ("known", "infeasible", …), or returns None.
    candidates : sequence
        x without a value that the user supplied.
    candidates_Z : Tensor of float64, (c, d), or None
        Their encodings.
    pending_X : sequence
        The points that are out themselves; needed for surrogates on features of x only.
    rows : ndarray of int64, (n,), or None
        Numbers that the points of Z keep from ask to ask; None: their positions.
    n_rows : int or None
        A number above all that were given so far, also to points without a value; None: n.
    n_told : int or None
        Distinct points that were ever told, a failed experiment included; None: n.
    point : callable or None
        ``point(i)`` is the x of row i of Z; only a search that mutates objects needs it.
    """

    model: LatentModel
    surrogate: Surrogate | None
    Z: Tensor
    y: Tensor
    weights: Tensor
    pending: Tensor
    screen: Callable[[Any], str | None]
    candidates: Sequence[Any] = ()
    candidates_Z: Tensor | None = None
    pending_X: Sequence[Any] = ()
    rows: NDArray[np.int64] | None = None
    n_rows: int | None = None
    n_told: int | None = None
    point: Callable[[int], Any] | None = None

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The points' numbers (n,)."""
        return np.arange(len(self.y)) if self.rows is None else self.rows

    @property
    def next_number(self) -> int:
        """The number of the next point that appears."""
        return len(self.y) if self.n_rows is None else self.n_rows

    @property
    def told(self) -> int:
        """How many points were told."""
        return len(self.y) if self.n_told is None else self.n_told

    @property
    def turn(self) -> int:
        """How many points were told or are out: whose turn it is in a mixture, whatever the data in use."""
        return self.told + len(self.pending)


@dataclass(frozen=True)
class Proposal:
    """One point to evaluate: x, its z (d,) float64, and the acquisition value (NaN when there is none)."""

    x: Any
    z: Tensor
    value: float


@dataclass
class AskRecord:
    """What one search did: candidates made, rejections by reason, seconds by phase, name of the strategy."""

    n_decoded: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    strategy: str = ""


class Criterion(Protocol):
    """An acquisition function: how much a point is worth asking for."""

    differentiable: bool

    def score(self, surrogate: Surrogate, points: Any, best: float, generator: torch.Generator) -> Tensor:
        """Return the values (q,) of points: Z (q, d), or a list of x when the surrogate models features."""


@contextmanager
def evaluating(model: LatentModel) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; the mode of before comes back."""
    training = bool(getattr(model, "training", False))
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def to_model(model: LatentModel, tensor: Tensor, like_weights: bool = True) -> Tensor:
    """Move a tensor to the model's device, and to its precision when ``like_weights``."""
    parameter = next(iter(model.parameters()), None)
    if parameter is None:
        return tensor.to(torch.get_default_dtype()) if like_weights else tensor
    return tensor.to(parameter.device, parameter.dtype if like_weights else None)


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as a float64 array on the CPU."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())


class Screener:
    """Decodes, encodes and screens for one search, and counts what happened."""

    def __init__(self, state: SearchState, strategy: str, rng: np.random.Generator) -> None:
        self.state = state
        self.generator = torch_generator(rng)
        self.record = AskRecord(strategy=strategy, seconds={"acquire": 0.0, "decode": 0.0})
        self._counts: Counter[str] = Counter()
        self._verdicts: dict[Hashable, str | None] = {}
        self._taken: set[Hashable] = set()
        self._start = time.perf_counter()

    def decode(self, Z: Array, temperature: float) -> list[Any]:
        """Decode Z (q, d) into q objects, None where nothing valid comes out."""
        if len(Z) == 0:  # models need not know how to decode nothing
            return []
        start = time.perf_counter()
        model, objects = self.state.model, []
        with evaluating(model):
            for rows in torch.from_numpy(Z).split(_CHUNK):
                objects += model.decode(to_model(model, rows), temperature, self.generator)
        self.record.n_decoded += len(Z)
        self.record.seconds["decode"] += time.perf_counter() - start
        return objects

    def vary(self, method: str, *parents: Sequence[Any]) -> list[Any]:
        """Let the model's ``mutate`` or ``cross`` make objects; None where nothing valid came out."""
        n = len(parents[0])
        if not n:
            return []
        start = time.perf_counter()
        with evaluating(self.state.model):
            made = getattr(self.state.model, method)(*parents, self.generator)
        if len(made) != n:
            raise ModelError(f"{method} must return as many objects as it gets, {n}, got {len(made)}")
        self.record.n_decoded += n
        self.record.seconds["decode"] += time.perf_counter() - start
        return list(made)

    def encode(self, X: Sequence[Any]) -> tuple[list[Any], Array]:
        """Encode objects; return those that have a finite encoding, and the encodings (k, d)."""
        start = time.perf_counter()
        kept: list[Any] = []
        encodings: list[Array] = [np.empty((0, self.state.model.latent_dim))]
        with evaluating(self.state.model):
            for first in range(0, len(X), _CHUNK):
                chunk = X[first : first + _CHUNK]
                try:
                    self._encode(chunk, kept, encodings)
                except DataError:  # one that the model cannot represent spoils the batch: one by one then
                    for x in chunk:
                        try:
                            self._encode([x], kept, encodings)
                        except DataError:
                            self._counts["unencodable"] += 1
        self.record.seconds["decode"] += time.perf_counter() - start
        return kept, np.concatenate(encodings)

    def _encode(self, X: Sequence[Any], kept: list[Any], encodings: list[Array]) -> None:
        model = self.state.model
        Z = to_array(model.encode(to_model(model, model.tensorize(X), like_weights=False)))
        finite = np.flatnonzero(np.isfinite(Z).all(axis=1))
        self._counts["unencodable"] += len(X) - len(finite)
        kept += [X[int(i)] for i in finite]
        encodings.append(Z[finite])

    def admit(self, x: Any, repeated: str) -> bool:
        """Whether x may be proposed and did not come before (which counts as ``repeated``); count if not."""
        reason: str | None = "undecodable"
        if x is not None:
            key = self.state.model.key(x)
            if key not in self._verdicts:
                self._verdicts[key] = self.state.screen(x)
            reason = self._verdicts[key]
            if reason is None and key in self._taken:
                reason = repeated
            if reason is None:
                self._taken.add(key)
                return True
        self._counts[str(reason)] += 1
        return False

    def finish(self) -> AskRecord:
        """Complete the record."""
        self.record.rejected = {reason: count for reason, count in self._counts.items() if count}
        elapsed = time.perf_counter() - self._start
        self.record.seconds["acquire"] = elapsed - self.record.seconds["decode"]
        return self.record

    def give_up(self, found: int, wanted: int) -> NoCandidateError:
        """Return the error that says what was tried."""
        record = self.finish()
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(record.rejected.items()))
        return NoCandidateError(
            f"{record.strategy} found {found} of {wanted} new, valid, feasible points among "
            f"{record.n_decoded} candidates; rejected: {counts or 'nothing'}. Retraining, a higher "
            f"temperature or more attempts may help, or the model knows nothing but what was proposed already"
        )


@dataclass(frozen=True)
class Landscape:
    """Where the data lies in Z: a bounded number of rows stands for all of them."""

    rows: Array  # (k, d), a random part of Z and of the candidates' encodings
    spread: Array  # (d,) standard deviations, never 0
    half_width: Array  # (d,) of the box |z_j| ≤ half_width_j

    @classmethod
    def of(cls, state: SearchState, rng: np.random.Generator, margin: float, quantile: float) -> "Landscape":
        """Summarise the encodings; a standard normal where there are none."""
        Z = state.Z
        if state.candidates_Z is not None and len(state.candidates_Z) > 0:
            Z = torch.cat([Z, state.candidates_Z]) if len(Z) else state.candidates_Z
        d = state.model.latent_dim
        if len(Z) > _MAX_ROWS:
            Z = Z[torch.from_numpy(rng.choice(len(Z), size=_MAX_ROWS, replace=False))]
        rows = to_array(Z).reshape(-1, d)
        if len(rows) == 0:
            return cls(np.zeros((1, d)), np.full(d, 1.0 / _PRIOR_SPREAD), np.full(d, 3.3 * margin))
        spread = rows.std(axis=0)
        typical = float(np.sqrt(np.mean(spread**2)))
        spread = np.maximum(spread, 0.01 * typical) if typical > 0 else np.ones(d)
        half_width = margin * np.quantile(np.abs(rows), quantile, axis=0)
        return cls(rows, spread, np.maximum(half_width, spread))

    def clip(self, Z: Array) -> Array:
        """Project Z onto the box."""
        return np.clip(Z, -self.half_width, self.half_width)

    def draw(self, model: LatentModel, n: int, rng: np.random.Generator) -> Array:
        """Draw n points from where the data lies: the model's own prior, else around random rows."""
        if n == 0:  # of a small pool; models need not know how to draw nothing
            return np.empty((0, model.latent_dim))
        if isinstance(model, SamplesPrior):
            with evaluating(model):
                return to_array(model.sample_prior(n, torch_generator(rng)))
        rows = self.rows[rng.integers(len(self.rows), size=n)]
        return rows + _PRIOR_SPREAD * self.spread * rng.standard_normal(rows.shape)


@dataclass(frozen=True)
class Belief:
    """A surrogate with the best value so far; grows by points believed to turn out as predicted."""

    surrogate: Surrogate
    best: float

    @classmethod
    def of(cls, state: SearchState) -> "Belief":
        """Condition the state's surrogate on the pending points."""
        if state.surrogate is None:
            raise NotFittedError("this acquisition needs a fitted surrogate: fit one, or use PriorSampling")
        surrogate, y = state.surrogate, state.y
        if isinstance(surrogate, HasWorkingScale):
            surrogate, y = surrogate.working_scale(y)
        belief = cls(surrogate, float(y.max()) if len(y) else -np.inf)
        if state.surrogate.space == "features":
            return belief.add(list(state.pending_X)) if len(state.pending_X) else belief
        return belief.add(state.pending) if len(state.pending) else belief

    def add(self, points: Any) -> "Belief":
        """Kriging believer (Ginsbourger et al. 2010): take the predicted mean for what will be observed."""
        with torch.no_grad():
            mean, _ = self.surrogate.predict(points)
        return Belief(self.surrogate.condition_on(points, mean), max(self.best, float(mean.max())))

    def over(self, points: Any) -> tuple["Belief", Any]:
        """Return a belief about these points only, and what stands for them there.

        Where the surrogate can say how they vary together, everything else follows from that, at a fraction
        of what asking it again after each choice would cost.
        """
        if not isinstance(self.surrogate, HasWorkingScale) or len(points) > _MOST_JOINT:
            return self, points
        with torch.no_grad():
            mean, covariance, noise = self.surrogate.joint(points)
        # it is never fitted, which is all that it lacks
        finite = cast(Surrogate, FinitePosterior(mean, covariance, noise))
        return Belief(finite, self.best), torch.arange(len(mean))


class FinitePosterior:
    """A Gaussian over q points, which are called by their numbers: what a choice among them needs.

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
        """Return n joint draws (n, k) at the points with numbers Z."""
        covariance = self.covariance[Z][:, Z]
        root = covariance_root(covariance, float(covariance.diagonal().max().clamp_min(1e-300)))
        draws = torch.randn(n, len(Z), dtype=torch.float64, generator=generator)
        return self.mean[Z] + draws @ root.T

    def condition_on(self, Z: Tensor, y: Tensor) -> "FinitePosterior":
        """Return the Gaussian given values y (k,) of the points with numbers Z (k,), one by one."""
        mean, covariance = self.mean, self.covariance
        for i, value in zip(Z.tolist(), y, strict=True):
            column = covariance[:, i]
            total = covariance[i, i] + self.noise
            mean = mean + column * ((value - mean[i]) / total)
            covariance = covariance - torch.outer(column, column) / total
        return FinitePosterior(mean, covariance, self.noise)


def safe_scores(
    criterion: Criterion, belief: Belief, points: Any, generator: torch.Generator
) -> NDArray[np.float64]:
    """Acquisition values (q,) without gradient; what is not a number counts as worst."""
    with torch.no_grad():
        values = to_array(criterion.score(belief.surrogate, points, belief.best, generator))
    return np.nan_to_num(values, nan=-np.inf, posinf=np.finfo(np.float64).max, neginf=-np.inf)


def for_turn(criterion: Criterion, i: int) -> Criterion:
    """Return the criterion that chooses the i-th point, where several take turns."""
    pick = getattr(criterion, "pick", None)
    return criterion if pick is None else cast(Criterion, pick(i))
