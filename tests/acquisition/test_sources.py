"""Shares of the sources of candidates, stalls, and what of both is recorded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from wrlso import CandidatePool, LogExpectedImprovement, Trainer, WeightedRetrainingOptimizer
from wrlso.acquisition import AskRecord, Past
from wrlso.acquisition.belief import Belief
from wrlso.acquisition.shares import _FLOOR, on_plateau, shares_of, stalled
from wrlso.testing.grid import grid_state

NAMES = ("near", "prior", "mutate", "cross")
EVEN = dict.fromkeys(NAMES, 1.0)
VALUES = st.integers(-9, 9).map(float)
SOME = st.lists(st.tuples(st.sampled_from((*NAMES, "supplied", "")), VALUES), max_size=60)


def past_of(proposals, n_start=3, made=None):
    """A past in which each proposal was told at once, and y."""
    y = np.concatenate([np.zeros(n_start), [value for _, value in proposals]])
    asks = []
    for name, _ in proposals:
        counts = {each: {"made": (made or EVEN)[each] * 10, "new": 5, "chosen": 0} for each in NAMES}
        counts.setdefault(name, {"made": 0, "new": 0, "chosen": 0})["chosen"] = 1
        asks.append(AskRecord(sources=counts))
    places = list(range(n_start, n_start + len(proposals)))
    return Past([name for name, _ in proposals], places, n_start, asks), y


@given(SOME, st.lists(st.floats(0.1, 5), min_size=4, max_size=4))
def test_shares_sum_to_one_and_no_source_dies(proposals, start):
    start = dict(zip(NAMES, start, strict=True))
    past, y = past_of(proposals)
    shares = shares_of(start, past, y)
    assert sum(shares.values()) == pytest.approx(1.0)
    total = sum(start.values())
    most = sum(share / total * 20 for share in start.values())
    for name in NAMES:
        assert shares[name] > _FLOOR * start[name] / total / most
    assert shares == shares_of(start, past, y * 3 + 1)


def test_a_source_that_makes_most_and_earns_nothing_keeps_a_tenth():
    made = {"near": 97.0, "prior": 1.0, "mutate": 1.0, "cross": 1.0}
    shares = shares_of(EVEN, *past_of([("mutate", 1.0)] * 400, made=made))
    assert 0.1 * shares["prior"] <= shares["near"] < 0.2 * shares["prior"]
    assert shares["mutate"] > shares["prior"]


@given(st.sampled_from(NAMES), st.integers(5, 60))
def test_without_a_past_shares_are_those_at_the_start_and_success_raises_them(winner, n):
    assert shares_of(EVEN, *past_of([])) == pytest.approx(dict.fromkeys(NAMES, 0.25))
    better = [(winner, float(i + 1)) for i in range(n)]
    shares = shares_of(EVEN, *past_of(better))
    assert max(shares, key=shares.get) == winner
    chosen = shares_of(EVEN, *past_of([(winner, -1.0 - i) for i in range(n)]))
    assert 0.25 < chosen[winner] <= shares[winner] + 1e-12


def test_success_counts_by_what_it_took_and_long_ago_counts_less():
    proposals = [("near", i + 1.0) for i in range(20)]
    few = shares_of(EVEN, *past_of(proposals, made=EVEN | {"near": 0.2}))
    many = shares_of(EVEN, *past_of(proposals, made=EVEN | {"near": 5.0}))
    assert few["near"] > many["near"]
    later = proposals + [(("mutate", "cross", "prior")[i % 3], -1.0 - i) for i in range(400)]
    assert shares_of(EVEN, *past_of(later))["near"] < shares_of(EVEN, *past_of(proposals))["near"]


def test_a_campaign_of_before_without_sources_has_the_shares_of_the_start():
    past = Past(["", ""], [0, None], 0, [AskRecord(), AskRecord()])
    assert shares_of(EVEN, past, np.array([1.0])) == pytest.approx(dict.fromkeys(NAMES, 0.25))


@given(st.integers(0, 40), st.integers(0, 200))
def test_a_search_stalls_after_a_fifth_of_its_queries_and_comes_back(rising, flat):
    y = np.concatenate([[0.0, -1.0], np.arange(1.0, rising + 1), np.full(flat, -1.0)])
    patience = max(15, rising // 5)
    phase = flat // patience
    assert stalled(Past(n_start=2), y) == (0 if phase % 2 == 0 else phase // 2 + 1)


def test_without_queries_nothing_has_stalled():
    assert stalled(Past(), np.arange(100.0)) == 0
    assert stalled(Past(n_start=4), np.zeros(4)) == 0
    assert stalled(Past(n_start=0), np.zeros(16)) == 1


@given(st.integers(0, 12), st.integers(0, 12))
def test_a_plateau_is_five_queries_as_good_as_the_best(ties, others):
    y = np.concatenate([[0.0, 1.0], np.full(ties, 2.0), np.full(others, 1.5)])
    assert on_plateau(Past(n_start=2), y) == (ties >= 5 or (ties == 0 and others >= 5))
    assert not on_plateau(Past(), y)


def test_on_a_plateau_what_lies_between_its_points_is_not_asked_for():
    """Five queries found the best value; a belief that demands more prefers what it knows less."""
    state = grid_state()
    belief = Belief.of(state)
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(200, state.Z.shape[1])))
    generator = torch.Generator()
    _, variance = belief.surrogate.predict(points)
    demanding = belief.demanding(1.5)
    assert demanding.best == pytest.approx(belief.best + 1.5 * belief.spread)
    score = LogExpectedImprovement().score
    calm = score(belief.surrogate, points, belief.best, generator).argmax()
    bold = score(demanding.surrogate, points, demanding.best, generator).argmax()
    assert variance[bold] >= variance[calm]


@pytest.mark.parametrize(("ties", "deviations"), [(4, 0.0), (5, 1.5)])
def test_a_pool_demands_more_on_a_plateau(ties, deviations):
    state, seen = grid_state(), []

    class Spy(LogExpectedImprovement):
        def score(self, surrogate, points, best, generator):
            seen.append(best)
            return super().score(surrogate, points, best, generator)

    best = state.y.argmax()
    order = torch.cat([torch.arange(len(state.y)), best.repeat(ties)])
    state = replace(
        state, Z=state.Z[order], y=state.y[order], weights=state.weights[order], past=Past(n_start=40),
        point=lambda i, point=state.point: point(int(order[i])),
    )  # fmt: skip
    CandidatePool(60, generations=1).propose(state, 1, np.random.default_rng(0), Spy())
    belief = Belief.of(state)
    assert seen == pytest.approx([belief.best + deviations * belief.spread] * len(seen))


def test_a_stalled_search_proposes_something_else():
    state = grid_state()
    order = state.y.argsort(descending=True)
    state = replace(
        state, Z=state.Z[order], y=state.y[order], point=lambda i, point=state.point: point(int(order[i]))
    )

    def proposals(n_start):
        here = replace(state, past=Past(n_start=n_start))
        pool = CandidatePool(60, generations=2)
        return [p.x for p in LogExpectedImprovement(pool).propose(here, 3, np.random.default_rng(0))[0]]

    n_start = len(order) - 20
    assert stalled(Past(n_start=n_start), np.asarray(state.y)) == 1
    assert proposals(n_start) != proposals(None)
    assert proposals(n_start) == proposals(n_start)


class Own(BaseEstimator):
    """A user's own source."""

    name = "own"
    share = 1.0

    def lacks(self, state):
        return None

    def make(self, count, making):
        return [tuple(x) for x in making.rng.integers(-9, 10, size=(count, 4)).tolist()]


def test_a_source_of_ones_own_needs_no_more_than_two_methods():
    state = grid_state()
    pool = CandidatePool(60, sources=[Own()])
    proposals, record = LogExpectedImprovement(pool).propose(state, 3, np.random.default_rng(0))
    assert {p.source for p in proposals} == set(record.sources) == {"own"}


# ------------------------------------------------------------------ in a campaign


def test_sources_are_recorded_and_a_campaign_goes_on_alike_after_loading(tmp_path):
    X = words()

    def new():
        return make_optimizer(
            acquisition=LogExpectedImprovement(CandidatePool(60, generations=2)),
            trainer=Trainer(initial_epochs=1),
            retrain_every=None,
            random_state=0,
        ).fit(X, X.sum(axis=1))

    def go_on(opt, n):
        asked = []
        for _ in range(n):
            for x in opt.ask(2):
                opt.tell(x, float(x.sum()))
                asked.append(opt.model_.key(x))
        return asked

    whole = new()
    expected = go_on(whole, 8)
    opt = new()
    first = go_on(opt, 4)
    parts = {name: getattr(opt, name) for name in ("encoder", "decoder", "acquisition", "trainer")}
    opt.save(tmp_path / "campaign")
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **parts)
    assert first + go_on(again, 4) == expected
    for history in (whole.history_, again.history_):
        assert len(history.asked) == 16
        assert {history.records[row].source for row in history.asked} <= set(NAMES)
        for ask in history.asks:
            assert set(ask.sources) <= set(NAMES)
            assert sum(each["chosen"] for each in ask.sources.values()) == 2
            assert sum(each["made"] for each in ask.sources.values()) == ask.n_decoded
    assert [ask.sources for ask in whole.history_.asks] == [ask.sources for ask in again.history_.asks]
