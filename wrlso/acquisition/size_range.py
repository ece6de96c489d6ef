"""A search strategy that keeps to molecules about as large as those that are known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from wrlso._chemistry.smiles import shared
from wrlso._utils.validation import check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.acquisition.protocol import Criterion, SearchStrategy
from wrlso.acquisition.state import FEW_VALUES, Listed, Proposal, SearchState
from wrlso.exceptions import NoCandidateError, ParameterTypeError

__all__ = ["SizeRange"]

_REMEMBERED = 2**16  # molecules whose sizes are kept
_LEAST = 3  # heavy atoms more or fewer that are always allowed, so that a search among the smallest can move


class SizeRange(BaseEstimator):
    """Search among molecules whose size lies in the range of those with a value, or a little outside of it.

    A process knows little about molecules far larger or smaller than its data, and what is unknown is what a
    search asks for. The range follows the data: once a larger molecule has a value, the next ask may go
    further. With fewer than five values the range is that of all molecules that the user supplied. Molecules
    without a value among these are asked for at any size. Where the search finds no new molecule in the
    range, it searches once more without.

    Parameters
    ----------
    search : SearchStrategy
        Such as :class:`wrlso.CandidatePool`, of a model whose x are SMILES.
    margin : float ≥ 1, default=1.3
        From the smallest size divided by it to the largest times it, in heavy atoms; three atoms at least.

    Examples
    --------
    >>> from wrlso import CandidatePool, LogExpectedImprovement
    >>> acquisition = LogExpectedImprovement(search=SizeRange(CandidatePool(200), margin=1.5))
    """

    def __init__(self, search: SearchStrategy, *, margin: float = 1.3) -> None:
        self.search = search
        self.margin = margin

    def beginning(self) -> "SizeRange":
        """Return what proposes while there are too few values, within the same range."""
        begin = getattr(self.search, "beginning", PriorSampling)
        return SizeRange(begin(), margin=self.margin)

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.SearchStrategy`."""
        check_real("margin", self.margin, minimum=1.0)
        if isinstance(self.search, type) or not callable(getattr(self.search, "propose", None)):
            raise ParameterTypeError(f"search must be a strategy such as CandidatePool, got {self.search!r}")
        point, n_values = state.point, len(state.y)
        few = point is None or n_values < FEW_VALUES
        examples = state.examples if few else map(point, range(n_values))  # type: ignore[arg-type]
        known = [heavy_atoms(x) for x in examples if isinstance(x, str)]
        if not known:
            return self.search.propose(state, n, rng, criterion)
        fewest, most = sizes_about(known, self.margin)
        screen = _within(state.screen, fewest, most, state.candidates, state.listed)
        try:
            return self.search.propose(replace(state, screen=screen), n, rng, criterion)
        except NoCandidateError:
            return self.search.propose(state, n, rng, criterion)


def sizes_about(known: Sequence[int], margin: float) -> tuple[int, int]:
    """Return the fewest and the most heavy atoms that are allowed beside molecules of known sizes."""
    smallest, largest = min(known), max(known)
    fewest = min(math.ceil(smallest / margin), smallest - _LEAST)
    return fewest, max(math.floor(largest * margin), largest + _LEAST)


@lru_cache(maxsize=_REMEMBERED)
def heavy_atoms(smiles: str) -> int:
    """Return how many atoms other than hydrogen a molecule has, 0 for invalid SMILES."""
    molecule = shared(smiles)
    return 0 if molecule is None else int(molecule.GetNumHeavyAtoms())


def _within(
    screen: Callable[[Any], str | None],
    fewest: int,
    most: int,
    supplied: Sequence[Any],
    listed: Listed | None,
) -> Callable[[Any], str | None]:
    """Return a screen that also turns away what is too small or too large and was not supplied."""
    free = frozenset(supplied)

    def stricter(x: Any) -> str | None:
        reason = screen(x)
        if reason is not None or x in free or (listed is not None and x in listed):
            return reason
        size = heavy_atoms(x)
        return "too small" if size < fewest else "too large" if size > most else None

    return stricter
