"""The probability that an experiment succeeds: its predictors, and what a few failures may do."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from wrlso.models.neighbours import neighbours
from wrlso.surrogate.noisy_or import NoisyOr
from wrlso.surrogate.success import SuccessModel, Traits, _Process

RNG = np.random.default_rng


def sequences(n, rng, length=12, k=6):
    return rng.integers(k, size=(n, length))


def forbidden(X, pair=(2, 5)):
    return np.array([any((a, b) == pair for a, b in itertools.pairwise(x)) for x in X.tolist()])


def traits(X, k=6):
    one_hot = torch.from_numpy(np.eye(k)[X].reshape(len(X), -1))
    return Traits(one_hot[:, :4] + 0.1, one_hot, neighbours(X, k))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_neighbours_are_counted(n, k, seed):
    X = RNG(seed).integers(k, size=(n, 3, 4))
    counts = neighbours(X, k).toarray()
    assert counts.shape == (n, 2 * k * k)
    for x, found in zip(X, counts, strict=True):
        expected = np.zeros((2, k, k))
        for i in range(3):
            for j in range(4):
                if i < 2:
                    expected[0, x[i, j], x[i + 1, j]] += 1
                if j < 3:
                    expected[1, x[i, j], x[i, j + 1]] += 1
        assert np.array_equal(found, expected.ravel())


@pytest.mark.parametrize(("shape", "k"), [((3, 4), None), ((0, 4), 3), ((3,), 3)])
def test_what_has_no_neighbours_has_no_pairs(shape, k):
    assert neighbours(np.zeros(shape), k).nnz == 0


@given(st.integers(0, 1000))
def test_more_parts_never_help(seed):
    rng = RNG(seed)
    counts, success = csr_array(rng.integers(3, size=(20, 5))), rng.random(20) < 0.6
    model = NoisyOr.fit(counts, success, np.ones(20))
    more = rng.integers(3, size=(7, 6))
    fewer = np.maximum(more - rng.integers(2, size=more.shape), 0)
    assert (model.log_success(csr_array(more)) <= model.log_success(csr_array(fewer)) + 1e-12).all()
    assert (model.log_success(csr_array(more)) < 0).all()


@given(st.integers(0, 1000))
def test_numbers_of_parts_are_names(seed):
    rng = RNG(seed)
    counts, success = rng.integers(3, size=(15, 5)), rng.random(15) < 0.6
    order = rng.permutation(5)
    one = NoisyOr.fit(csr_array(counts), success, np.ones(15)).log_success(csr_array(counts))
    other = NoisyOr.fit(csr_array(counts[:, order]), success, np.ones(15))
    assert np.allclose(one, other.log_success(csr_array(counts[:, order])), rtol=1e-9)


@given(st.integers(1, 14), st.integers(0, 1000))
def test_predictions_in_advance_know_nothing_of_what_follows(k, seed):
    rng = RNG(seed)
    counts, success = csr_array(rng.integers(3, size=(15, 5))), rng.random(15) < 0.6
    whole = NoisyOr.fit(counts, success, np.ones(15)).in_advance
    assert np.allclose(whole[:k], NoisyOr.fit(counts[:k], success[:k], np.ones(k)).in_advance, rtol=1e-12)


def test_a_failure_is_blamed_on_the_part_that_successes_lack():
    counts = csr_array(np.array([[1, 1, 0]] * 10 + [[1, 1, 1]] * 2))
    model = NoisyOr.fit(counts, np.arange(12) < 10, np.ones(12))
    assert model.q[2] > 0.8
    assert max(model.q[0], model.q[1], model.q[3]) < 0.05


def test_what_became_of_new_parts_says_what_becomes_of_others():
    """Each outcome brings a part that none had: they all fail, or they all succeed."""
    counts = csr_array(np.concatenate([np.ones((30, 1)), np.eye(30)], axis=1).astype(int))
    unseen = csr_array(np.eye(32)[[31]].astype(int))
    chance = {}
    for fails in (False, True):
        success = np.arange(30) < (10 if fails else 30)
        chance[fails] = np.exp(NoisyOr.fit(counts, success, np.ones(30)).log_success(unseen)[0])
    assert chance[False] > 0.9
    assert chance[True] < 0.5


def test_a_process_predicts_each_outcome_from_those_before_it():
    rng = RNG(0)
    Z, success = torch.from_numpy(rng.normal(size=(12, 2))), rng.random(12) < 0.5
    process = _Process.fit("Z", Traits(Z), success)
    X, t = Z.numpy(), np.where(success, 1.0, -1.0)
    t = t - t.mean()
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=2) / process.width)
    noise = min(
        (0.1, 1.0), key=lambda s: np.abs(np.linalg.solve(K + s * np.eye(12), t) - process.weights).max()
    )
    expected = [K[i, :i] @ np.linalg.solve(K[:i, :i] + noise * np.eye(i), t[:i]) for i in range(12)]
    assert np.allclose(process.in_advance, expected)


def test_few_failures_frighten_nobody():
    rng = RNG(1)
    X = sequences(103, rng)
    success = np.arange(103) < 100
    model = SuccessModel.fit(traits(X), success)
    chance = model.probability(traits(sequences(200, rng)))
    assert chance.mean() > 0.7
    assert model.probability(traits(X[:100])).min() > 0.5


def test_failures_without_a_reason_give_their_share():
    rng = RNG(2)
    success = rng.random(300) < 0.6
    chance = SuccessModel.fit(traits(sequences(300, rng)), success).probability(traits(sequences(200, rng)))
    assert abs(chance.mean() - 0.6) < 0.1
    assert chance.std() < 0.1


def test_a_reason_is_found_and_calibrated():
    rng = RNG(3)
    X, others = sequences(200, rng), sequences(400, rng)
    model = SuccessModel.fit(traits(X), ~forbidden(X))
    chance, truth = model.probability(traits(others)), ~forbidden(others)
    assert ((chance - truth) ** 2).mean() < 0.25 * truth.mean() * (1 - truth.mean())
    assert abs(chance.mean() - truth.mean()) < 0.05


def test_nothing_is_thought_impossible():
    X = sequences(300, RNG(4))
    chance = SuccessModel.fit(traits(X), ~forbidden(X)).probability(traits(X))
    assert 0.01 <= chance.min() < 0.1
    assert chance.max() <= 1.0
