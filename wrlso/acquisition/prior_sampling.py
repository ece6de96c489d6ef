"""An acquisition that samples the model where its data lies."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.listed_search import give_up, lists_of
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.sources import SUPPLIED
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.models.protocol import Mutates

__all__ = ["PriorSampling"]

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

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import PriorSampling, WeightedRetrainingOptimizer
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(9, 4), nn.Linear(2, 9), acquisition=PriorSampling())
    """

    uses_surrogate = False

    def __init__(self, temperature: float = 1.0, *, max_attempts: int = 1000) -> None:
        self.temperature = temperature
        self.max_attempts = max_attempts

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals with value NaN; see :class:`Acquisition`."""
        check_count("n", n)
        check_real("temperature", self.temperature, minimum=0.0)
        check_count("max_attempts", self.max_attempts)
        if not state.generate:
            return self._listed(state, n, rng)
        landscape = Landscape.of(state, rng, margin=1.1, quantile=0.999)
        screener = Screener(state, type(self).__name__, rng)
        supplied, some = self._supplied(state, screener, rng), bool(lists_of(state))
        proposals = list(islice(supplied, int(rng.binomial(n, 0.5)) if some else 0))
        size = min(4 * n, 1000)
        while len(proposals) < n:
            left = self.max_attempts * n - screener.record.n_decoded
            if left <= 0:
                proposals += islice(supplied, n - len(proposals))
                if len(proposals) < n:
                    raise screener.give_up(len(proposals), n)
                break
            count = min(size, left)
            Z = landscape.sample(state.model, count, rng)
            carriers = _some_known(state, count, rng) if state.anchor is not None else []
            made = list(zip(screener.decode(Z, self.temperature, carriers), Z, strict=True))
            before = len(proposals)
            self._admit(_thinned(made, state, screener, rng), n, proposals, screener)
            if len(proposals) - before < _LEAST_NEW * len(made) and len(proposals) < n:
                self._admit(self._changed(state, count, screener, rng), n, proposals, screener)
            size = min(2 * size, 1000)
        return proposals, screener.finish()

    def _admit(self, made: list[Any], n: int, proposals: list[Proposal], screener: Screener) -> None:
        """Propose what may be proposed of pairs (x, z), up to n proposals in all."""
        for x, z in made:
            if len(proposals) < n and screener.admit(x, "chosen"):
                proposals.append(Proposal(x, torch.from_numpy(z.copy()), float("nan")))

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


def _some_known(state: SearchState, count: int, rng: np.random.Generator) -> list[Any]:
    """Return that many points with a value; none where there are none."""
    known = state.all_measured
    if known.point is None or len(known.y) == 0:
        return []
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
