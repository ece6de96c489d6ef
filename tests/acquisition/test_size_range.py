"""The search that keeps to the sizes of the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

pytest.importorskip("rdkit")
from wrlso import CandidatePool, NoCandidateError, ParameterError, ParameterTypeError, SizeRange
from wrlso._state.codec import dump, load
from wrlso.acquisition import AskRecord, Proposal, SearchState
from wrlso.acquisition.size_range import heavy_atoms, sizes_about


class Listed:
    """Proposes the first of its molecules that may be proposed."""

    def __init__(self, X):
        self.X = X
        self.reasons = []

    def propose(self, state, n, rng, criterion):
        self.reasons = [state.screen(x) for x in self.X]
        found = [x for x, reason in zip(self.X, self.reasons, strict=True) if reason is None]
        if len(found) < n:
            raise NoCandidateError("nothing is left")
        return [Proposal(x, torch.zeros(1), 0.0) for x in found[:n]], AskRecord(strategy="Listed")


def state(known, candidates=(), screen=lambda x: None):
    y = torch.zeros(len(known), dtype=torch.float64)
    Z = torch.zeros(len(known), 1, dtype=torch.float64)
    return SearchState(
        None, None, Z, y, y + 1, Z[:0], screen, candidates=candidates, point=lambda i: known[i]
    )


def propose(search, here, n=1):
    return [p.x for p in search.propose(here, n, np.random.default_rng(0), None)[0]]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.floats(1.0, 3.0))
@settings(deadline=None)
def test_sizes_are_those_of_the_data_and_a_little_more(known, margin):
    fewest, most = sizes_about(known, margin)
    assert fewest < min(known) <= max(known) < most
    assert most <= max(margin * max(known), max(known) + 3)
    assert fewest >= min(min(known) / margin, min(known) - 3)
    wider = sizes_about([*known, most], margin)
    assert wider[1] > most  # each step may be followed by another
    assert wider[0] == fewest


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 90))
@settings(deadline=None, max_examples=50)
def test_what_is_proposed_lies_in_the_range(known, size):
    fewest, most = sizes_about(known, 1.3)
    search = SizeRange(Listed(["C" * size, "C" * known[0]]))
    expected = "C" * (size if fewest <= size <= most else known[0])
    assert propose(search, state(["C" * n for n in known])) == [expected]


def test_the_record_says_why():
    search = SizeRange(Listed(["C", "C" * 20, "C" * 40, "O"]))
    here = state(["C" * 18, "C" * 22], screen=lambda x: "known" if x == "O" else None)
    assert propose(search, here) == ["C" * 20]
    assert search.search.reasons == ["too small", None, "too large", "known"]


def test_what_the_user_supplied_has_any_size():
    search = SizeRange(Listed(["C" * 90, "C" * 20]))
    assert propose(search, state(["C" * 20], candidates=["C" * 90])) == ["C" * 90]


def test_a_search_that_finds_nothing_in_the_range_leaves_it():
    search = SizeRange(Listed(["C" * 90, "C" * 20]))
    assert propose(search, state(["C" * 20]), n=2) == ["C" * 90, "C" * 20]
    with pytest.raises(NoCandidateError):
        propose(search, state(["C" * 20]), n=3)


@given(st.integers(0, 4), st.integers(1, 4))
@settings(deadline=None)
def test_few_values_and_what_else_was_given_say_the_range(n_values, n_others):
    X = ["C" * (10 + 2 * i) for i in range(n_values + n_others)]
    here = replace(state(X[:n_values], candidates=X[n_values:-1]), failed_X=X[-1:])
    most = sizes_about([len(x) for x in X], 1.3)[1]
    search = SizeRange(Listed(["C" * (most + 1), "O" * most]))
    assert propose(search, here) == ["O" * most]
    begun = search.beginning()
    assert (type(begun.search).__name__, begun.margin) == ("PriorSampling", 1.3)


def test_without_data_there_is_no_range():
    assert propose(SizeRange(Listed(["C" * 90])), state([])) == ["C" * 90]


def test_sizes_are_heavy_atoms():
    assert [heavy_atoms(x) for x in ("C", "[H]O[H]", "c1ccccc1Cl", "CC(=O)[O-].[Na+]", "no molecule")] == [
        1,
        1,
        7,
        5,
        0,
    ]


def test_impossible_parameters_are_refused():
    with pytest.raises(ParameterError, match="margin"):
        propose(SizeRange(Listed(["C"]), margin=0.9), state(["C"]))
    with pytest.raises(ParameterTypeError, match="search must be a strategy"):
        propose(SizeRange(None), state(["C"]))


def test_it_is_cloned_and_stored():
    search = SizeRange(CandidatePool(30), margin=1.5)
    assert clone(search).get_params()["search__n_candidates"] == 30
    again = load(dump(search))
    assert again.margin == 1.5
    assert again.search.n_candidates == 30
