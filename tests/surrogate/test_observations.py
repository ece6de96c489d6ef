"""Replicates, standard errors and limits in the processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import clone

from wrlso import FeatureGP, SparseGP, TanimotoGP
from wrlso.exceptions import DataError
from wrlso.surrogate import AutoSurrogate, Observations, Points, TakesObservations
from wrlso.surrogate.censoring import censored_sites
from wrlso.surrogate.collapsed_bound import evidence
from wrlso.surrogate.kernels import Hyperparameters, covariance
from wrlso.surrogate.refit import standardized_errors
from wrlso.surrogate.tanimoto_fitting import evidence as structure_evidence
from wrlso.surrogate.tanimoto_fitting import told_evidence
from wrlso.surrogate.transforms import make_transform

seeds = st.integers(0, 10_000)
RNG = np.random.default_rng
NAMES = ["standardize", "winsorize", "floor", "robust"]


def observed(y, **known):
    """Observations of y (n,): a number stands for all."""
    plain = Observations.exact(np.asarray(y, dtype=np.float64))
    fields = {name: np.broadcast_to(np.asarray(value), (len(plain),)) for name, value in known.items()}
    return replace(plain, **{name: v.astype(getattr(plain, name).dtype).copy() for name, v in fields.items()})


def replicated(rng, n=12, d=2, most=4):
    """Points, observations of their replicates, and the same as one row for each replicate."""
    X = rng.normal(size=(n, d))
    count = rng.integers(1, most + 1, n)
    rows = [np.sin(2 * x[0]) + 0.3 * rng.normal(size=k) for x, k in zip(X, count, strict=True)]
    known = observed(
        [row.mean() for row in rows], n=count, squares=[np.sum((row - row.mean()) ** 2) for row in rows]
    )
    return X, known, np.repeat(X, count, axis=0), np.concatenate(rows)


def letters(X):
    """Counts of the letters of words."""
    return np.array([[x.count(c) for c in "abc"] for x in X])


def words(n, seed=0):
    """Different words of the letters a, b and c."""
    rng, found = RNG(seed), {}
    while len(found) < n:
        found["".join(rng.choice(list("abc"), rng.integers(1, 12)))] = None
    return list(found)


def points_of(Z):
    return torch.from_numpy(np.asarray(Z, dtype=np.float64))


def structure():
    return TanimotoGP(letters, linear=0.0, transform="standardize")


# ---------------------------------------------------------------- nothing but values: as a tensor


@given(seeds, st.sampled_from(NAMES))
@settings(max_examples=10, deadline=None)
def test_values_measured_once_are_taken_like_a_tensor_to_the_last_bit(seed, transform):
    rng = RNG(seed)
    Z, y = points_of(rng.normal(size=(30, 2))), torch.from_numpy(rng.normal(size=30) ** 3)
    X, known = words(30, seed), Observations.exact(y.numpy())
    for surrogate, points in (
        (SparseGP(transform=transform, max_iter=10), Z),
        (SparseGP(n_inducing=10, n_trained=5, train_iter=5, transform=transform), Z),
        (TanimotoGP(letters, transform=transform), X),
    ):
        assert isinstance(surrogate, TakesObservations)
        fits = [clone(surrogate).fit(points[:25], values[:25], RNG(0)) for values in (y, known)]
        told = [
            fit.condition_on(points[25:], values[25:]) for fit, values in zip(fits, (y, known), strict=True)
        ]
        corrected = [fit.corrected(points, values) for fit, values in zip(fits, (y, known), strict=True)]
        for one, other in (fits, told, corrected):
            for a, b in zip(one.predict(points), other.predict(points), strict=True):
                assert torch.equal(a, b)


# ---------------------------------------------------------------- replicates


@given(seeds, st.sampled_from(["rbf", "linear+matern52"]))
@settings(max_examples=15, deadline=None)
def test_the_bound_of_means_of_replicates_is_that_of_all_rows(seed, kernel):
    X, known, all_X, all_y = replicated(RNG(seed))
    hyper = Hyperparameters(kernel, np.array([0.7, 1.3]), 1.1, 0.08, 0.2 if "linear" in kernel else 0.0)
    U = X[:7]
    means, rows = (evidence(hyper, x, U, y, mean=0.1, slope=True) for x, y in ((X, known), (all_X, all_y)))
    assert means.value == pytest.approx(rows.value, abs=1e-8)
    np.testing.assert_allclose(means.gradient, rows.gradient, atol=1e-7)
    np.testing.assert_allclose(means.slope, rows.slope, atol=1e-7)


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_structures_with_replicates_are_as_likely_as_all_rows(seed):
    X, known, all_X, all_y = replicated(RNG(seed))

    def kernel(A):
        return np.exp(-0.5 * ((A[:, None] - A) ** 2).sum(-1))

    means, rows = structure_evidence(kernel(X), known, 0.1), structure_evidence(kernel(all_X), all_y, 0.1)
    assert means.value == pytest.approx(rows.value, abs=1e-7)
    assert means.signal == pytest.approx(rows.signal, rel=1e-8)
    assert means.mean == pytest.approx(rows.mean, abs=1e-8)


def test_a_fit_to_replicates_finds_what_a_fit_to_all_rows_finds():
    rng = RNG(3)
    X, known, all_X, all_y = replicated(rng, n=40)
    probe = points_of(rng.normal(size=(10, 2)))
    # a linear transformation that is the same for both
    of_means, of_rows = (
        SparseGP(max_iter=200).fit(points_of(x), y, RNG(0))
        for x, y in ((X, known), (all_X, torch.from_numpy(all_y)))
    )
    for a, b in zip(of_means.predict(probe), of_rows.predict(probe), strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.01)
    assert of_means.noise_variance() == pytest.approx(0.09, rel=0.3)
    assert of_means.noise_variance() == pytest.approx(of_rows.noise_variance(), rel=0.05)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_corrections_and_later_replicates_count_with_their_number(seed):
    rng = RNG(seed)
    X, known, all_X, all_y = replicated(rng)
    probe = points_of(rng.normal(size=(5, 2)))
    gp = SparseGP(max_iter=5).fit(points_of(X), known, RNG(0))
    by_rows = gp.corrected(points_of(all_X), torch.from_numpy(all_y))
    for other in (gp.corrected(points_of(X), known), by_rows):
        later = other.condition_on(points_of(X[:1] + 1.0), known[:1])
        one_by_one = other.condition_on(
            points_of(np.repeat(X[:1] + 1.0, known.n[0], axis=0)), torch.full((int(known.n[0]),), known.y[0])
        )
        for a, b in zip(later.predict(probe), one_by_one.predict(probe), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(by_rows.predict(probe), gp.predict(probe), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- standard errors


@given(seeds, st.sampled_from(["rbf", "linear+rbf"]))
@settings(max_examples=10, deadline=None)
def test_the_gradient_of_the_bound_with_told_errors_is_that_of_finite_differences(seed, kernel):
    rng = RNG(seed)
    X, known, _, _ = replicated(rng)
    known.sd[:5] = rng.uniform(0.05, 0.5, 5)
    theta = np.log([0.7, 1.3, 1.1, *([0.2] if "linear" in kernel else []), 0.08])

    def bound(theta):
        return evidence(Hyperparameters.from_log(kernel, theta), X, X[:6], known, mean=0.1)

    steps = 1e-5 * np.eye(len(theta))
    slopes = [(bound(theta + step).value - bound(theta - step).value) / 2e-5 for step in steps]
    np.testing.assert_allclose(bound(theta).gradient, slopes, rtol=1e-4, atol=1e-4)


def test_the_gradient_for_structures_with_told_errors_is_that_of_finite_differences():
    X, known, _, _ = replicated(RNG(1))
    known.sd[:5] = 0.2
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(-1))
    found, slope = told_evidence(K, known, 0.1, 1.2)
    for i in range(2):
        up, down = (
            told_evidence(K, known, *np.exp(np.log([0.1, 1.2]) + s * 1e-5 * np.eye(2)[i])) for s in (1, -1)
        )
        assert slope[i] == pytest.approx((up[0].value - down[0].value) / 2e-5, rel=1e-4)
    known.sd[:] = np.nan
    plain = structure_evidence(K, known, 0.1)
    assert told_evidence(K, known, 0.1, plain.signal)[0].value == pytest.approx(plain.value)
    assert found.mean != plain.mean


def test_told_errors_are_those_of_gpytorch_with_fixed_noise():
    gpytorch = pytest.importorskip("gpytorch")
    rng = RNG(5)
    X, sd = rng.normal(size=(20, 2)), rng.uniform(0.02, 0.6, 20)
    y = np.sin(2 * X[:, 0]) + sd * rng.normal(size=20)
    gp = SparseGP(jitter=0.0).fit(points_of(X), observed(y, sd=sd), RNG(0))
    p, scale = gp.posterior_, gp.transform_.scale

    class Exact(gpytorch.models.ExactGP):
        def __init__(self):
            t = torch.from_numpy(gp.transform_.forward(y))
            noise = torch.from_numpy((sd / scale) ** 2)
            super().__init__(points_of(X), t, gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise))
            self.mean_module = gpytorch.means.ConstantMean()
            rbf = gpytorch.kernels.RBFKernel(ard_num_dims=2)
            self.covar_module = gpytorch.kernels.ScaleKernel(rbf)
            self.double()
            self.mean_module.constant = p.mean
            self.covar_module.base_kernel.lengthscale = p.lengthscale
            self.covar_module.outputscale = p.hyper.outputscale

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    probe = points_of(rng.normal(size=(8, 2)))
    with torch.no_grad():
        theirs = Exact().eval()(probe)
        mean, variance = gp.transform_.moments(theirs.mean, theirs.variance)
    mine = gp.predict(probe)
    torch.testing.assert_close(mine[0], mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mine[1], variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("surrogate", [SparseGP(), SparseGP(transform="robust"), structure()])
def test_without_error_a_process_interpolates_and_with_a_large_one_it_does_not(surrogate):
    X = words(25)
    y = letters(X)[:, 0] + RNG(0).normal(size=25)
    points = (
        X if surrogate.space == "features" else points_of(letters(X) + 0.01 * RNG(1).normal(size=(25, 3)))
    )
    rest = {}
    for sd in (1e-9, 3.0):
        gp = clone(surrogate).fit(points, observed(y, sd=sd), RNG(0))
        rest[sd] = float((gp.predict(points)[0] - torch.from_numpy(y)).abs().max())
        given = gp.condition_on(points[:1], observed([50.0], sd=1e-9))
        assert float(given.predict(points[:1])[0]) > 20.0
    if surrogate.space != "features":  # different words may have the same letters
        assert rest[1e-9] < 0.02
    assert rest[3.0] > 0.5


@given(seeds, st.floats(0.01, 100.0), st.sampled_from(NAMES))
@settings(max_examples=10, deadline=None)
def test_units_do_not_matter(seed, unit, transform):
    """The same lab in other units: predictions follow, whatever the transformation."""
    rng = RNG(seed)
    X, known, _, _ = replicated(rng, n=20)
    known.sd[:5], known.bound[5:8], known.bound[8:10] = 0.2, 1, -1
    other = replace(known, y=3.0 + unit * known.y, sd=unit * known.sd, squares=unit**2 * known.squares)
    probe = points_of(rng.normal(size=(5, 2)))
    one, two = (
        SparseGP(transform=transform, max_iter=3, warm_iter=1).fit(points_of(X), k, RNG(0))
        for k in (known, other)
    )
    torch.testing.assert_close(
        two.predict(probe)[0], 3.0 + unit * one.predict(probe)[0], rtol=1e-4, atol=1e-4 * unit
    )
    torch.testing.assert_close(two.predict(probe)[1], unit**2 * one.predict(probe)[1], rtol=1e-3, atol=1e-6)


def test_a_measurement_is_as_noisy_as_those_before_where_their_errors_were_told():
    rng = RNG(0)
    X = rng.normal(size=(30, 2))
    y = np.sin(X[:, 0]) + 0.2 * rng.normal(size=30)
    gp = SparseGP().fit(points_of(X), observed(y, sd=0.2), RNG(0))
    assert gp.noise_variance() == pytest.approx(0.04)
    assert SparseGP().fit(points_of(X), observed(y, sd=0.02), RNG(0)).noise_variance() == pytest.approx(4e-4)
    molecules = structure().fit(words(30), observed(y, sd=0.2), RNG(0))
    assert molecules.noise_variance() == pytest.approx(
        0.04 * molecules.posterior_.signal / _signal(molecules), rel=0.2
    )


def _signal(gp):
    """The most probable signal, of which predictions take the expected one."""
    n = len(gp.posterior_.t)
    return gp.posterior_.signal * (0.5 * (n - 1)) / (0.5 * n + 2.0)


@given(seeds, st.permutations(range(6)))
@settings(max_examples=10, deadline=None)
def test_told_errors_may_come_in_any_order(seed, order):
    rng = RNG(seed)
    Z, X = points_of(rng.normal(size=(26, 2))), words(26, seed)
    known = observed(rng.normal(size=26), sd=rng.uniform(0.1, 1.0, 26))
    known.sd[::3] = np.nan
    for surrogate, points in ((SparseGP(max_iter=5), Z), (structure(), X)):
        gp = clone(surrogate).fit(points[:20], known[:20], RNG(0))
        at_once, one_by_one = gp.condition_on(points[20:], known[20:]), gp
        for i in order:
            one_by_one = one_by_one.condition_on(points[20 + i : 21 + i], known[20 + i : 21 + i])
        for a, b in zip(at_once.predict(points), one_by_one.predict(points), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
        for a, b in zip(
            at_once.predict(points), at_once.corrected(points, known).predict(points), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- limits


def moments_by_integration(mean, variance, limit, side, noise):
    """Moments of f ~ N(mean, variance) given one reading beyond its limit, on a grid."""
    f = mean + np.sqrt(variance) * np.linspace(-12, 12, 40_001)
    density = norm.pdf(f, mean, np.sqrt(variance)) * norm.cdf(side * (f - limit) / np.sqrt(noise))
    density /= density.sum()
    center = float(density @ f)
    return center, float(density @ (f - center) ** 2)


@given(st.floats(-4, 4), st.floats(0.1, 3), st.sampled_from([1, -1]), st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_the_site_of_one_limit_gives_the_moments_of_numerical_integration(mean, deviation, side, noise):
    mean, side = mean * deviation, np.array([side], dtype=np.int8)
    y, variance = censored_sites(
        np.array([mean]), np.array([[deviation]]), np.zeros(1), side, np.array([noise])
    )
    precision = 1 / deviation**2 + 1 / variance[0]
    found = (mean / deviation**2 + y[0] / variance[0]) / precision, 1 / precision
    expected = moments_by_integration(mean, deviation**2, 0.0, int(side[0]), noise)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)


def test_limits_that_hang_together_have_nearly_the_moments_of_numerical_integration():
    """Expectation propagation is not exact for several, but close."""
    C = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
    m, limit, side = (
        np.array([0.0, -0.5, 0.5]),
        np.array([0.5, 0.0, 0.2]),
        np.array([1, 1, -1], dtype=np.int8),
    )
    noise = np.array([0.1, 0.1, 0.1])
    y, variance = censored_sites(m, np.linalg.cholesky(C).T, limit, side, noise)
    S = np.linalg.inv(np.linalg.inv(C) + np.diag(1 / variance))
    mean = S @ (np.linalg.solve(C, m) + y / variance)
    axis = np.linspace(-5, 5, 121)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    log_prior = -0.5 * np.einsum("ni,ij,nj->n", grid - m, np.linalg.inv(C), grid - m)
    weight = np.exp(log_prior + norm.logcdf(side * (grid - limit) / np.sqrt(noise)).sum(1))
    weight /= weight.sum()
    expected = weight @ grid
    np.testing.assert_allclose(mean, expected, atol=0.01)
    np.testing.assert_allclose(np.diag(S), weight @ (grid - expected) ** 2, rtol=0.05)


@given(seeds, st.permutations(range(8)))
@settings(max_examples=20, deadline=None)
def test_sites_do_not_depend_on_the_order_nor_on_how_the_covariance_is_factorised(seed, order):
    rng = RNG(seed)
    G, m, limit = rng.normal(size=(12, 8)), rng.normal(size=8), rng.normal(size=8)
    side, noise = rng.choice([-1, 1], 8).astype(np.int8), rng.uniform(0.05, 1, 8)
    y, variance = censored_sites(m, G, limit, side, noise)
    order = list(order)
    for other in (G[:, order], np.linalg.cholesky(G.T @ G + 1e-12 * np.eye(8)).T[:, order]):
        again = censored_sites(m[order], other, limit[order], side[order], noise[order])
        np.testing.assert_allclose(again[1], variance[order], rtol=1e-4)
        np.testing.assert_allclose(again[0], y[order], rtol=1e-4, atol=1e-4)
    assert (variance >= noise - 1e-12).all()


@pytest.mark.parametrize("far", [40.0, 1e4, 1e8])
def test_limits_far_off_on_either_side_stay_finite(far):
    """What is known to hold says nothing; what is contradicted is a measurement at the limit."""
    one = np.ones(1)
    y, variance = censored_sites(far * one, one[None], 0 * one, one.astype(np.int8), 0.5 * one)
    assert np.isfinite(y[0])
    assert variance[0] > 1e6
    y, variance = censored_sites(-far * one, one[None], 0 * one, one.astype(np.int8), 0.5 * one)
    assert y[0] == pytest.approx(0.0, abs=1.0 / far * 4)
    assert variance[0] == pytest.approx(0.5, rel=0.01)


def truncated(seed=0, n=40, limit=0.5):
    """A line through points, measured with noise, of which what is above the limit is cut."""
    rng = RNG(seed)
    x = np.linspace(-2, 2, n)
    truth = x + 0.3 * np.sin(3 * x)
    y = truth + 0.1 * rng.normal(size=n)
    return x[:, None], truth, observed(np.minimum(y, limit), bound=np.where(y > limit, 1, 0))


@pytest.mark.parametrize("transform", ["standardize", "robust"])
def test_limits_do_not_pull_down_what_lies_above(transform):
    Z, truth, known = truncated()
    above = truth > 0.6
    gp = SparseGP(transform=transform).fit(points_of(Z), known, RNG(0))
    naive = SparseGP(transform=transform).fit(points_of(Z), torch.from_numpy(known.y), RNG(0))
    error = {g: np.abs(g.predict(points_of(Z))[0].numpy() - truth)[above].mean() for g in (gp, naive)}
    assert error[gp] < 0.6 * error[naive]
    below = truth < 0.3
    assert np.abs(gp.predict(points_of(Z))[0].numpy() - truth)[below].max() < 0.2
    deviation = gp.predict(points_of(Z))[1].sqrt().numpy()
    assert deviation[above].min() > deviation[below].max()


def test_the_posterior_with_limits_has_nearly_the_moments_of_the_true_one():
    """Against a plain importance sampler: draws of f given the values, weighed by the limits' likelihood.

    Six limits in a row are a hard case: expectation propagation converges to deviations up to 15 % too small.
    """
    Z, _, known = truncated(n=14)
    gp = SparseGP(max_iter=20).fit(points_of(Z), known, RNG(0))
    hyper, p = gp.posterior_.hyper, gp.posterior_
    X = ((Z - p.center.numpy()) / p.lengthscale.numpy()) * hyper.lengthscale
    t, rows = gp.transform_.carry(known), known.censored
    K = covariance(hyper, X, X)
    inverse = np.linalg.inv(K[np.ix_(~rows, ~rows)] + hyper.noise * np.eye((~rows).sum()))
    toward = K[:, ~rows] @ inverse
    mean = p.mean + toward @ (t.y[~rows] - p.mean)
    root = np.linalg.cholesky(K - toward @ K[~rows] + 1e-9 * np.eye(len(K)))
    f = mean[:, None] + root @ RNG(0).normal(size=(len(K), 200_000))
    weight = np.exp(norm.logcdf((f[rows] - t.y[rows][:, None]) / np.sqrt(hyper.noise)).sum(0))
    weight /= weight.sum()
    assert 1 / (weight**2).sum() > 2000  # draws that count
    expected = f @ weight
    spread = np.sqrt((f - expected[:, None]) ** 2 @ weight)
    mine = p.predict(points_of(Z))
    np.testing.assert_allclose(mine[0].numpy(), expected, atol=0.05 * spread.max() + 0.01)
    np.testing.assert_allclose(mine[1].sqrt().numpy(), spread, rtol=0.2, atol=0.005)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_above_is_below_with_the_sign_turned(seed):
    rng = RNG(seed)
    Z, X = points_of(rng.normal(size=(20, 2))), words(20, seed)
    known = observed(rng.normal(size=20), bound=rng.choice([0, 0, 1, -1], 20))
    for surrogate, points in ((SparseGP(max_iter=5), Z), (structure(), X)):
        one, two = (
            clone(surrogate).fit(points, k, RNG(0)).predict(points) for k in (known, known.flipped(-1.0))
        )
        torch.testing.assert_close(one[0], -two[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one[1], two[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("surrogate", [SparseGP(max_iter=10), structure()])
@pytest.mark.parametrize("side", [1, -1])
def test_a_limit_that_is_told_moves_the_mean_to_its_side_only(surrogate, side):
    X = words(30)
    points = (
        X if surrogate.space == "features" else points_of(letters(X) + 0.01 * RNG(1).normal(size=(30, 3)))
    )
    gp = clone(surrogate).fit(
        points[:25], torch.from_numpy(letters(X[:25])[:, 0] + 0.2 * RNG(0).normal(size=25)), RNG(0)
    )
    mean, variance = (float(v[0]) for v in gp.predict(points[25:26]))
    for distance, moves in ((-30.0, False), (2.0, True)):
        limit = observed([mean + distance * side * np.sqrt(variance)], bound=side)
        now = float(gp.condition_on(points[25:26], limit).predict(points[25:26])[0])
        assert (
            side * (now - mean) > 0.5 * np.sqrt(variance) if moves else now == pytest.approx(mean, abs=1e-6)
        )


@pytest.mark.parametrize("surrogate", [SparseGP(), structure()])
def test_nothing_but_limits_can_be_fitted(surrogate):
    X = words(12)
    points = X if surrogate.space == "features" else points_of(letters(X))
    gp = clone(surrogate).fit(points, observed(np.full(12, 10.0), bound=1), RNG(0))
    mean, variance = gp.predict(points)
    assert bool((mean > 10.0).all())
    assert bool(torch.isfinite(variance).all())


def test_a_limit_below_the_fence_is_a_value_on_it():
    transform = make_transform("winsorize", np.array([*np.linspace(0, 1, 20), -100.0]))
    t = transform.carry(observed([-50.0, -50.0, 0.5], bound=[-1, 1, -1]))
    assert t.bound.tolist() == [0, 1, -1]
    assert t.y[0] == t.y[1] == transform.forward(np.array([-1000.0]))[0]


# ---------------------------------------------------------------- the choice among processes, and refits


def test_the_choice_takes_observations_and_scores_what_is_measured():
    rng = RNG(0)
    Z, F = points_of(rng.normal(size=(60, 2))), points_of(rng.normal(size=(60, 3)))
    y = F.sum(1).numpy() + 0.1 * rng.normal(size=60)
    known = observed(
        np.minimum(y, 1.5), bound=np.where(y > 1.5, 1, 0), n=rng.integers(1, 4, 60), squares=np.nan
    )
    points = Points(Z, F)
    auto = AutoSurrogate().fit(points[:50], known[:50], RNG(0))
    assert auto.chosen_ != "latent"
    scored = auto.scored(points[50:], known[50:])
    assert len(scored.told_) == int((known.bound[50:] == 0).sum())
    assert (
        scored.scores_["latent"] - auto.scores_["latent"]
        < scored.scores_["features"] - auto.scores_["features"]
    )
    told = scored.condition_on(points[50:], known[50:])
    torch.testing.assert_close(
        told.predict(points)[0], told.corrected(points, known).predict(points)[0], rtol=0.05, atol=0.05
    )
    nothing = auto.scored(points[50:51], observed([100.0], bound=-1))
    fade = 0.5 ** (1 / 50)
    assert nothing.scores_["latent"] == pytest.approx(fade * auto.scores_["latent"], abs=1e-3)
    assert len(nothing.told_) == 0


def test_errors_are_judged_by_the_noise_of_each_value():
    rng = RNG(0)
    X = rng.normal(size=(80, 2))
    sd = np.where(np.arange(80) % 2, 0.05, 1.0)
    y = np.sin(X[:, 0]) + sd * rng.normal(size=80)
    known, Z = observed(y, sd=sd), points_of(X)
    gp = SparseGP().fit(Z[:40], known[:40], RNG(0))
    errors = standardized_errors(gp, Z[40:], known[40:])
    assert 0.7 < errors.std() < 1.4
    blind = standardized_errors(gp, Z[40:], torch.from_numpy(y[40:]))
    assert abs(np.log(blind.std())) > 0.2 or np.abs(blind).max() > np.abs(errors).max()
    limits = replace(known[40:], bound=np.ones(40, dtype=np.int8))
    assert len(standardized_errors(gp, Z[40:], limits)) == 0


def test_features_take_observations_too():
    X = words(20)
    known = observed(letters(X)[:, 0] * 1.0, sd=0.1)
    gp = FeatureGP(letters, SparseGP(max_iter=5)).fit(X, known, RNG(0))
    own = SparseGP(max_iter=5).fit(points_of(letters(X)), known, RNG(0))
    assert torch.equal(gp.predict(X)[0], own.predict(points_of(letters(X)))[0])
    assert isinstance(gp, TakesObservations)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": np.array([1, 0])}, "n of the observations: got the impossible 0"),
        ({"sd": np.array([0.0, np.nan])}, r"sd of the observations: got the impossible 0\.0"),
        ({"sd": np.array([np.inf, 1.0])}, "sd of the observations: got the impossible inf"),
        ({"bound": np.array([0, 2], dtype=np.int8)}, "bound of the observations: got the impossible 2"),
        ({"squares": np.array([0.0, -1.0])}, "squares of the observations"),
        ({"sd": np.ones(3)}, r"sd of the observations: expected shape \(2,\), got \(3,\)"),
        ({"y": np.array([0.0, np.nan])}, "y: expected finite values"),
    ],
)
def test_impossible_observations_are_refused(change, message):
    known = replace(Observations.exact(np.zeros(2)), **change)
    with pytest.raises(DataError, match=message):
        SparseGP().fit(points_of(np.eye(2)), known, RNG(0))
