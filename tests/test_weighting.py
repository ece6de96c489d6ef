"""Tests of wrlso.weighting: properties, then equivalences, then golden numbers, then bad input."""

import json
import math
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import clone

from wrlso.benchmarks.speed import weighting as benchmark
from wrlso.exceptions import (
    DataError,
    DataTypeError,
    LowEffectiveSampleSizeWarning,
    ParameterError,
    ParameterTypeError,
)
from wrlso.testing import check_weighting, objective_values, weightings
from wrlso.weighting import (
    CEMPIWeighting,
    DbASWeighting,
    Progress,
    RankWeighting,
    RWRWeighting,
    Schedule,
    UniformWeighting,
    cem_pi_weights,
    dbas_weights,
    effective_sample_size,
    normalize_weights,
    rank_weights,
    replicate,
    rwr_weights,
    uniform_weights,
)

EPS = float(np.finfo(np.float64).eps)

ks = st.one_of(st.floats(-12, 12).map(lambda exponent: 10.0**exponent), st.just(math.inf))
ys = objective_values()
raw_weights = (
    st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=1, max_size=40)
    .map(np.array)
    .filter(lambda w: w.sum() > 0)
)


def mean(w: np.ndarray) -> float:
    return math.fsum(w) / len(w)


def by_definition(y: np.ndarray, k: float) -> np.ndarray:
    """Eq. 3 with ties sharing a rank, O(N²), in rational arithmetic."""
    n = len(y)
    unnormalised = [1 / (Fraction(k) * n + sum(bool(other > value) for other in y)) for value in y]
    return np.array([float(w * n / sum(unnormalised)) for w in unnormalised])


class TestProperties:
    @given(weightings(), ys)
    def test_every_weighting_has_mean_one_and_finite_weights(self, weighting, y):
        w = weighting(y)
        assert w.dtype == np.float64
        assert w.shape == y.shape
        assert np.isfinite(w).all()
        assert (w >= 0).all()
        assert abs(mean(w) - 1) <= 4 * EPS

    @given(weightings(), ys)
    def test_every_weighting_is_monotone_and_gives_ties_exactly_equal_weights(self, weighting, y):
        w = weighting(y)
        assert (w[np.argsort(y)] == np.sort(w)).all()
        for value in np.unique(y):
            assert len(np.unique(w[y == value])) == 1

    @given(weightings(), ys, st.randoms(use_true_random=False))
    def test_every_weighting_follows_a_permutation(self, weighting, y, random):
        order = np.array(random.sample(range(len(y)), len(y)))
        np.testing.assert_allclose(weighting(y[order]), weighting(y)[order], rtol=1e-13)

    @given(ys, ks, st.randoms(use_true_random=False))
    def test_rank_weighting_follows_a_permutation_bit_for_bit(self, y, k, random):
        order = np.array(random.sample(range(len(y)), len(y)))
        np.testing.assert_array_equal(rank_weights(y[order], k), rank_weights(y, k)[order])

    @given(weightings(), ys)
    def test_the_callers_array_is_not_modified_nor_returned(self, weighting, y):
        given_bytes = y.tobytes()
        w = weighting(y)
        assert y.tobytes() == given_bytes
        assert not np.shares_memory(w, y)

    @given(ys, ks)
    def test_rank_weights_are_positive(self, y, k):
        assert (rank_weights(y, k) > 0).all()

    @given(ys, ks, st.floats(1e-200, 1e200), st.floats(-1e200, 1e200))
    def test_rank_weights_ignore_affine_maps_that_keep_order_and_ties(self, y, k, a, b):
        with np.errstate(over="ignore"):
            mapped = a * y + b
        assume(np.isfinite(mapped).all())
        assume((np.sign(mapped[:, None] - mapped) == np.sign(y[:, None] - y)).all())
        np.testing.assert_array_equal(rank_weights(mapped, k), rank_weights(y, k))

    @given(ys, ks)
    def test_rank_weights_ignore_monotone_transformations(self, y, k):
        dense_ranks = np.unique(y, return_inverse=True)[1]
        np.testing.assert_array_equal(rank_weights(dense_ranks, k), rank_weights(y, k))

    @given(ys, ys.filter(lambda y: len(y) > 1))
    def test_large_k_tends_to_uniform(self, y, other):
        assert (rank_weights(y, math.inf) == 1).all()
        assert np.abs(rank_weights(y, 1e8) - 1).max() <= 1e-8
        spread = [np.ptp(rank_weights(other, k)) for k in (1e-3, 1.0, 1e3, 1e6)]
        assert spread == sorted(spread, reverse=True)

    @given(ys)
    def test_small_k_puts_all_weight_on_the_best(self, y):
        best = y == y.max()
        w = rank_weights(y, 1e-12)
        np.testing.assert_allclose(w[best], len(y) / best.sum(), rtol=1e-8)
        limit = np.where(best, len(y) / best.sum(), 0.0)
        np.testing.assert_array_equal(rank_weights(y, 5e-324), limit)

    @given(st.floats(1e-2, 10.0), st.floats(0, 1), st.floats(0, 1), st.sampled_from([20_000, 50_000]))
    def test_share_of_a_quantile_range_does_not_depend_on_n(self, k, q1, q2, n):
        q1, q2 = sorted((q1, q2))
        w = rank_weights(-np.arange(n), k)  # best first
        share = w[round(q1 * n) : round(q2 * n)].sum() / n
        expected = math.log((k + q2) / (k + q1)) / math.log(1 + 1 / k)
        assert share == pytest.approx(expected, abs=2e-2 / (k * n) + 2 / (k * n) / math.log(1 + 1 / k))

    @pytest.mark.parametrize("k", [1e-12, 1e-3, math.inf])
    @pytest.mark.parametrize("n_levels", [1000, None])
    def test_a_million_values(self, k, n_levels):
        rng = np.random.default_rng(0)
        y = rng.standard_normal(10**6) if n_levels is None else rng.integers(n_levels, size=10**6)
        w = rank_weights(y, k)
        assert abs(mean(w) - 1) <= 8 * EPS
        assert (w > 0).all()
        assert (np.diff(w[np.argsort(y)]) >= 0).all()
        levels, counts = np.unique(y, return_counts=True)
        better = len(y) - np.cumsum(counts)
        expected = np.ones(len(levels)) if k == math.inf else 1 / (k * len(y) + better)
        expected *= len(y) / (expected * counts).sum()
        np.testing.assert_allclose(w, expected[np.searchsorted(levels, y)], rtol=1e-12)

    @given(weightings(), st.floats(-1e300, 1e300), st.integers(1, 20))
    def test_one_point_and_constant_values_weigh_one(self, weighting, value, n):
        np.testing.assert_allclose(weighting(np.full(n, value)), 1.0, rtol=2 * EPS)

    @given(ys, st.floats(0, 1, exclude_max=True))
    def test_cem_pi_keeps_at_most_the_share_above_the_quantile_and_always_the_best(self, y, quantile):
        w = cem_pi_weights(y, quantile)
        kept = w > 0
        assert kept[y == y.max()].all()
        worst_kept = y[kept].min()
        assert (y > worst_kept).sum() <= math.ceil((1 - quantile) * len(y) + 1e-9)
        if quantile == 0:
            assert kept.all()

    @given(objective_values(max_size=20), st.floats(0, 0.99))
    def test_sharp_dbas_is_cem_pi_away_from_the_edge(self, y, quantile):
        edge = np.quantile(y / 2, quantile) * 2
        w = dbas_weights(y, quantile, noise=1e-303)
        assert (w[y < edge - 1e-300] == 0).all()
        above = w[y > edge + 1e-300]
        assert len(np.unique(above)) <= 1

    def test_dbas_and_rwr_do_not_underflow_altogether(self):
        y = np.array([-1e300, -1e6, 0.0])
        np.testing.assert_array_equal(rwr_weights(y, alpha=1e300), [0, 0, 3])
        np.testing.assert_array_equal(dbas_weights(y, quantile=0.99, noise=1e-300), [0, 0, 3])

    def test_values_at_the_ends_of_float64_do_not_overflow(self):
        largest = float(np.finfo(np.float64).max)
        y = np.array([-largest, 0.0, largest])
        np.testing.assert_array_equal(rwr_weights(y, alpha=1.0), [0, 0, 3])
        np.testing.assert_array_equal(dbas_weights(y, 0.5), [0, 1, 2])
        np.testing.assert_array_equal(cem_pi_weights(y, 0.5), [0, 1.5, 1.5])
        np.testing.assert_array_equal(normalize_weights([largest, largest], 2), [1, 1])
        # Differences beyond the largest float64, in units that bring them back into range.
        relative = np.array([math.exp(-2), math.exp(-1), 1])
        np.testing.assert_allclose(rwr_weights(y, alpha=1 / largest), relative / relative.mean(), rtol=1e-12)
        relative = norm.cdf([-2, -1, 0])
        np.testing.assert_allclose(
            dbas_weights(y, 1 - EPS / 2, noise=largest), relative / relative.mean(), rtol=1e-12
        )


class TestReplicate:
    @given(raw_weights, st.one_of(st.floats(10, 1e3), st.just(math.inf)))
    def test_every_point_keeps_its_total_weight(self, w, w_max):
        indices, copies = replicate(w, w_max)
        assert indices.dtype == np.int64
        assert copies.dtype == np.float64
        for i, weight in enumerate(w):
            own = copies[indices == i]
            assert abs(math.fsum(own) - weight) <= 2 * EPS * weight
            assert len(np.unique(own)) <= 1
            assert len(own) == (max(1, math.ceil(weight / w_max)) if weight else 0)
        assert (copies <= w_max * (1 + EPS)).all()
        assert (np.diff(indices) >= 0).all()

    @given(ys, st.floats(-6, 3).map(lambda exponent: 10.0**exponent), st.floats(0.1, 10))
    def test_the_number_of_copies_is_bounded_for_weights_with_mean_one(self, y, k, w_max):
        w = rank_weights(y, k)
        indices, _ = replicate(w, w_max)
        assert len(y) <= len(indices) <= len(y) * (1 + 1 / w_max) * (1 + 4 * EPS)

    @given(raw_weights)
    def test_nothing_is_copied_without_bound_and_points_without_weight_are_left_out(self, w):
        indices, copies = replicate(w, math.inf)
        np.testing.assert_array_equal(indices, np.flatnonzero(w))
        np.testing.assert_array_equal(copies, w[w > 0])

    def test_a_vanishing_weight_is_kept(self):
        indices, copies = replicate([5e-324, 1.0], w_max=1e308)
        np.testing.assert_array_equal(indices, [0, 1])
        np.testing.assert_array_equal(copies, [5e-324, 1.0])

    @given(raw_weights)
    def test_the_callers_array_is_not_modified(self, w):
        kept = w.copy()
        replicate(w, 50.0)
        normalize_weights(w[:9] + 1, len(w[:9]))
        np.testing.assert_array_equal(w, kept)


class TestSampleSize:
    @given(raw_weights, st.floats(-200, 200).map(lambda exponent: 10.0**exponent))
    def test_is_between_one_and_n_and_ignores_scale(self, w, scale):
        size = effective_sample_size(w)
        assert 1 <= size <= len(w)
        assert effective_sample_size(w * scale) == pytest.approx(size, rel=1e-9)

    @given(st.integers(1, 100), st.integers(1, 100))
    def test_counts_equal_weights(self, n_heavy, n_zero):
        w = np.concatenate([np.full(n_heavy, 0.3), np.zeros(n_zero)])
        assert effective_sample_size(w) == pytest.approx(n_heavy)


class TestNormalize:
    @given(raw_weights, st.floats(-200, 200).map(lambda exponent: 10.0**exponent))
    def test_mean_is_one_and_proportions_stay(self, w, scale):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LowEffectiveSampleSizeWarning)
            normalized = normalize_weights(w * scale, len(w))
        assert abs(mean(normalized) - 1) <= 4 * EPS
        np.testing.assert_allclose(normalized, w * (len(w) / w.sum()), rtol=1e-12)

    def test_warns_when_few_points_hold_the_weight(self):
        w = np.r_[np.ones(9), np.zeros(91)]
        with pytest.warns(LowEffectiveSampleSizeWarning, match=r"100 points .* sample size of only 9\.0"):
            normalize_weights(w, 100)

    def test_does_not_warn_for_ten_points_or_when_there_are_fewer_than_ten(self):
        normalize_weights(np.r_[np.ones(10), np.zeros(90)], 100)
        normalize_weights(np.r_[1.0, np.zeros(8)], 9)

    @pytest.mark.parametrize("n", range(2, 60))
    def test_does_not_warn_of_the_optimizers_default(self, n):
        normalize_weights(rank_weights(np.arange(float(n)), k=max(1e-3, 1 / n)), n)

    def test_warns_from_ten_points_on(self):
        with pytest.warns(LowEffectiveSampleSizeWarning, match="10 points"):
            normalize_weights(np.r_[1.0, np.zeros(9)], 10)

    @pytest.mark.parametrize(
        ("w", "error", "message"),
        [
            ([1.0, 2.0, 3.0], DataError, "one entry for each of the 2 points, got 3"),
            ([1.0, math.nan], DataError, r"weights must be finite, got weights\[1\] = nan"),
            ([math.inf, 1.0], DataError, r"weights must be finite, got weights\[0\] = inf"),
            ([1.0, -1e-9], DataError, r"must not be negative, got weights\[1\] = -1e-09"),
            ([0.0, 0.0], DataError, "must not all be zero"),
            ([[1.0], [2.0]], DataError, r"must have shape \(n,\), got shape \(2, 1\)"),
            ([True, False], DataTypeError, "real numbers .* got dtype bool"),
            (["a", "b"], DataTypeError, "real numbers .* got dtype <U1"),
            (None, DataTypeError, "real numbers .* got dtype object"),
        ],
    )
    def test_says_what_is_wrong_with_weights(self, w, error, message):
        with pytest.raises(error, match=message):
            normalize_weights(w, 2)


class TestEquivalences:
    @given(objective_values(max_size=30), st.floats(-12, 6).map(lambda exponent: 10.0**exponent))
    def test_rank_weights_equal_the_definition(self, y, k):
        np.testing.assert_allclose(rank_weights(y, k), by_definition(y, k), rtol=8 * EPS)

    @given(ys)
    def test_infinite_k_equals_uniform(self, y):
        np.testing.assert_array_equal(rank_weights(y, math.inf), uniform_weights(y))

    @given(objective_values(ties=False), ks.filter(math.isfinite))
    def test_without_ties_equals_the_double_argsort_of_the_paper(self, y, k):
        ranks = np.argsort(np.argsort(-y))
        expected = 1 / (k * len(y) + ranks)
        np.testing.assert_allclose(rank_weights(y, k), expected * len(y) / expected.sum(), rtol=1e-12)

    @given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(0, 0.99), st.floats(0.1, 10))
    def test_dbas_equals_the_normal_survival_function(self, y, quantile, noise):
        expected = norm.sf((np.quantile(y, quantile) - np.array(y)) / noise)
        np.testing.assert_allclose(
            dbas_weights(y, quantile, noise), expected / expected.mean(), rtol=1e-9, atol=1e-200
        )

    @given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(0.01, 5))
    def test_rwr_equals_the_exponential(self, y, alpha):
        expected = np.exp(alpha * (np.array(y) - max(y)))
        np.testing.assert_allclose(rwr_weights(y, alpha), expected / expected.mean(), rtol=1e-12)

    @given(st.lists(st.integers(-20, 20), min_size=1, max_size=30), st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    def test_cem_pi_equals_the_indicator(self, y, quantile):
        expected = np.array(y) >= np.quantile(y, quantile)
        np.testing.assert_allclose(cem_pi_weights(y, quantile), expected / expected.mean(), rtol=1e-14)

    @pytest.mark.parametrize(
        ("weighting", "function"),
        [
            (RankWeighting(k=0.3), lambda y: rank_weights(y, k=0.3)),
            (UniformWeighting(), uniform_weights),
            (CEMPIWeighting(quantile=0.3), lambda y: cem_pi_weights(y, quantile=0.3)),
            (DbASWeighting(quantile=0.3, noise=2.0), lambda y: dbas_weights(y, quantile=0.3, noise=2.0)),
            (RWRWeighting(alpha=0.3), lambda y: rwr_weights(y, alpha=0.3)),
        ],
    )
    def test_classes_equal_their_functions_and_clone(self, weighting, function):
        y = [3.0, -1.0, 2.5, 3.0]
        np.testing.assert_array_equal(weighting(y), function(y))
        np.testing.assert_array_equal(clone(weighting)(y), function(y))
        assert clone(weighting).get_params() == weighting.get_params()

    @pytest.mark.parametrize(
        ("defaults", "function"),
        [
            (RankWeighting(), rank_weights),
            (CEMPIWeighting(), cem_pi_weights),
            (DbASWeighting(), dbas_weights),
            (RWRWeighting(), rwr_weights),
        ],
    )
    def test_classes_and_functions_have_the_same_defaults(self, defaults, function):
        y = np.random.default_rng(0).standard_normal(50)
        np.testing.assert_array_equal(defaults(y), function(y))

    @pytest.mark.parametrize(
        "y",
        [
            [3, 1, 2],
            (3.0, 1.0, 2.0),
            np.array([3, 1, 2], dtype=np.int8),
            np.array([3, 1, 2], dtype=np.uint64),
            np.array([3, 1, 2], dtype=np.float16),
            np.array([3, 1, 2], dtype=np.longdouble),
            np.array([3, 0, 1, 0, 2], dtype=float)[::2],
            np.array([3, 1, 2], dtype=">f8"),
        ],
    )
    def test_takes_real_arrays_of_every_kind(self, y):
        np.testing.assert_array_equal(rank_weights(y), rank_weights(np.array([3.0, 1.0, 2.0])))

    def test_single_precision_parameters_do_not_lower_the_precision_of_weights(self):
        y = np.arange(1000)
        np.testing.assert_array_equal(rank_weights(y, np.float32(0.5)), rank_weights(y, 0.5))
        np.testing.assert_array_equal(rwr_weights(y, np.float32(0.5)), rwr_weights(y, 0.5))
        np.testing.assert_array_equal(rank_weights(y, Fraction(1, 2)), rank_weights(y, 0.5))

    def test_negative_zero_is_zero(self):
        np.testing.assert_array_equal(rank_weights([-0.0, 0.0, -1.0]), rank_weights([0.0, 0.0, -1.0]))


class TestGoldenNumbers:
    def test_rank_weights_by_hand(self):
        # kN = 1, ranks 2 0 2 1: 1/3, 1, 1/3, 1/2, which sum to 13/6.
        expected = np.array([8, 24, 8, 12]) / 13
        np.testing.assert_allclose(rank_weights([1.0, 5.0, 1.0, 3.0], k=0.25), expected, rtol=4 * EPS)

    def test_share_of_the_best_of_24_points(self):
        # design.md, "weighting": with k = 1e-3 on 24 molecules some 92 % of the weight lies on one.
        assert rank_weights(np.arange(24))[-1] / 24 == pytest.approx(0.92, abs=0.005)

    def test_share_of_the_best_percent_at_the_papers_default(self):
        # ln((k + 0.01) / k) / ln(1 + 1/k) with k = 1e-3: ln 11 / ln 1001 = 0.34708...
        w = rank_weights(np.arange(10**5), k=1e-3)
        assert w[-1000:].sum() / 1e5 == pytest.approx(0.34708, abs=1e-3)

    def test_dbas_by_table_of_the_normal_distribution(self):
        # Φ(-1) = 0.158655, Φ(0) = 0.5, Φ(1) = 0.841345, which sum to 1.5.
        np.testing.assert_allclose(
            dbas_weights([0.0, 1.0, 2.0], quantile=0.5), [0.317311, 1.0, 1.682689], atol=1e-6
        )

    def test_replicate_by_hand(self):
        indices, copies = replicate([0.0, 5.0, 5.5, 15.0], w_max=5.0)
        np.testing.assert_array_equal(indices, [1, 2, 2, 3, 3, 3])
        np.testing.assert_array_equal(copies, [5, 2.75, 2.75, 5, 5, 5])


WEIGHTINGS = [rank_weights, uniform_weights, cem_pi_weights, dbas_weights, rwr_weights]


class TestBadInput:
    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize(
        ("y", "error", "message"),
        [
            ([], DataError, "y must have at least one entry"),
            ([1.0, math.nan], DataError, r"y must be finite, got y\[1\] = nan"),
            ([-math.inf, 1.0], DataError, r"y must be finite, got y\[0\] = -inf"),
            ([[1.0, 2.0]], DataError, r"y must have shape \(n,\), got shape \(1, 2\)"),
            (1.0, DataError, r"y must have shape \(n,\), got shape \(\)"),
            ([True, False], DataTypeError, "y must hold real numbers .* got dtype bool"),
            ([1.0, 1j], DataTypeError, "y must hold real numbers .* got dtype complex128"),
            (["1", "2"], DataTypeError, "y must hold real numbers .* got dtype <U1"),
            ([1.0, None], DataTypeError, "y must hold real numbers .* got dtype object"),
            (np.array(["2020-01-01"], dtype="datetime64[D]"), DataTypeError, "real numbers .* datetime64"),
            ([[1.0], [1.0, 2.0]], DataTypeError, "y must be a one-dimensional array .* got list"),
            (np.ma.masked_array([1.0, 2.0], [0, 1]), DataError, "y must not have masked entries"),
        ],
    )
    def test_values(self, weighting, y, error, message):
        with pytest.raises(error, match=message):
            weighting(y)

    @pytest.mark.parametrize(
        ("call", "name", "expected"),
        [
            (lambda value: rank_weights([1.0], k=value), "k", "a number > 0"),
            (lambda value: rwr_weights([1.0], alpha=value), "alpha", "a finite number > 0"),
            (lambda value: dbas_weights([1.0], noise=value), "noise", "a finite number > 0"),
            (lambda value: replicate([1.0], w_max=value), "w_max", "a number > 0"),
            (lambda value: cem_pi_weights([1.0], quantile=value), "quantile", "a finite number >= 0"),
            (lambda value: dbas_weights([1.0], quantile=value), "quantile", "a finite number >= 0"),
        ],
    )
    def test_parameters(self, call, name, expected):
        bad_values = [-1e-300, math.nan, -math.inf, -3] + ([0, 0.0] if name != "quantile" else [])
        for value in bad_values:
            with pytest.raises(ParameterError, match=f"^{name} must be {expected}, got {value!r}$"):
                call(value)
        for value in (None, "1", True, 1j, [1.0], np.ones(1)):
            with pytest.raises(ParameterTypeError, match=f"^{name} must be {expected}, got "):
                call(value)

    @pytest.mark.parametrize("value", [1, 1.0, 1.5])
    @pytest.mark.parametrize("weighting", [cem_pi_weights, dbas_weights])
    def test_quantile_from_one_up(self, weighting, value):
        with pytest.raises(ParameterError, match=f"quantile must be a number >= 0 and < 1, got {value}"):
            weighting([1.0], quantile=value)

    @pytest.mark.parametrize("call", [lambda v: rwr_weights([1.0], v), lambda v: dbas_weights([1.0], 0.5, v)])
    def test_infinite_scales(self, call):
        with pytest.raises(ParameterError, match="must be a finite number > 0, got inf"):
            call(math.inf)

    def test_absurd_replication(self):
        with pytest.raises(ParameterError, match=r"w_max=1e-09 would make 2e\+09 copies of 2 points"):
            replicate([1.0, 1.0], w_max=1e-9)
        with pytest.raises(ParameterError, match=r"w_max=1e-300 would make inf copies"):
            replicate([1e300], w_max=1e-300)
        assert len(replicate([1.0, 1.0], w_max=0.01)[0]) == 200

    @pytest.mark.parametrize("function", [replicate, effective_sample_size])
    def test_weights(self, function):
        with pytest.raises(DataError, match=r"weights must not be negative, got weights\[1\] = -1.0"):
            function([1.0, -1.0])
        with pytest.raises(DataError, match="weights must not all be zero"):
            function([0.0])

    def test_classes_check_when_called_not_when_made(self):
        weighting = RankWeighting(k=-1)
        assert weighting.get_params() == {"k": -1}
        with pytest.raises(ParameterError, match="k must be a number > 0, got -1"):
            weighting([1.0])


class TestBenchmark:
    def test_reports_positive_times_and_their_ratio(self, tmp_path):
        record = benchmark.main(["--n", "1000", "--repeats", "3", "--out", str(tmp_path / "record.json")])
        assert json.loads((tmp_path / "record.json").read_text()) == record
        assert set(record["results"]) == {"distinct", "tied", "constant"}
        for result in record["results"].values():
            assert result["ratio"] == result["rank_weights_seconds"] / result["argsort_seconds"] > 0

    def test_prints_json(self, capsys):
        record = benchmark.main(["--n", "10", "--repeats", "1"])
        assert json.loads(capsys.readouterr().out) == record

    @pytest.mark.parametrize("name", ["n", "repeats"])
    def test_rejects_nothing_to_time(self, name):
        with pytest.raises(ParameterError, match=f"{name} must be an integer of at least 1, got 0"):
            benchmark.run(**{"n": 10, "repeats": 1, name: 0})


def test_the_library_does_not_import_hypothesis():
    code = "import sys, wrlso; sys.exit('hypothesis' in sys.modules or 'wrlso.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- rules for k

progresses = st.integers(1, 10**6).flatmap(
    lambda n: st.builds(Progress, st.just(n), st.integers(0, n), st.integers(0, n))
)


@given(progresses, st.floats(0.1, 1e3), st.floats(0.1, 1e3), st.integers(1, 1000), st.integers(1, 100))
def test_a_schedule_stays_between_its_ends_and_widens_only_when_stalled(p, start, stop, over, patience):
    k = Schedule(start, stop, over)(p)
    low, high = sorted((start, stop))
    assert min(low / p.n, 1) * (1 - 1e-9) <= k <= min(high / p.n, 1) * (1 + 1e-9)
    stalled = Schedule(start, stop, over, patience)(p)
    assert k * (1 - 1e-9) <= stalled <= 1 + 1e-9
    if not p.since_improvement:
        assert stalled == k


def test_a_schedule_goes_from_start_to_stop_and_doubles_when_stalled():
    rule = Schedule(start=40, stop=10, over=100, patience=50)
    assert [rule(Progress(1000, 1000 - told)) * 1000 for told in (0, 50, 100, 900)] == pytest.approx(
        [40, 20, 10, 10]
    )
    assert rule(Progress(1000, 0, 50)) * 1000 == pytest.approx(20)


def test_rank_weighting_takes_any_rule_and_a_rule_is_a_weighting():
    check_weighting(RankWeighting(k=Schedule(patience=10)), max_examples=20)
    y = np.arange(30.0)
    assert np.array_equal(RankWeighting(k=lambda p: 3 / p.n)(y), rank_weights(y, 0.1))
    at = RankWeighting(k=Schedule(start=30, stop=3, over=10)).at(Progress.of(y, 20))
    assert at(y) == pytest.approx(rank_weights(y, 0.1))


def test_progress_counts_values_since_the_best_and_since_the_start():
    y = np.array([3.0, 1.0, 5.0, 2.0, 5.0, 4.0])
    assert Progress.of(y, 3) == Progress(6, 3, 3)
    assert Progress.of(y, 4) == Progress(6, 4, 2)
    assert Progress.of(y, 3).n_told == 3


@pytest.mark.parametrize("wrong", [{"start": 0}, {"stop": -1}, {"over": 0}, {"patience": 0}])
def test_wrong_schedules_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Schedule(**wrong)
