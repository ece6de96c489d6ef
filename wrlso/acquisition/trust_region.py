"""A trust region: a box in Z that follows the search.

Source: Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable Global Optimization via
Local Bayesian Optimization", NeurIPS 2019 (TuRBO-1).
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.box import Box
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.state import SearchState
from wrlso.models.inference import Array
from wrlso.surrogate.protocol import KnowsLengthscales, Surrogate

__all__ = ["Region", "TrustRegion"]

_logger = logging.getLogger(__name__)
_MOVED = 20.0  # coordinates in which a point of the region differs from its centre, on average (TuRBO)
_LENGTHSCALES = (0.005, 4.0)  # bounds in units of the box's sides, as in TuRBO
_JUDGES = 20  # best values whose spread is the unit of an improvement


@dataclass(frozen=True)
class Region(Box):
    """A box around ``center`` (d,)."""

    center: Array

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return points (n, d): even in the coordinates in which they leave the centre, about 20 of them.

        In many dimensions a point that leaves the centre in all of them is far away from it, however small
        the region is (Regis and Shoemaker 2013).
        """
        d = len(self.center)
        even = qmc.Sobol(d, rng=rng).random_base2(int(np.ceil(np.log2(n))))[:n]
        moved = rng.uniform(size=(n, d)) < min(1.0, _MOVED / d)
        moved[np.arange(n), rng.integers(d, size=n)] = True
        return np.where(moved, self.low + (self.high - self.low) * even, self.center)


class TrustRegion(BaseEstimator):
    """A box around the best point that grows after successes and shrinks after failures (TuRBO).

    Its centre is the encoding of the best point by the current model, so that it moves along when the model
    is retrained. Its sides are proportional to the surrogate's lengthscales, if it knows any, with a
    geometric mean of ``length`` × the sides of the box in which the data lies. An ask that finds a better
    value among the new ones is a success; every other new value or failed experiment is a failure. A region
    that falls below ``length_min`` is exhausted: the next one starts at its first length around another
    point, sampled by the weighting's weights outside of the first box of the last region, and follows the
    best of what is asked from then on. The surrogate keeps all data.

    Use one object for one optimizer: its counts are part of a campaign's state.

    Parameters
    ----------
    length : float, default 0.8
        First length, relative to the box.
    length_min, length_max : float, default 0.5**7 and 1.6
        Below the first it restarts; it does not grow beyond the second.
    n_successes : int, default 3
        Successes without a failure between them, after which it doubles.
    n_failures : int or None, default None
        Failures without a success between them, after which it halves; None: the dimension, at least 4.
    improvement : float, default 1e-3
        Smallest gain that counts as better, in standard deviations of the 20 best values so far.

    Attributes
    ----------
    length_ : float
        Current length.
    n_restarts_ : int
        Regions that were given up.
    center_ : ndarray (d,) float64
        Of the last ask.
    """

    length_: float
    n_restarts_: int
    center_: Array

    def __init__(
        self,
        length: float = 0.8,
        *,
        length_min: float = 0.5**7,
        length_max: float = 1.6,
        n_successes: int = 3,
        n_failures: int | None = None,
        improvement: float = 1e-3,
    ) -> None:
        self.length = length
        self.length_min = length_min
        self.length_max = length_max
        self.n_successes = n_successes
        self.n_failures = n_failures
        self.improvement = improvement

    def follow(
        self, state: SearchState, landscape: Landscape, surrogate: Surrogate, rng: np.random.Generator
    ) -> Region:
        """Count what was told since the last call, and return where to look now.

        Calls without anything new between them return the same region, whatever ``rng``.
        """
        if not hasattr(self, "length_"):
            self._start(state)
        members = self._members(state)
        best = float(state.y[members].max()) if len(members) else -np.inf
        self._count(state, members, best)
        if self.length_ < self.length_min:
            self._restart(state, landscape, surrogate, rng)
            members = self._members(state)
        elif len(members) == 0:  # a correction removed all its points
            self._move(state, np.arange(len(state.y)), rng)
            members = self._members(state)
        self.best_ = float(state.y[members].max()) if len(members) else -np.inf
        return self._around(self._center(state, members, landscape), self.length_, landscape, surrogate)

    def give_up(self) -> None:
        """Restart at the next ask: nothing new decodes from this region."""
        self.length_ = 0.0

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        check_real("length_min", self.length_min, above=0.0)
        check_real("length", self.length, minimum=self.length_min)
        check_real("length_max", self.length_max, minimum=self.length)
        check_count("n_successes", self.n_successes)
        check_count("n_failures", self.n_failures, none="the dimension, at least 4")
        check_real("improvement", self.improvement, minimum=0.0)

    def _start(self, state: SearchState) -> None:
        self.length_, self.n_restarts_ = float(self.length), 0
        self.successes_, self.failures_ = 0, 0
        self.n_told_ = state.told
        self.best_ = float(state.y.max()) if len(state.y) else -np.inf
        self.anchor_: int | None = None  # the point around which it restarted; None: the first region
        self.first_ = 0  # number of the first point that belongs to this region

    def _members(self, state: SearchState) -> NDArray[np.int64]:
        """Positions in the state's data of the points that belong to this region."""
        numbers = state.numbers
        return np.flatnonzero((numbers >= self.first_) | (numbers == self.anchor_))

    def _count(self, state: SearchState, members: NDArray[np.int64], best: float) -> None:
        new, self.n_told_ = state.told - self.n_told_, state.told
        if new <= 0 or self.length_ < self.length_min:
            return
        top = torch.topk(state.y[members], min(_JUDGES, len(members))).values
        spread = float(top.std(correction=0)) if len(top) else 0.0
        if best > self.best_ + self.improvement * spread:
            self.successes_, self.failures_ = self.successes_ + 1, 0
        else:
            self.successes_, self.failures_ = 0, self.failures_ + new
        most = max(4, state.model.latent_dim) if self.n_failures is None else self.n_failures
        if self.successes_ >= self.n_successes:
            self.length_, self.successes_ = min(2.0 * self.length_, self.length_max), 0
        elif self.failures_ >= most:
            self.length_, self.failures_ = self.length_ / 2.0, 0

    def _restart(
        self, state: SearchState, landscape: Landscape, surrogate: Surrogate, rng: np.random.Generator
    ) -> None:
        members = self._members(state)
        old = self._around(self._center(state, members, landscape), self.length, landscape, surrogate)
        Z = state.Z.numpy()
        outside = np.flatnonzero((np.clip(Z, old.low, old.high) != Z).any(axis=1))
        self._move(state, outside if len(outside) else np.arange(len(Z)), rng)
        self.n_restarts_ += 1
        _logger.info("the trust region fell below %g: restart %d", self.length_min, self.n_restarts_)

    def _move(self, state: SearchState, candidates: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Start around one of these points, sampled by weight."""
        self.length_, self.successes_, self.failures_ = float(self.length), 0, 0
        self.first_, self.anchor_ = state.next_number, None
        if len(candidates):
            weights = state.weights.numpy()[candidates]
            share = weights / weights.sum() if weights.sum() > 0 else None
            self.anchor_ = int(state.numbers[rng.choice(candidates, p=share)])

    def _center(self, state: SearchState, members: NDArray[np.int64], landscape: Landscape) -> Array:
        if len(members) == 0:
            return np.asarray(landscape.rows.mean(axis=0))
        best = members[int(state.y[members].argmax())]
        return np.asarray(state.Z[best].numpy())

    def _around(self, center: Array, length: float, landscape: Landscape, surrogate: Surrogate) -> Region:
        whole = 2.0 * landscape.half_width
        sides = length * whole * _relative(surrogate, whole)
        low = np.maximum(center - 0.5 * sides, np.minimum(-landscape.half_width, center))
        high = np.minimum(center + 0.5 * sides, np.maximum(landscape.half_width, center))
        self.center_ = center
        return Region(low, high, np.minimum(landscape.spread, 0.25 * (high - low)), center)


def _relative(surrogate: Surrogate, whole: Array) -> Array:
    """Lengthscales in units of the box, with a geometric mean of 1; ones where the surrogate has none."""
    if not isinstance(surrogate, KnowsLengthscales):
        return np.ones(len(whole))
    relative = np.log(np.clip(surrogate.lengthscales() / whole, *_LENGTHSCALES))
    return np.asarray(np.exp(relative - relative.mean()))
