"""Values that differ by factors: the logarithm that a process on structures chooses for them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm

from wrlso import TanimotoGP
from wrlso.surrogate import Observations
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.transforms import Logarithm, likeliest_transform, make_transform

seeds = st.integers(0, 2**32 - 1)
logarithms = st.builds(
    Logarithm.above,
    st.just(np.array([0.0, 1.0, 2.0, 8.0])),
    st.sampled_from([-np.inf, -1.0]),
    st.just(0.0),
    st.just(8.0),
    st.sampled_from([1.0, 0.1, 0.01]),
)


def letters(X):
    """Counts of the letters a to f."""
    return np.array([[x.count(letter) for letter in "abcdef"] for x in X]).reshape(len(X), 6)


def words(n, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdef"), size=rng.integers(5, 15))) for _ in range(n)]


def sums(X):
    return np.array([x.count("a") - 0.5 * x.count("b") for x in X])


def products(X):
    """Each letter multiplies the value, as parts of a score do."""
    noise = 0.05 * np.random.default_rng(len(X)).normal(size=len(X))
    return np.exp(sums(X) + noise)


def fitted(X, y, **options):
    return TanimotoGP(letters, **options).fit(X, torch.from_numpy(y), np.random.default_rng(0))


@given(logarithms, st.lists(st.floats(-0.9, 100.0), min_size=2, max_size=20))
def test_it_is_increasing_and_can_be_undone(transform, values):
    y = np.sort(values)
    t = transform.forward(y)
    assert (np.diff(t) >= 0).all()
    assert (np.diff(t)[np.diff(y) > 1e-6] > 0).all()
    np.testing.assert_allclose(transform.inverse(torch.from_numpy(t)), y, rtol=1e-9, atol=1e-9)


@given(logarithms, st.floats(-0.9, 100.0))
def test_the_slope_is_that_of_the_function(transform, y):
    step = 1e-6 * max(abs(y), 0.1)
    ends = transform.forward(np.array([y - step, y + step]))
    slope = (ends[1] - ends[0]) / (2 * step)
    np.testing.assert_allclose(np.exp(transform.log_slope(np.array([y]))), slope, rtol=1e-4)


@given(logarithms, st.floats(0.2, 2.0))
def test_errors_follow_the_slope(transform, y):
    known = Observations(np.array([y]), np.array([2]), np.array([0.1]), np.zeros(1, np.int8), np.array([0.5]))
    slope = np.exp(transform.log_slope(known.y))
    carried = transform.carry(known)
    np.testing.assert_allclose(carried.sd, 0.1 * slope)
    np.testing.assert_allclose(carried.squares, 0.5 * slope**2)


@given(st.floats(-1.0, 1.0), st.floats(0.01, 1.0))
def test_moments_are_those_of_the_log_normal_distribution(mean, variance):
    # with the least value 0 and the offset 1, y + 1 is log-normal; t of these lies far above the edge
    transform = Logarithm(-5.0, 1.0, -np.inf, 0.0, 1.0, 1.0)
    expected = lognorm(variance**0.5, scale=np.exp(mean + -5.0 + 10.0))
    found = transform.moments(torch.tensor([mean + 10.0]).double(), torch.tensor([variance]).double())
    np.testing.assert_allclose(found[0][0] + 1.0, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(found[1][0], expected.var(), rtol=1e-4)


def test_products_are_predicted_better_by_their_logarithm():
    X, new = words(120), words(60, seed=1)
    y, told = products(X), torch.from_numpy(products(new))
    ours, plain = fitted(X, y), fitted(X, y, transform="floor")
    assert isinstance(ours.transform_, Logarithm)
    assert not isinstance(plain.transform_, Logarithm)
    assert ours.score(new, told) > plain.score(new, told) + 1.0  # nats for each value


@given(seeds)
def test_sums_are_left_as_they_are(seed):
    X = words(80, seed)
    y = sums(X) + 0.05 * np.random.default_rng(seed).normal(size=80)
    assert not isinstance(fitted(X, y).transform_, Logarithm)


def test_the_better_half_of_what_was_measured_decides(monkeypatch):
    seen = []

    def watched(plain, known, rows, evidence):
        seen.append((known, rows))
        return likeliest_transform(plain, known, rows, evidence)

    monkeypatch.setattr("wrlso.surrogate.tanimoto_gp.likeliest_transform", watched)
    X, rng = words(90), np.random.default_rng(0)
    y, bound = products(X), np.zeros(90, dtype=np.int8)
    bound[rng.permutation(90)[:21]] = 1
    plain = Observations.exact(y)
    TanimotoGP(letters).fit(X, Observations(y, plain.n, plain.sd, bound, plain.squares), rng)
    ((known, rows),) = seen
    measured = np.sort(y[bound == 0])
    np.testing.assert_array_equal(np.sort(known.y[rows]), measured[-35:])  # of 69
    assert not known.censored[rows].any()


def test_few_values_are_left_as_they_are():
    X = words(8)
    assert not isinstance(fitted(X, products(X)).transform_, Logarithm)


@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e9, -3e9)])
def test_units_do_not_matter(factor, shift):
    X, new = words(100), words(20, seed=1)
    y = products(X)
    one, other = fitted(X, y), fitted(X, shift + factor * y)
    mean, variance = one.predict(new)
    other_mean, other_variance = other.predict(new)
    # the optimiser of the noise stops at slightly other points where the last bits of y differ
    np.testing.assert_allclose((other_mean - shift) / factor, mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(other_variance / factor**2, variance, rtol=1e-4)


def test_predicted_moments_are_those_of_samples():
    X = words(100)
    gp, new = fitted(X, products(X)), words(3, seed=2)
    mean, variance = gp.predict(new)
    drawn = gp.sample(new, 40_000, torch.Generator().manual_seed(0)).numpy()
    # four standard errors of means and of variances of heavy-tailed samples
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=4 * np.sqrt(variance.numpy() / 40_000).max())
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.1)


def test_the_error_of_a_measurement_grows_with_its_value():
    X = words(150)
    y = products(X) * np.exp(0.5 * np.random.default_rng(0).normal(size=150))
    gp = fitted(X, y)
    order = np.argsort(gp.predict(X)[0].numpy())
    low, high = [X[i] for i in order[:30]], [X[i] for i in order[-30:]]
    assert np.median(predict_measurements(gp, high)[1]) > 3 * np.median(predict_measurements(gp, low)[1])
    assert (predict_measurements(gp, X)[1] > gp.predict(X)[1].sqrt().numpy()).all()


@pytest.mark.parametrize("y", [[1.0], [2.0, 2.0, 2.0], [-1e308, 0.0, 1e308], [0.0, 1e-308, 1e-308]])
def test_values_without_a_width_are_left_as_they_are(y):
    plain = make_transform("floor", np.array(y))

    def evidence(t):
        raise AssertionError("nothing is to be compared")

    known = Observations.exact(np.array(y))
    assert likeliest_transform(plain, known, np.arange(len(y)), evidence) is plain


def test_limits_are_no_part_of_the_choice():
    X = words(100)
    y = products(X)
    known = Observations.exact(y)
    limits = np.zeros(100, dtype=np.int8)
    limits[:20] = 1
    known = Observations(y, known.n, known.sd, limits, known.squares)
    gp = TanimotoGP(letters).fit(X, known, np.random.default_rng(0))
    assert isinstance(gp.transform_, Logarithm)
    mean, _ = gp.predict(X[:20])
    assert np.median(mean.numpy() / y[:20]) > 0.9  # "> y"
