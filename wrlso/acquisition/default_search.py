"""The search strategy that an acquisition function uses."""

from typing import Any

from sklearn.base import clone

from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.listed_search import ListedSearch
from wrlso.acquisition.protocol import SearchStrategy
from wrlso.acquisition.state import SearchState
from wrlso.exceptions import ParameterError, ParameterTypeError

__all__ = ["search_of", "with_search"]


def with_search(acquisition: Any, search: SearchStrategy | None) -> Any:
    """Return a copy of an acquisition that has no search of its own with this one; others as they are."""
    if isinstance(acquisition, type) or not callable(getattr(acquisition, "get_params", None)):
        return acquisition
    named, parts = acquisition.get_params(deep=False), getattr(acquisition, "parts", None)
    others = parts if isinstance(parts, list | tuple) else []
    if "search" not in named or any(
        getattr(each, "search", None) is not None for each in (acquisition, *others)
    ):
        return acquisition
    return clone(acquisition).set_params(search=search)


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
