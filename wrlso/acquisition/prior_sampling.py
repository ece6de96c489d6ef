"""An acquisition that samples the model where its data lies."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.state import AskRecord, Proposal, SearchState

__all__ = ["PriorSampling"]


class PriorSampling(BaseEstimator):
    """Decode samples from where the data lies in Z; needs no values and no surrogate.

    About half of the proposals are points without a value that the user supplied, while there are any; all
    of them if the decoder makes nothing else.

    Parameters
    ----------
    temperature : float, default 1.0
        Of the decoding.
    max_attempts : int, default 1000
        Points decoded for each of the n proposals before the search gives up.
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
        landscape = Landscape.of(state, rng, margin=1.1, quantile=0.999)
        screener = Screener(state, type(self).__name__, rng)
        supplied = self._supplied(state, screener, rng)
        some = state.candidates_Z is not None and len(state.candidates) > 0
        proposals = list(islice(supplied, int(rng.binomial(n, 0.5)) if some else 0))
        size = min(4 * n, 1000)
        while len(proposals) < n:
            left = self.max_attempts * n - screener.record.n_decoded
            if left <= 0:
                proposals += islice(supplied, n - len(proposals))
                if len(proposals) < n:
                    raise screener.give_up(len(proposals), n)
                break
            Z = landscape.sample(state.model, min(size, left), rng)
            for x, z in zip(screener.decode(Z, self.temperature), Z, strict=True):
                if len(proposals) < n and screener.admit(x, "chosen"):
                    proposals.append(Proposal(x, torch.from_numpy(z.copy()), float("nan")))
            size = min(2 * size, 1000)
        return proposals, screener.finish()

    def _supplied(
        self, state: SearchState, screener: Screener, rng: np.random.Generator
    ) -> Iterator[Proposal]:
        """Yield the user's own points in random order."""
        if state.candidates_Z is None:
            return
        for i in rng.permutation(len(state.candidates)):
            if screener.admit(state.candidates[i], "chosen"):
                yield Proposal(state.candidates[i], state.candidates_Z[i].double(), float("nan"))
