"""Weights under noise: the expectation of Eq. 3, by itself and with what a process believes."""

import numpy as np
import pytest
from conftest import make_optimizer, networks, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso import (
    AtLeast,
    DataError,
    FeatureGP,
    Maximize,
    Minimize,
    RankWeighting,
    Reading,
    WeightedRetrainingOptimizer,
    rank_weights,
)
from wrlso._utils.expected_ranks import expected_share

X = words(80)
TRUTH = X @ np.linspace(0.2, 1.0, X.shape[1])

MEANS = st.lists(st.floats(-5, 5), min_size=1, max_size=30)


@given(MEANS, st.floats(1e-3, 1))
def test_without_noise_it_is_eq_3(means, k):
    np.testing.assert_array_equal(
        RankWeighting(k).expected(means, np.zeros(len(means))), rank_weights(means, k)
    )
    share = expected_share(np.array(means), np.zeros(len(means)), k * len(means))
    np.testing.assert_allclose(share * len(means) / share.sum(), rank_weights(means, k))


@given(MEANS, st.floats(1e-3, 3))
def test_with_one_sd_a_larger_mean_never_weighs_less(means, sd):
    weights = RankWeighting(0.1).expected(means, np.full(len(means), sd))
    assert weights.mean() == pytest.approx(1)
    order = np.argsort(means, kind="stable")
    assert (np.diff(weights[order]) >= -1e-12).all()
    same = np.diff(np.array(means)[order]) == 0
    assert (np.diff(weights[order])[same] == 0).all()


@given(MEANS, st.floats(0.1, 9), st.floats(-9, 9))
def test_units_change_no_weight(means, scale, shift):
    sd = np.linspace(0.1, 2, len(means))
    weights = RankWeighting(0.1).expected(means, sd)
    moved = RankWeighting(0.1).expected(scale * np.array(means) + shift, scale * sd)
    np.testing.assert_allclose(moved, weights, rtol=0.2)  # a tie may break in the last bit


def test_it_is_the_expectation():
    """Against 20,000 draws of all values."""
    rng = np.random.default_rng(100)
    mean, sd = rng.normal(size=60), rng.uniform(0.1, 1.0, 60)
    drawn = mean + sd * rng.normal(size=(20_000, 60))
    ranks = np.argsort(np.argsort(-drawn, axis=1), axis=1)
    np.testing.assert_allclose(expected_share(mean, sd, 3.0), (1 / (3.0 + ranks)).mean(axis=0), rtol=0.06)


def test_much_noise_is_no_knowledge():
    np.testing.assert_allclose(RankWeighting(0.1).expected(np.arange(9), np.full(9, 1e6)), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("mean", "sd", "message"),
    [
        ([1.0, 2.0], [1.0], "mean and sd must have one length"),
        ([1.0], [-1.0], "sd must be at least 0, got 1 and 1 values, the smallest sd -1"),
        ([1.0], [np.nan], "sd must"),
    ],
)
def test_what_is_no_belief(mean, sd, message):
    with pytest.raises(DataError, match=message):
        RankWeighting(0.1).expected(mean, sd)


def noisy(sd, seed=100):
    return TRUTH + sd * np.random.default_rng(seed).normal(size=len(TRUTH))


PROCESS = FeatureGP(lambda X: np.asarray(X, dtype=float))


def searched(values, **told):
    opt = make_optimizer(retrain_every=None, surrogate=PROCESS).fit(X, values, **told)
    opt.ask()
    return opt


def true_rank(weights):
    """Mean true rank of the ten heaviest points."""
    heaviest = np.argsort(-weights, kind="stable")[:10]
    return float(np.mean(np.argsort(np.argsort(-TRUTH))[heaviest]))


def test_a_lucky_outlier_does_not_get_the_weight_of_the_best():
    y = noisy(1.0)
    opt = searched(y, sd=1.0)
    plain = rank_weights(y, 10 / len(y))
    assert true_rank(opt.weights_) < true_rank(plain) - 3
    lucky = np.argsort(TRUTH)[len(TRUTH) // 2]
    y[lucky] = TRUTH[lucky] + 2.5
    opt = searched(y, sd=1.0)
    assert opt.weights_[lucky] < 0.8 * rank_weights(y, 10 / len(y))[lucky]


def test_values_without_known_noise_weigh_as_measured():
    y = noisy(1.0)
    np.testing.assert_array_equal(searched(y).weights_, rank_weights(y, 10 / len(y)))


def test_a_replicate_makes_the_noise_known():
    y = noisy(1.0)
    opt = searched(y)
    opt.tell(X[:20], noisy(1.0, 101)[:20])
    opt.ask()
    assert np.abs(opt.weights_ - rank_weights(opt.y_, 10 / len(y))).max() > 0.05


def test_any_other_weighting_takes_what_was_measured():
    y = noisy(1.0)
    opt = make_optimizer(retrain_every=None, weighting=lambda y: rank_weights(y, 0.1)).fit(X, y, sd=1.0)
    opt.ask()
    np.testing.assert_array_equal(opt.weights_, rank_weights(y, 0.1))


def test_weights_are_the_same_after_save_and_load(tmp_path):
    opt = searched(noisy(1.0), sd=1.0)
    opt.tell(X[3], 2.0, sd=0.1).tell(words(90)[85], 3.0)
    opt.ask()
    opt.save(tmp_path / "camp")
    encoder, decoder = networks()
    parts = {"encoder": encoder, "decoder": decoder, "surrogate": PROCESS}
    again = WeightedRetrainingOptimizer.load(tmp_path / "camp", **parts)
    for one in (opt, again):
        one.tell(X[4], 1.0)  # not seen by the process yet
    np.testing.assert_array_equal(again.weights_, opt.weights_)


def test_what_violates_limits_stays_behind():
    y = noisy(1.0)
    limited = TRUTH - X[:, 0] * 3.0
    opt = make_optimizer(retrain_every=None, outcomes=[Maximize("y"), AtLeast("c", 0.0)])
    told = [{"y": Reading(v, 1.0), "c": c} for v, c in zip(y, limited, strict=True)]
    opt.fit(X, told).ask()
    assert opt.weights_[limited < 0].max() < opt.weights_[limited >= 0].min()


def test_a_goal_that_was_not_measured_is_what_its_process_expects():
    opt = make_optimizer(retrain_every=None, surrogate=PROCESS, outcomes=[Maximize("a"), Minimize("b")])
    told = [{"a": t, "b": float(x[0])} for t, x in zip(TRUTH, X, strict=True)]
    best, worst = np.argmax(TRUTH - 9.0 * X[:, 0]), np.argmin(TRUTH + 9.0 * X[:, 0])
    for place in (best, worst):
        told[place].pop("a")
    opt.fit(X, told)
    before = opt.weights_
    assert before[best] == before[worst]
    opt.ask()
    assert opt.weights_[best] > opt.weights_[worst]
