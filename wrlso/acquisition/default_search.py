"""The search strategy that an acquisition function uses."""

from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.protocol import SearchStrategy
from wrlso.exceptions import ParameterTypeError

__all__ = ["search_of"]


def search_of(search: SearchStrategy | None) -> SearchStrategy:
    """Return the strategy, or the default one."""
    if search is None:
        return CandidatePool()
    if isinstance(search, type) or not callable(getattr(search, "propose", None)):
        raise ParameterTypeError(
            f"search must be a strategy such as CandidatePool or LatentSearch, or None, got {search!r}"
        )
    return search
