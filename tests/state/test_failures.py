"""Failed experiments: how they are told, what the search makes of them, and that they survive."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import count, make_optimizer, words

from wrlso import (
    DataError,
    DataTypeError,
    LatentSearch,
    LogExpectedImprovement,
    ThompsonSampling,
    UpperConfidenceBound,
)
from wrlso._state.success import outcomes
from wrlso.acquisition import Past, PriorSampling
from wrlso.acquisition.belief import safe_scores
from wrlso.acquisition.shares import shares_of
from wrlso.report.success import success_section
from wrlso.testing.grid import grid_state

RNG = np.random.default_rng


def value(x):
    """Words whose third letter is a one cannot be made."""
    return None if x[2] else count(x)


def started(**options):
    X = words(60)
    failed = [value(x) is None for x in X]
    y = [np.nan if bad else count(x) for x, bad in zip(X, failed, strict=True)]
    return make_optimizer(**options).fit(X, y, failed=failed)


def test_failed_starting_data_are_not_asked_for():
    opt, X = started(), words(60)
    failed = [record.status for record in opt.history_].count("failed")
    assert failed == sum(x[2] for x in X) > 10
    assert len(opt.X_) == 60 - failed
    assert opt.history_.n_start == len(opt.X_)


def test_data_without_a_value_have_not_failed():
    X = words(20)
    opt = make_optimizer().fit(X, [np.nan] * 5 + [1.0] * 15)
    assert [record.status for record in opt.history_].count("unlabelled") == 5
    assert (opt.probability_of_success_(X) == 1.0).all()


@pytest.mark.parametrize(
    ("failed", "error", "words_of_it"),
    [
        (True, DataTypeError, "failed must be a sequence of booleans, or None, got bool"),
        ([True], DataError, "must have the same length, got 3 X and 1 failed"),
        ([True, False, 1], DataTypeError, r"failed\[2\] must be True or False, got 1"),
        ([False, True, False], DataError, r"failed\[1\] must be False where y has a value, got True and 2.0"),
    ],
)
def test_wrong_marks_change_nothing(failed, error, words_of_it):
    opt = make_optimizer().fit(words(10), np.arange(10.0))
    before = opt.history_
    with pytest.raises(error, match=words_of_it):
        opt.fit(words(3), [np.nan, 2.0, 3.0], failed=failed)
    assert opt.history_ is before


def test_all_may_have_failed():
    opt = make_optimizer().fit(words(6), failed=[True] * 6)
    x = opt.ask()
    assert tuple(x) not in {tuple(each) for each in words(6)}
    assert 0 < opt.probability_of_success_([x])[0] < 0.9


def test_the_probability_follows_the_reason():
    opt, others = started(), words(200, seed=5)
    chance = opt.probability_of_success_(others)
    good = ~others[:, 2].astype(bool)
    assert chance[good].mean() > chance[~good].mean() + 0.3


@pytest.mark.parametrize(
    "acquisition", [None, LogExpectedImprovement(search=LatentSearch()), ThompsonSampling()]
)
def test_a_search_comes_to_avoid_what_fails(acquisition):
    opt = started(acquisition=acquisition, retrain_every=None)
    told = []
    for _ in range(4):
        batch = opt.ask(4)
        told += [value(x) for x in batch]
        opt.tell(batch, [value(x) for x in batch])
    assert told[4:].count(None) <= 4
    asked = [record for record in opt.history_ if record.asked]
    assert all(0.0 < record.success <= 1.0 for record in asked)
    assert "Succeeded" in success_section(opt.history_)


def test_without_failures_nothing_is_said():
    opt = make_optimizer().fit(words(), [count(x) for x in words()])
    opt.tell(opt.ask(), 3.0)
    assert opt.history_.records[-1].success is None
    assert success_section(opt.history_) == ""


def test_it_goes_on_bit_for_bit(tmp_path):
    whole, saved = started(), started()
    for step in range(4):
        for opt in (whole, saved):
            opt.tell(x := opt.ask(), value(x))
        saved.save(tmp_path / str(step))
        encoder, decoder = whole.encoder, whole.decoder
        saved = type(saved).load(tmp_path / str(step), encoder=encoder, decoder=decoder, autosave=False)
        assert np.array_equal(whole.probability_of_success_(words()), saved.probability_of_success_(words()))
        for one, other in zip(whole.history_, saved.history_, strict=True):
            assert (one.status, one.success) == (other.status, other.success)


def test_a_failure_earns_its_source_nothing():
    past = Past(["near"] * 10 + ["mutate"] * 10, [None] * 20, 0, [], set(range(10)))
    shares = shares_of({"near": 1.0, "mutate": 1.0}, past, np.empty(0))
    assert shares["near"] < shares["mutate"]
    even = shares_of({"near": 1.0, "mutate": 1.0}, replace(past, failed=()), np.empty(0))
    assert even["near"] == pytest.approx(even["mutate"], abs=0.05)


class Criterion:
    differentiable = False

    def __init__(self, values, logarithmic):
        self.values, self.logarithmic = values, logarithmic

    def score(self, surrogate, points, best, generator):
        return self.values


def test_values_times_the_probability_of_success():
    class Nothing:
        surrogate, best = None, 0.0

    values, chance = torch.tensor([1.0, 2.0, 5.0, 9.0]).double(), np.array([1.0, 0.5, 0.9, 0.01])
    logs = safe_scores(Criterion(values, True), Nothing, None, torch.Generator(), chance)
    assert np.allclose(logs, values.numpy() + np.log(chance))
    gains = safe_scores(Criterion(values, False), Nothing, None, torch.Generator(), chance)
    assert np.allclose(gains, [-2.5, -1.5, 1.5 * 0.9, 5.5 * 0.01])
    certain = safe_scores(Criterion(values, False), Nothing, None, torch.Generator(), np.ones(4))
    assert (np.argsort(certain) == np.argsort(values.numpy())).all()


class Left:
    """Experiments succeed where the first coordinate is negative."""

    def probability(self, X, Z):
        return np.where(np.array([x[0] for x in X]) < 0, 1.0, 1e-9)


@pytest.mark.parametrize("acquisition", [PriorSampling(), UpperConfidenceBound(search=LatentSearch())])
def test_other_searches_avoid_failures_too(acquisition):
    state = replace(grid_state(), success=Left())
    proposals, _ = acquisition.propose(state, 8, RNG(0))
    assert sum(p.x[0] < 0 for p in proposals) >= 7
    assert len({p.x for p in proposals}) == 8


def test_outcomes_are_in_the_order_of_asking():
    opt = started()
    for _ in range(3):
        opt.tell(x := opt.ask(), value(x))
    rows, success = outcomes(opt.history_)
    assert rows[-3:].tolist() == opt.history_.asked
    assert sorted(rows) == list(range(63))
    assert [opt.history_.records[row].status == "observed" for row in rows] == success.tolist()
