"""What an acquisition begins with, while there are too few values for a surrogate."""

from typing import Any

import numpy as np

from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.acquisition.protocol import Acquisition, SearchStrategy
from wrlso.acquisition.state import Proposal, SearchState

__all__ = ["beginning_of"]


class _Beginning:
    """A search strategy as an acquisition of its own, which scores nothing."""

    uses_surrogate = False

    def __init__(self, search: SearchStrategy) -> None:
        self._search = search

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals."""
        return self._search.propose(state, n, rng, None)  # type: ignore[arg-type]  # samples need no criterion


def beginning_of(acquisition: Any) -> Acquisition:
    """Return samples of the prior that keep to what the acquisition's search keeps to.

    A search says by its method ``beginning`` what that is. Of a mixture it is the search that its parts
    share, else that of its first part with one.
    """
    searches = [getattr(each, "search", None) for each in (acquisition, *getattr(acquisition, "parts", ()))]
    for search in searches:
        if callable(begin := getattr(search, "beginning", None)):
            return _Beginning(begin())
    return PriorSampling()
