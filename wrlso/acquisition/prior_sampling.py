"""An acquisition that samples the model where its data lies."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.listed_search import give_up, lists_of
from wrlso.acquisition.plausible import Plausible
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.sources import SUPPLIED
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.models.inference import Array
from wrlso.models.protocol import Mutates
from wrlso.rules.checks import similarities

__all__ = ["PriorSampling"]

_PATIENCE = 100  # candidates for each proposal before the least odd ones are taken
_LEAST_NEW = 0.05  # share of the decoded points below which known points are changed, too


class PriorSampling(BaseEstimator):
    """Decode samples from where the data lies in Z; needs no values and no surrogate.

    Where experiments have failed, what is likely to fail is proposed seldom.
    About half of the proposals are points without a value that the user supplied, while there are any; all
    of them if the decoder makes nothing else. A model that was trained on few points may decode little else
    than these: then every second candidate is a known point with a small change, where the model can
    ``mutate`` (:class:`wrlso.models.Mutates`).

    Parameters
    ----------
    temperature : float, default 1.0
        Of the decoding.
    max_attempts : int, default 1000
        Points decoded for each of the n proposals before the search gives up.
    plausibility : float in [0, 1] or None, default None
        As of :class:`CandidatePool`; while few have a value, beside all x that the user supplied. Where a
        hundred candidates for each proposal are too odd, the least odd of them are taken. None: no bound.
    apart : float in [0, 1] or None, default None
        As of :class:`CandidatePool`: least distance of the molecules of a batch. None: none.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import PriorSampling, WeightedRetrainingOptimizer
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(9, 4), nn.Linear(2, 9), acquisition=PriorSampling())
    """

    uses_surrogate = False

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        max_attempts: int = 1000,
        plausibility: float | None = None,
        apart: float | None = None,
    ) -> None:
        self.temperature = temperature
        self.max_attempts = max_attempts
        self.plausibility = plausibility
        self.apart = apart

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion | None = None
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals with value NaN; see :class:`Acquisition`. A criterion is not looked at."""
        check_count("n", n)
        check_real("temperature", self.temperature, minimum=0.0)
        check_count("max_attempts", self.max_attempts)
        check_real("plausibility", self.plausibility, minimum=0.0, maximum=1.0, none="any candidate")
        check_real("apart", self.apart, minimum=0.0, maximum=1.0, none="no distance")
        if not state.generate:
            return self._listed(state, n, rng)
        landscape = Landscape.of(state, rng, margin=1.1, quantile=0.999)
        screener = Screener(state, type(self).__name__, rng)
        supplied, some = self._supplied(state, screener, rng), bool(lists_of(state))
        batch = _Batch(state, n, self.plausibility, self.apart, screener)
        for proposal in islice(supplied, int(rng.binomial(n, 0.5)) if some else 0):
            batch.add(proposal)
        size = min(4 * n, 1000)
        while not batch.is_full():
            left = self.max_attempts * n - screener.record.n_decoded
            if screener.record.n_decoded >= _PATIENCE * n:
                batch.complete()
            if batch.is_full():
                break
            if left <= 0:
                for proposal in islice(supplied, n - len(batch.proposals)):
                    batch.add(proposal)
                if not batch.is_full():
                    raise screener.give_up(len(batch.proposals), n)
                break
            count = min(size, left)
            Z = landscape.sample(state.model, count, rng)
            carriers = _some_known(state, count, rng) if state.anchor is not None else []
            made = list(zip(screener.decode(Z, self.temperature, carriers), Z, strict=True))
            before = len(batch.proposals)
            batch.take(_thinned(made, state, screener, rng))
            if len(batch.proposals) - before < _LEAST_NEW * len(made) and not batch.is_full():
                batch.take(self._changed(state, count, screener, rng))
            size = min(2 * size, 1000)
        return batch.proposals, screener.finish()

    def _changed(
        self, state: SearchState, count: int, screener: Screener, rng: np.random.Generator
    ) -> list[Any]:
        """Return known points with a small change and their encodings, if the model can make them."""
        if not isinstance(state.model, Mutates):
            return []
        parents = _some_known(state, count, rng)
        made = [x for x in screener.vary("mutate", parents, again=True) if x is not None]
        return list(zip(*screener.encode(made), strict=True))

    def _listed(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Propose the user's own points only, at random."""
        screener = Screener(state, type(self).__name__, rng)
        found = list(islice(self._supplied(state, screener, rng), n))
        if len(found) < n:
            raise give_up(screener, len(found), n)
        screener.count(SUPPLIED, len(found), len(found))
        screener.record.sources[SUPPLIED]["chosen"] = n
        return found, screener.finish()

    def _supplied(
        self, state: SearchState, screener: Screener, rng: np.random.Generator
    ) -> Iterator[Proposal]:
        """Yield the user's own points in random order."""
        lists = lists_of(state)
        ends = np.cumsum([0, *(len(listed.rows) for listed in lists)])
        for i in rng.permutation(int(ends[-1])):
            which = int(np.searchsorted(ends, i, side="right")) - 1
            row = int(lists[which].rows[i - ends[which]])
            x, z = lists[which].x(row), lists[which].z(row)
            if screener.admit(x, "chosen"):
                yield Proposal(x, z, float("nan"), SUPPLIED if lists[which] is state.listed else "")


class _Batch:
    """The proposals of one ask, and what was put aside as too odd or too near to one of them."""

    def __init__(
        self, state: SearchState, n: int, plausibility: float | None, apart: float | None, screener: Screener
    ) -> None:
        self._screener, self._n, self._least = screener, n, apart
        self._plausible = Plausible.of(state, plausibility, n)
        self._near = list(state.pending_X)
        self._aside: list[tuple[Proposal, Array]] = []  # with by how much it is too odd in each turn (n,)
        self.proposals: list[Proposal] = []

    def is_full(self) -> bool:
        """Whether all proposals are there."""
        return len(self.proposals) >= self._n

    def add(self, proposal: Proposal) -> None:
        """Add a proposal."""
        self.proposals.append(proposal)
        self._near.append(proposal.x)

    def take(self, made: list[Any]) -> None:
        """Propose what may be proposed of pairs (x, z), and put aside what does not fit yet."""
        if self._plausible is None and self._least is None:
            self._take_all(made)
            return
        admitted = [(x, z) for x, z in made if self._screener.admit(x, "chosen")]
        excess = np.zeros((self._n, len(admitted)))
        if self._plausible is not None and admitted:
            excess = self._plausible.excess([x for x, _ in admitted])
        self._aside += [(_proposal(x, z), excess[:, i]) for i, (x, z) in enumerate(admitted)]
        while not self.is_full():
            turn = len(self.proposals)
            place = next(
                (i for i, (p, e) in enumerate(self._aside) if e[turn] >= 0 and self._is_far(p.x)), -1
            )
            if place < 0:
                return
            self.add(self._aside.pop(place)[0])

    def complete(self) -> None:
        """Take what was put aside, the least odd first, far enough from the others where there is any."""
        while self._aside and not self.is_full():
            turn = len(self.proposals)
            order = sorted(range(len(self._aside)), key=lambda i: -min(self._aside[i][1][turn], 0.0))
            far = [i for i in order[: self._n] if self._is_far(self._aside[i][0].x)]
            self.add(self._aside.pop([*far, *order][0])[0])

    def _take_all(self, made: list[Any]) -> None:
        for x, z in made:
            if not self.is_full() and self._screener.admit(x, "chosen"):
                self.add(_proposal(x, z))

    def _is_far(self, x: Any) -> bool:
        if self._least is None or not self._near:
            return True
        return bool(1.0 - similarities(x, self._near).max() >= self._least)


def _proposal(x: Any, z: Array) -> Proposal:
    return Proposal(x, torch.from_numpy(z.copy()), float("nan"))


def _some_known(state: SearchState, count: int, rng: np.random.Generator) -> list[Any]:
    """Return that many points with a value, or of the user's where none has one, if there are any."""
    known = state.all_measured
    if known.point is None or len(known.y) == 0:
        examples = state.examples
        return [examples[int(i)] for i in rng.integers(len(examples), size=count)] if examples else []
    return [known.point(int(place)) for place in rng.integers(len(known.y), size=count)]


def _thinned(made: list[Any], state: SearchState, screener: Screener, rng: np.random.Generator) -> list[Any]:
    """Return some of the pairs (x, z), each with a chance in proportion to its probability of success."""
    if state.success is None:
        return made
    valid = [(x, z) for x, z in made if x is not None]
    X, encodings = screener.encode([x for x, _ in valid])
    if len(X) < len(valid) or not X:  # some cannot be encoded: nothing is known of these
        return made
    chance = state.success.probability(X, torch.from_numpy(encodings))
    kept = rng.uniform(size=len(X)) * chance.max() < chance
    return [pair for pair, keep in zip(valid, kept, strict=True) if keep]
