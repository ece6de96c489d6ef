"""The search strategy that an acquisition function uses."""

from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.listed_search import ListedSearch
from wrlso.acquisition.protocol import SearchStrategy
from wrlso.acquisition.state import SearchState
from wrlso.exceptions import ParameterError, ParameterTypeError

__all__ = ["search_of"]


def search_of(search: SearchStrategy | None, state: SearchState) -> SearchStrategy:
    """Return the strategy, or the default one."""
    if not state.generate:
        if search is not None:
            raise ParameterError(
                f"search must be None with generate=False, where the candidates are gone through and none is "
                f"made, got {search!r}"
            )
        return ListedSearch()
    if search is None:
        return CandidatePool()
    if isinstance(search, type) or not callable(getattr(search, "propose", None)):
        raise ParameterTypeError(
            f"search must be a strategy such as CandidatePool or LatentSearch, or None, got {search!r}"
        )
    return search
