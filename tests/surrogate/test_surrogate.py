"""SparseGP: the mathematics first, then equivalences, invariances, hard data and misuse."""

import copy
import logging
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from wrlso._state.codec import dump, load
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterError, ParameterTypeError
from wrlso.surrogate import FeatureGP, SparseGP, Surrogate, select_subset
from wrlso.surrogate.collapsed_bound import evidence
from wrlso.surrogate.inducing import inducing_points
from wrlso.surrogate.kernels import KERNELS, Hyperparameters, correlation
from wrlso.surrogate.linear_algebra import safe_cholesky
from wrlso.surrogate.transforms import TRANSFORMS, make_transform


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def problem(n=60, d=3, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    y = np.sin(Z[:, 0]) + 0.5 * Z[:, -1] + noise * rng.normal(size=n)
    return Z, y


def fitted(Z, y, **parameters):
    return SparseGP(**({"max_iter": 15} | parameters)).fit(tensor(Z), tensor(y), np.random.default_rng(1))


def dense_kernel(hyper, X, U):
    """Of standardised points."""
    kappa = correlation(X / hyper.lengthscale, U / hyper.lengthscale, hyper.shape)[0]
    return hyper.outputscale * kappa + hyper.linear * (X @ U.T) / X.shape[1]


def hyperparameters(kernel, lengthscale, outputscale, noise):
    return Hyperparameters(kernel, lengthscale, outputscale, noise, 0.7 if "linear" in kernel else 0.0)


def exact_gp(gp, Z, y, Zt):
    """Textbook GP regression at the hyperparameters and mean of ``gp``: mean and covariance at Zt."""
    hyper, posterior = gp.hyperparameters_, gp.posterior_
    scale = posterior.lengthscale.numpy() / hyper.lengthscale
    X, Xt = (Z - posterior.center.numpy()) / scale, (Zt - posterior.center.numpy()) / scale
    t = gp.transform_.forward(y) - posterior.mean
    K = dense_kernel(hyper, X, X) + hyper.noise * np.eye(len(X))
    k = dense_kernel(hyper, X, Xt)
    mean = posterior.mean + k.T @ np.linalg.solve(K, t)
    covariance = dense_kernel(hyper, Xt, Xt) - k.T @ np.linalg.solve(K, k)
    a, b = gp.transform_.center, gp.transform_.scale
    return a + b * mean, b * b * covariance


# ------------------------------------------------------------------ the bound


@pytest.mark.parametrize("kernel", ["rbf", "matern52"])
def test_kernel_has_its_closed_form(kernel):
    X, U = np.random.default_rng(0).normal(size=(2, 7, 3))
    r = np.linalg.norm(X[:, None] - U[None], axis=2)
    expected = {
        "rbf": np.exp(-0.5 * r**2),
        "matern52": (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r),
    }[kernel]
    np.testing.assert_allclose(correlation(X, U, kernel)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 4, 20])
def test_bound_is_exact_when_inducing_points_are_the_data(kernel, d):
    X, y = problem(40, d)
    hyper = hyperparameters(kernel, np.linspace(0.5, 2.0, d), 1.7, 0.2)
    exact = multivariate_normal(np.full(40, 0.3), dense_kernel(hyper, X, X) + 0.2 * np.eye(40)).logpdf(y)
    assert evidence(hyper, X, X, y, mean=0.3, jitter=1e-12).value == pytest.approx(exact, rel=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 30),
    d=st.integers(1, 6),
    log_noise=st.floats(-6.0, 1.0),
    kernel=st.sampled_from(KERNELS),
)
def test_bound_never_exceeds_the_exact_log_marginal_likelihood(seed, m, d, log_noise, kernel):
    rng = np.random.default_rng(seed)
    X, U, y = rng.normal(size=(30, d)), 2 * rng.normal(size=(m, d)), rng.normal(size=30)
    hyper = hyperparameters(kernel, rng.uniform(0.3, 3.0, d), 1.3, float(np.exp(log_noise)))
    exact = multivariate_normal(
        np.zeros(30), dense_kernel(hyper, X, X) + hyper.noise * np.eye(30), allow_singular=True
    ).logpdf(y)
    assert evidence(hyper, X, U, y, mean=0.0).value <= exact + 1e-6 * abs(exact)


def test_more_inducing_points_never_lower_the_bound():
    X, y = problem(80, 2)
    hyper = Hyperparameters("matern52", np.ones(2), 1.0, 0.1)
    bounds = [evidence(hyper, X, X[:m], y, mean=0.0).value for m in (5, 10, 20, 40, 80)]
    assert bounds == sorted(bounds)
    assert bounds[-1] > bounds[0] + 1.0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mean", [None, 0.3])
def test_gradient_of_the_bound_agrees_with_finite_differences(kernel, mean):
    X, y = problem(50, 3)
    U = X[:12] + 0.1
    theta = hyperparameters(kernel, np.array([0.9, 1.3, 2.0]), 1.5, 0.1).to_log()

    def value(t):
        return evidence(Hyperparameters.from_log(kernel, t), X, U, y, mean=mean).value

    numeric = [(value(theta + step) - value(theta - step)) / 2e-5 for step in 1e-5 * np.eye(len(theta))]
    found = evidence(Hyperparameters.from_log(kernel, theta), X, U, y, mean=mean).gradient
    np.testing.assert_allclose(found, numeric, rtol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_slope_in_the_inducing_points_agrees_with_finite_differences(kernel):
    X, y = problem(50, 3)
    U = X[:12] + 0.1
    hyper = hyperparameters(kernel, np.array([0.9, 1.3, 2.0]), 1.5, 0.1)

    def value(step):
        return evidence(hyper, X, U + step.reshape(U.shape), y).value

    numeric = [(value(step) - value(-step)) / 2e-5 for step in 1e-5 * np.eye(U.size)]
    found = evidence(hyper, X, U, y, slope=True).slope
    np.testing.assert_allclose(found.ravel(), numeric, rtol=1e-5, atol=1e-6)
    assert evidence(hyper, X, U, y).slope.size == 0


def test_mean_of_the_bound_is_its_maximiser():
    X, y = problem(50, 3)
    hyper = Hyperparameters("rbf", np.ones(3), 1.0, 0.1)
    best = evidence(hyper, X, X[:10], y + 5.0)
    for shift in (-0.01, 0.01):
        assert evidence(hyper, X, X[:10], y + 5.0, mean=best.mean + shift).value < best.value


def test_cholesky_takes_no_more_jitter_than_it_needs():
    good = np.eye(3) + 0.1
    factor, used = safe_cholesky(good, 1.0, 0.0)
    assert used == 0.0
    np.testing.assert_allclose(factor @ factor.T, good)
    singular = np.ones((20, 20)) - 1e-9 * np.eye(20)
    factor, used = safe_cholesky(singular, 1.0, 0.0)
    assert 1e-9 < used <= 1e-7
    with pytest.raises(DataError, match="positive definite"):
        safe_cholesky(-np.eye(3), 1.0, 0.0)


# ------------------------------------------------------------------ the posterior


@pytest.mark.parametrize("kernel", KERNELS)
def test_posterior_is_exact_gp_when_data_are_few(kernel):
    Z, y = problem(40)
    Zt = np.random.default_rng(3).normal(size=(10, 3))
    gp = fitted(Z, y, kernel=kernel, jitter=1e-12)
    mean, variance = gp.predict(tensor(Zt))
    exact_mean, exact_covariance = exact_gp(gp, Z, y, Zt)
    np.testing.assert_allclose(mean, exact_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, np.diag(exact_covariance), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_posterior_of_a_gp_with_few_inducing_points_is_that_of_titsias(kernel):
    Z, y = problem(200)
    gp = fitted(Z, y, n_inducing=15, kernel=kernel)
    posterior, hyper = gp.posterior_, gp.hyperparameters_
    scale = posterior.lengthscale.numpy()
    X, Xt = ((points - posterior.center.numpy()) / scale for points in (Z, Z[:7] + 0.3))
    U = posterior.U.numpy()

    def k(A, B):
        return dense_kernel(hyper, A * hyper.lengthscale, B * hyper.lengthscale)

    Kuu = k(U, U) + gp.jitter * hyper.scale * np.eye(15)
    Sigma = np.linalg.inv(Kuu + k(U, X) @ k(X, U) / hyper.noise)
    t = gp.transform_.forward(y) - posterior.mean
    mean = posterior.mean + k(Xt, U) @ Sigma @ k(U, X) @ t / hyper.noise
    covariance = k(Xt, Xt) - k(Xt, U) @ (np.linalg.inv(Kuu) - Sigma) @ k(U, Xt)
    got_mean, got_covariance = posterior.covariance(tensor(Z[:7] + 0.3))
    np.testing.assert_allclose(got_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(got_covariance, covariance, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_conditioning_200_times_equals_conditioning_the_process_at_once(kernel):
    Z, y = problem(300, 4)
    new_Z, new_y = problem(200, 4, seed=5)
    Zt = np.random.default_rng(3).normal(size=(20, 4))
    gp = fitted(Z, y, n_inducing=30, n_hyper=None, kernel=kernel)
    gp.set_params(n_inducing=300)  # no limit to the growth
    before = [part.clone() for part in gp.predict(tensor(Zt))]
    sequential = gp
    for z, value in zip(new_Z, new_y, strict=True):
        sequential = sequential.condition_on(tensor(z[None]), tensor([value]))
    mean, covariance = (
        part.numpy() for part in gp.posterior_.covariance(tensor(np.concatenate([Zt, new_Z])))
    )
    noisy = covariance[20:, 20:] + gp.hyperparameters_.noise * np.eye(200)
    gain = np.linalg.solve(noisy, covariance[20:]).T
    t = gp.transform_.forward(new_y)
    expected = (mean + gain @ (t - mean[20:]))[:20]
    variance = np.diag(covariance - gain @ covariance[20:])[:20]
    got_mean, got_variance = sequential.posterior_.predict(tensor(Zt))
    np.testing.assert_allclose(got_mean, expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got_variance, variance, rtol=1e-8, atol=1e-8)
    for part, old in zip(gp.predict(tensor(Zt)), before, strict=True):
        assert torch.equal(part, old)


@pytest.mark.parametrize("kernel", KERNELS)
def test_conditioning_with_fixed_inducing_points_equals_recomputation(kernel):
    Z, y = problem(300, 4)
    new_Z, new_y = problem(200, 4, seed=5)
    Zt = tensor(np.random.default_rng(3).normal(size=(20, 4)))
    gp = fitted(Z, y, n_inducing=30, n_hyper=None, grow_inducing=False, kernel=kernel)
    sequential = gp
    for z, value in zip(new_Z, new_y, strict=True):
        sequential = sequential.condition_on(tensor(z[None]), tensor([value]))
    posterior, hyper = gp.posterior_, gp.hyperparameters_
    scale = posterior.lengthscale.numpy()
    X = (np.concatenate([Z, new_Z]) - posterior.center.numpy()) / scale
    t = gp.transform_.forward(np.concatenate([y, new_y])) - posterior.mean
    standardised = [points * hyper.lengthscale for points in (posterior.U.numpy(), X)]
    A = np.linalg.solve(posterior.L.numpy(), dense_kernel(hyper, *standardised))
    B = np.eye(30) + A @ A.T / hyper.noise
    x, a, _ = posterior.features(Zt)
    x = x.numpy() * hyper.lengthscale
    mean = posterior.mean + a.numpy().T @ np.linalg.solve(B, A @ t) / hyper.noise
    variance = np.diag(dense_kernel(hyper, x, x) - a.numpy().T @ (np.eye(30) - np.linalg.inv(B)) @ a.numpy())
    got_mean, got_variance = sequential.posterior_.predict(Zt)
    np.testing.assert_allclose(got_mean, mean, rtol=1e-8)
    np.testing.assert_allclose(got_variance, variance, rtol=1e-8)


def test_conditioning_an_exact_gp_gives_the_exact_gp_of_all_data():
    Z, y = problem(40)
    new_Z, new_y = problem(20, seed=7)
    new_Z *= 3.0  # far from the old points as well
    Zt = np.random.default_rng(3).normal(size=(10, 3))
    gp = fitted(Z, y, jitter=1e-12)
    mean, variance = gp.condition_on(tensor(new_Z), tensor(new_y)).predict(tensor(Zt))
    exact_mean, exact_covariance = exact_gp(gp, np.concatenate([Z, new_Z]), np.concatenate([y, new_y]), Zt)
    np.testing.assert_allclose(mean, exact_mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance, np.diag(exact_covariance), rtol=1e-4, atol=1e-6)


def test_growth_of_the_inducing_points_is_bounded():
    Z, y = problem(100, 10)
    new_Z, new_y = problem(50, 10, seed=5)
    gp = fitted(Z, y, n_inducing=20, max_iter=3).condition_on(tensor(new_Z), tensor(new_y))
    assert len(gp.posterior_.U) == 40


def test_conditioning_far_from_all_data_lowers_the_variance_there():
    Z, y = problem(300)
    gp = fitted(Z, y, n_inducing=20)
    far = tensor([[8.0, -8.0, 8.0]])
    before = float(gp.predict(far)[1])
    mean, after = gp.condition_on(far, tensor([5.0])).predict(far)
    noise = gp.hyperparameters_.noise * gp.transform_.scale**2
    assert float(after) < min(0.5 * before, 1.01 * noise)
    assert float(mean) == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("transform", list(TRANSFORMS))
def test_predictions_have_correct_gradients(kernel, transform):
    Z, y = problem(60)
    gp = fitted(Z, y, kernel=kernel, transform=transform, n_inducing=20)
    Zt = tensor(np.random.default_rng(3).normal(size=(4, 3))).requires_grad_(True)
    assert torch.autograd.gradcheck(gp.predict, (Zt,), eps=1e-6, atol=1e-4)


def test_gradient_at_a_data_point_is_finite():
    Z, y = problem(20)
    gp = fitted(Z, y, kernel="matern52")
    Zt = tensor(Z).requires_grad_(True)
    mean, variance = gp.predict(Zt)
    (mean.sum() + variance.sum()).backward()
    assert torch.isfinite(Zt.grad).all()


def test_samples_have_the_moments_of_predictions():
    Z, y = problem(60)
    gp = fitted(Z, y)
    Zt = tensor(np.random.default_rng(3).normal(size=(5, 3)))
    draws = gp.sample(Zt, 20_000, torch.Generator().manual_seed(0))
    mean, variance = gp.predict(Zt)
    assert draws.shape == (20_000, 5)
    error = (draws.mean(0) - mean) / variance.sqrt()
    np.testing.assert_allclose(error, 0.0, atol=0.03)
    np.testing.assert_allclose(draws.var(0), variance, rtol=0.06)
    _, covariance = gp.posterior_.covariance(Zt)
    expected = covariance * gp.transform_.scale**2
    np.testing.assert_allclose(torch.cov(draws.T), expected, atol=0.05 * float(variance.max()))


def test_samples_depend_on_the_generator_only():
    gp = fitted(*problem(30))
    Zt = torch.zeros(3, 3, dtype=torch.float64)
    first, second = (gp.sample(Zt, 2, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)


# ------------------------------------------------------------------ invariances


@pytest.mark.parametrize("transform", list(TRANSFORMS))
def test_units_of_y_do_not_matter(transform):
    Z, y = problem(50)
    Zt = tensor(np.random.default_rng(3).normal(size=(6, 3)))
    mean, variance = fitted(Z, y, transform=transform).predict(Zt)
    scaled_mean, scaled_variance = fitted(Z, 1e3 * y - 7e3, transform=transform).predict(Zt)
    np.testing.assert_allclose(scaled_mean, 1e3 * mean - 7e3, rtol=1e-3, atol=1.0)
    np.testing.assert_allclose(scaled_variance, 1e6 * variance, rtol=1e-2)


def test_units_and_origin_of_z_do_not_matter():
    Z, y = problem(50)
    Zt = np.random.default_rng(3).normal(size=(6, 3))
    mean, variance = fitted(Z, y).predict(tensor(Zt))
    moved_mean, moved_variance = fitted(100 * Z + 3, y).predict(tensor(100 * Zt + 3))
    np.testing.assert_allclose(moved_mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moved_variance, variance, rtol=1e-2)


def test_order_of_the_data_does_not_matter_when_they_are_few():
    Z, y = problem(50)
    order = np.random.default_rng(4).permutation(50)
    mean, variance = fitted(Z, y).predict(tensor(Z))
    other_mean, other_variance = fitted(Z[order], y[order]).predict(tensor(Z))
    np.testing.assert_allclose(other_mean, mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(other_variance, variance, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    y=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    new=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=10),
    name=st.sampled_from(list(TRANSFORMS)),
)
@example([0.0, 1.1125369292536007e-308], [-2.0, 1.0, 2.0], "standardize")
@example([0.0, 1.1125369292536007e-308], [-2.0, 1.0, 2.0], "winsorize")
@example([0.0, 1.1125369292536007e-308], [-2.0, 1.0, 2.0], "floor")
def test_transforms_are_monotone_and_finite(y, new, name):
    transform = make_transform(name, np.array(y))
    t = transform.forward(np.sort(new))
    assert np.isfinite(t).all()
    assert (np.diff(t) >= -1e-9 * np.abs(t).max()).all()
    assert torch.isfinite(transform.inverse(tensor(t))).all()


def test_standardizing_can_be_undone():
    y = np.random.default_rng(0).normal(size=40) ** 3
    transform = make_transform("standardize", y)
    wide = np.concatenate([y, [y.min() - 2.0, y.max() + 3.0]])
    np.testing.assert_allclose(
        transform.inverse(tensor(transform.forward(wide))), wide, rtol=1e-9, atol=1e-12
    )


def test_winsorizing_clips_low_outliers_only():
    y = np.concatenate([np.random.default_rng(0).normal(size=100), [-1e4, 50.0]])
    transform = make_transform("winsorize", y)
    q25, q75 = np.quantile(y, [0.25, 0.75])
    assert transform.lower == pytest.approx(q25 - 1.5 * (q75 - q25))
    assert transform.forward(np.array([-1e4])) == transform.forward(np.array([transform.lower]))
    assert transform.forward(np.array([50.0])) > transform.forward(np.array([40.0]))


def test_the_floor_lies_twice_as_far_below_the_median_as_the_best_lies_above():
    y = np.concatenate([np.linspace(0.0, 0.5, 40), np.linspace(0.7, 0.8, 60)])
    transform = make_transform("floor", y)
    median = np.median(y)
    assert transform.lower == pytest.approx(median - 2 * (y.max() - median))
    assert 0.5 < transform.lower < 0.7
    assert transform.forward(np.array([0.0])) == transform.forward(np.array([0.5]))
    assert make_transform("floor", np.array([1.0, 3.0, 3.0])).lower == -np.inf
    bell = np.random.default_rng(0).normal(size=200)
    np.testing.assert_array_equal(
        make_transform("floor", bell).forward(bell), make_transform("standardize", bell).forward(bell)
    )


# ------------------------------------------------------------------ quality


def test_held_out_score_is_the_log_density_of_the_predictive_distribution():
    Z, y = problem(80)
    Zt, yt = problem(30, seed=9)
    gp = fitted(Z, y)
    mean, variance = gp.predict(tensor(Zt))
    deviation = np.sqrt(variance.numpy() + gp.hyperparameters_.noise * gp.transform_.scale**2)
    assert gp.score(tensor(Zt), tensor(yt)) == pytest.approx(norm(mean.numpy(), deviation).logpdf(yt).mean())


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_slope_of_a_transform_is_its_derivative(name):
    y = np.random.default_rng(0).normal(size=40) ** 3
    transform = make_transform(name, y)
    between = np.sort(y)[1:] * 0.7 + np.sort(y)[:-1] * 0.3
    points = np.concatenate([between, [y.max() + 1.0]])
    points = points[points > getattr(transform, "lower", -np.inf)]
    slope = (transform.forward(points + 1e-7) - transform.forward(points - 1e-7)) / 2e-7
    np.testing.assert_allclose(np.exp(transform.log_slope(points)), slope, rtol=1e-4)


def test_predictions_are_calibrated_on_data_from_the_model():
    Z, y = problem(600, 2, noise=0.5)
    Zt, yt = problem(1000, 2, seed=9, noise=0.5)
    gp = fitted(Z, y, n_inducing=60)
    np.testing.assert_allclose(gp.calibration(tensor(Zt), tensor(yt)), [0.5, 0.8, 0.9, 0.95], atol=0.05)


def test_relevant_dimensions_get_the_shortest_lengthscales():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(300, 10))
    gp = fitted(Z, np.sin(2 * Z[:, 4]), max_iter=50, n_inducing=100)
    assert gp.hyperparameters_.lengthscale.argmin() == 4


def test_a_second_fit_starts_where_the_first_one_ended():
    Z, y = problem(200)
    gp = SparseGP(n_inducing=40).fit(tensor(Z), tensor(y), np.random.default_rng(1))
    cold, bound = gp.n_iter_, gp.bound_
    gp.fit(tensor(Z), tensor(y), np.random.default_rng(1))
    assert gp.n_iter_ < cold / 2
    assert gp.bound_ > bound - 1.0


def test_subset_holds_the_best_and_random_others():
    Z, y = problem(500)
    y[::50] += 100.0
    gp = fitted(Z, y, n_best=10, n_random=20, n_inducing=100)
    assert len(gp.posterior_.U) == 30
    inducing = (gp.posterior_.U * gp.posterior_.lengthscale + gp.posterior_.center).numpy()
    for z in Z[::50]:
        assert np.abs(inducing - z).max(axis=1).min() < 1e-9


@given(
    st.integers(1, 60), st.integers(0, 12), st.integers(0, 12), st.integers(0, 40), st.integers(0, 2**32 - 1)
)
def test_subset_holds_the_latest_then_the_best_then_random_others(n, n_best, n_random, n_latest, seed):
    rng = np.random.default_rng(seed)
    y, size = rng.permutation(n).astype(float), n_best + n_random
    chosen = select_subset(y, n_best, n_random, rng, n_latest=n_latest)
    assert len(chosen) == min(n, size)
    assert (np.diff(chosen) > 0).all()
    if n <= size:
        return
    n_latest = min(n_latest, size // 2)
    assert set(range(n - n_latest, n)) <= set(chosen.tolist())
    earlier = np.sort(y[: n - n_latest])[::-1]
    kept = n_best * (size - n_latest) // max(size, 1)  # in the proportion of both numbers
    assert set(earlier[:kept]) <= set(y[chosen])


def test_subset_draws_the_others_evenly():
    y, rng = np.arange(40.0), np.random.default_rng(0)
    counts = sum(np.bincount(select_subset(y, 5, 10, rng, n_latest=3), minlength=40) for _ in range(2000))
    assert (counts[33:] == 2000).all()  # 33 to 36 are the best of the earlier ones
    np.testing.assert_allclose(counts[:33] / 2000, 8 / 33, atol=0.05)


def lloyd(X, centers, n_iterations=10):
    for _ in range(n_iterations):
        nearest = np.linalg.norm(X[:, None] - centers[None], axis=2).argmin(axis=1)
        centers = np.array([X[nearest == i].mean(axis=0) for i in range(len(centers))])
    return centers


def test_inducing_points_are_the_centres_of_ten_steps_of_k_means():
    X = np.unique(np.random.default_rng(0).normal(size=(300, 3)), axis=0)
    start = X[np.random.default_rng(1).choice(300, size=20, replace=False)]
    global_state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = inducing_points(X, 20, np.random.default_rng(1))
    np.testing.assert_allclose(found, lloyd(X, start), atol=1e-12)
    assert np.array_equal(global_state, np.random.get_state()[1])  # noqa: NPY002
    with threadpool_limits(limits=2):
        threads = [pool["num_threads"] for pool in threadpool_info()]
        np.testing.assert_array_equal(inducing_points(X, 20, np.random.default_rng(1)), found)
        assert [pool["num_threads"] for pool in threadpool_info()] == threads


def test_few_points_are_their_own_inducing_points_without_k_means():
    X = np.random.default_rng(0).integers(0, 3, size=(40, 2)).astype(float)
    distinct = np.unique(X, axis=0)
    for m in (len(distinct), 100):
        np.testing.assert_array_equal(inducing_points(X, m, None), distinct)  # None: draws nothing


def test_points_that_differ_by_rounding_are_no_reason_to_warn():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(5, 2)), 20, axis=0)
    X += 1e-9 * rng.normal(size=X.shape)
    assert len(np.unique(X, axis=0)) > 30
    assert np.isfinite(inducing_points(X, 30, rng)).all()


def test_inducing_points_cover_the_data():
    rng = np.random.default_rng(0)
    centers = 20.0 * rng.normal(size=(10, 4))
    Z = np.repeat(centers, 30, axis=0) + 0.01 * rng.normal(size=(300, 4))
    gp = fitted(Z, Z[:, 0], n_inducing=40, n_trained=0)
    U = (gp.posterior_.U * gp.posterior_.lengthscale + gp.posterior_.center).numpy()
    for center in centers:
        assert np.linalg.norm(U - center, axis=1).min() < 1.0
    assert gp.score(tensor(Z), tensor(Z[:, 0])) > -3.0


def wide(n=600, d=8):
    """Noisy values of a function of all dimensions, which need more inducing points than one can afford."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(n + 300, d))
    y = np.sin(Z @ rng.normal(size=(d, 3)) / d**0.5).sum(axis=1) + 0.3 * rng.normal(size=n + 300)
    return (Z[:n], y[:n]), (tensor(Z[n:]), tensor(y[n:]))


@pytest.mark.parametrize("ard", [True, False])
def test_inducing_points_that_are_moved_explain_more_than_those_that_are_not(ard):
    (Z, y), new = wide()
    still, moved = (
        fitted(Z, y, n_inducing=30, n_trained=n, ard=ard, n_hyper=None, max_iter=200) for n in (0, 30)
    )
    assert moved.bound_ > still.bound_ + 10.0
    assert moved.score(*new) > still.score(*new)
    assert (still.trained_points_.shape, moved.trained_points_.shape) == ((0, 8), (30, 8))
    U = (moved.posterior_.U * moved.posterior_.lengthscale + moved.posterior_.center).numpy()
    np.testing.assert_allclose(U, moved.trained_points_, atol=1e-12)


def test_inducing_points_are_added_to_the_moved_ones_where_they_are_worth_it():
    (Z, y), new = wide()
    few, more = (fitted(Z, y, n_inducing=n, n_trained=10) for n in (10, 60))
    assert [len(gp.posterior_.U) for gp in (few, more)] == [10, 60]
    assert [len(gp.trained_points_) for gp in (few, more)] == [10, 10]
    assert more.score(*new) > few.score(*new)
    line = Z[:, 0] + 0.1 * np.random.default_rng(1).normal(size=len(Z))
    straight = fitted(Z, line, n_inducing=60, n_trained=20)
    assert len(straight.posterior_.U) == 20  # which say all there is


def test_a_second_fit_starts_at_the_moved_points_of_the_first_unless_the_space_is_another():
    (Z, y), _ = wide()
    gp = fitted(Z, y, n_inducing=30, n_trained=30)
    first, bound = gp.n_iter_, gp.bound_
    gp.fit(tensor(Z), tensor(y), np.random.default_rng(1))
    assert gp.n_iter_ <= 25 < first
    assert gp.bound_ >= bound - 1.0
    other = Z[:, ::-1] + 3.0 * Z[:, :1]
    gp.fit(tensor(other), tensor(y), np.random.default_rng(1))
    assert gp.n_iter_ > 25
    assert gp.bound_ > fitted(other, y, n_inducing=30, n_trained=30).bound_ - 10.0
    gp.set_params(n_trained=20, n_inducing=20).fit(tensor(other), tensor(y), np.random.default_rng(1))
    assert len(gp.posterior_.U) == 20


def test_moving_inducing_points_never_lowers_the_bound_of_where_they_start():
    (Z, y), _ = wide(200, 4)
    bounds = [fitted(Z, y, n_inducing=20, n_trained=20, train_iter=n).bound_ for n in (0, 5, 50)]
    assert bounds == sorted(bounds)


# ------------------------------------------------------------------ hard data


@pytest.mark.parametrize("n_inducing", [10, 500])
@pytest.mark.parametrize("transform", list(TRANSFORMS))
@pytest.mark.parametrize("d", [1, 7, 256])
@pytest.mark.parametrize(
    "kind", ["one", "two", "constant", "duplicates", "same", "outlier", "huge", "largest", "tiny"]
)
def test_nothing_is_ever_non_finite(kind, d, transform, n_inducing):
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(30, d)), rng.normal(size=30)
    if kind in ("one", "two"):
        count = ("one", "two").index(kind) + 1
        Z, y = Z[:count], y[:count]
    elif kind == "constant":
        y[:] = 3.0
    elif kind == "duplicates":
        Z[10:20] = Z[:10]
        Z[20:] = Z[:10] + 1e-12
    elif kind == "same":
        Z[:] = Z[0]
    elif kind == "outlier":
        y[3] = 1e12
    elif kind == "huge":
        y *= 1e150
    elif kind == "largest":
        y = np.sign(y) * 1.7e308
    else:
        y *= 1e-150
    gp = fitted(Z, y, transform=transform, max_iter=4, train_iter=4, n_trained=5, n_inducing=n_inducing)
    Zt = tensor(np.concatenate([Z, Z + 1.0, 1e6 * np.ones((1, d)), -1e200 * np.ones((1, d))])).requires_grad_(
        True
    )
    mean, variance = gp.condition_on(tensor(Z[:1]), tensor(y[:1])).predict(Zt)
    assert torch.isfinite(mean).all()
    assert torch.isfinite(variance).all()
    assert (variance >= 0).all()
    (mean / (np.abs(y).max() + 1)).sum().backward()
    assert torch.isfinite(Zt.grad).all()
    assert torch.isfinite(gp.sample(Zt.detach(), 2, torch.Generator().manual_seed(0))).all()
    assert np.isfinite(gp.score(tensor(Z), tensor(y)))


def test_more_jitter_is_logged_once(caplog):
    Z = np.linspace(-1.0, 1.0, 300)[:, None]
    y = Z[:, 0]
    with caplog.at_level(logging.WARNING, logger="wrlso.surrogate"):
        gp = fitted(Z, y, jitter=0.0, kernel="rbf")
    assert sum("jitter raised" in record.message for record in caplog.records) == 1
    assert torch.isfinite(gp.predict(tensor(Z))[0]).all()


def test_arguments_are_not_changed():
    Z, y = (tensor(part) for part in problem(30))
    Z0, y0 = Z.clone(), y.clone()
    SparseGP(max_iter=3).fit(Z, y, np.random.default_rng(0)).condition_on(Z, y)
    assert torch.equal(Z, Z0)
    assert torch.equal(y, y0)


def test_global_random_state_is_untouched_and_fit_is_deterministic():
    Z, y = problem(300)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first, second = (fitted(Z, y, n_inducing=20, n_best=50, n_random=100) for _ in range(2))
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())
    assert torch.equal(first.predict(tensor(Z))[0], second.predict(tensor(Z))[0])


def test_parameters_are_kept_and_copies_predict_the_same():
    gp = fitted(*problem(30), kernel="rbf")
    assert clone(gp).get_params() == gp.get_params()
    Zt = torch.zeros(2, 3, dtype=torch.float64)
    assert torch.equal(copy.deepcopy(gp).predict(Zt)[0], gp.predict(Zt)[0])
    assert isinstance(gp, Surrogate)
    assert gp.space == "latent"


# ------------------------------------------------------------------ misuse


@pytest.mark.parametrize(
    ("Z", "y", "error", "message"),
    [
        (tensor([[np.nan]]), tensor([0.0]), DataError, "Z: expected finite"),
        (tensor([[0.0]]), tensor([np.inf]), DataError, "y: expected finite"),
        (tensor([[1e200]]), tensor([0.0]), DataError, "Z: expected finite values of at most 1e.100"),
        (tensor([0.0]), tensor([0.0]), DataError, "Z: expected shape"),
        (tensor([[0.0]]), tensor([0.0, 1.0]), DataError, r"y: expected shape \(1,\)"),
        (tensor(np.empty((0, 2))), tensor([]), DataError, "at least one observation"),
        (np.zeros((2, 2)), tensor([0.0, 1.0]), DataTypeError, "Z: expected a tensor"),
        (tensor([[0.0]]), [0.0], DataTypeError, "y: expected a tensor"),
    ],
)
def test_bad_data_are_refused_and_change_nothing(Z, y, error, message):
    gp = fitted(*problem(20, 1))
    before = copy.copy(vars(gp))
    with pytest.raises(error, match=message):
        gp.fit(Z, y, np.random.default_rng(0))
    assert vars(gp) == before


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_inducing": 0}, ParameterError, "n_inducing"),
        ({"n_inducing": 2.0}, ParameterTypeError, "n_inducing"),
        ({"n_best": 0, "n_random": 0}, ParameterError, "n_best"),
        ({"n_hyper": 0}, ParameterError, "n_hyper"),
        ({"n_trained": -1}, ParameterError, "n_trained"),
        ({"train_iter": 0.5}, ParameterTypeError, "train_iter"),
        ({"train_iter": 5, "n_trained": 0}, ParameterError, "train_iter: expected 100, the default"),
        ({"kernel": "cosine"}, ParameterError, "kernel"),
        ({"transform": "log"}, ParameterError, "transform"),
        ({"jitter": -1.0}, ParameterError, "jitter"),
        ({"max_iter": -1}, ParameterError, "max_iter"),
        ({"max_noise": 0.0}, ParameterError, "max_noise must be a finite number >= 1e-05, or None"),
        ({"max_noise": np.nan}, ParameterError, "max_noise"),
        ({"max_noise": "small"}, ParameterTypeError, "max_noise"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        fitted(*problem(5), **parameters)


def test_misuse_of_the_call_order_and_shapes():
    with pytest.raises(NotFittedError, match="call fit"):
        SparseGP().predict(torch.zeros(1, 2))
    with pytest.raises(ParameterTypeError, match="Generator"):
        SparseGP().fit(torch.zeros(1, 2), torch.zeros(1), 0)
    gp = fitted(*problem(10))
    with pytest.raises(DataError, match="expected 3 columns"):
        gp.predict(torch.zeros(1, 2))
    with pytest.raises(DataError, match="expected 3 columns"):
        gp.condition_on(torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(DataError, match="finite"):
        gp.predict(torch.full((1, 3), torch.nan))
    with pytest.raises(ParameterError, match="levels"):
        gp.calibration(torch.zeros(1, 3), torch.zeros(1), levels=[1.5])


# ------------------------------------------------------------------ a bound on the noise


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    log_bound=st.floats(np.log(1e-5), np.log(20.0)),
    noise=st.floats(0.0, 2.0),
    max_iter=st.integers(0, 6),
    transform=st.sampled_from(sorted(TRANSFORMS)),
    ard=st.booleans(),
)
def test_the_noise_never_exceeds_its_bound(seed, log_bound, noise, max_iter, transform, ard):
    bound = max(float(np.exp(log_bound)), 1e-5)
    Z, y = problem(25, 2, seed, noise)
    gp = fitted(Z, y, max_noise=bound, max_iter=max_iter, transform=transform, ard=ard)
    assert 1e-5 * (1 - 1e-12) <= gp.hyperparameters_.noise <= bound
    assert gp.posterior_.hyper.noise == gp.hyperparameters_.noise
    again = gp.set_params(max_noise=0.5 * (bound + 1e-5), max_iter=2)  # a warm start from above the bound
    assert again.fit(tensor(Z), tensor(y), np.random.default_rng(0)).hyperparameters_.noise <= again.max_noise


def test_a_bound_that_is_not_reached_changes_nothing():
    Z, y = problem(80, 2, noise=0.3)
    free, bounded = fitted(Z, y, max_iter=50), fitted(Z, y, max_iter=50, max_noise=0.9)
    assert free.hyperparameters_.noise < 0.5
    for name in ("lengthscale", "outputscale", "noise"):
        expected = getattr(free.hyperparameters_, name)
        np.testing.assert_allclose(getattr(bounded.hyperparameters_, name), expected, rtol=1e-3)
    assert bounded.bound_ == pytest.approx(free.bound_, abs=1e-3)


def test_with_a_bound_waves_that_look_like_noise_are_believed():
    rng = np.random.default_rng(0)
    Z = rng.uniform(-2.0, 2.0, size=(60, 2))
    y = -(Z**2).sum(axis=1) + np.cos(8 * np.pi * Z).sum(axis=1)
    free, bounded = fitted(Z, y, max_iter=50), fitted(Z, y, max_iter=50, max_noise=1e-3)
    assert free.hyperparameters_.noise > 0.05
    errors = [np.abs(gp.predict(tensor(Z))[0].numpy() - y).max() for gp in (free, bounded)]
    assert errors[1] < 0.1 < errors[0]


def test_conditioning_stays_exact_under_a_bound_on_the_noise():
    rng = np.random.default_rng(3)
    Z, y = problem(40, 3, noise=0.0)
    new_Z, new_y = rng.normal(size=(60, 3)), rng.normal(size=60)
    Zt = rng.normal(size=(20, 3))
    gp = fitted(Z, y, max_noise=1e-4, jitter=0.0, kernel="matern52")
    assert gp.hyperparameters_.noise <= 1e-4
    for z, value in zip(new_Z, new_y, strict=True):
        gp = gp.condition_on(tensor(z[None]), tensor([value]))
    mean, covariance = exact_gp(gp, np.concatenate([Z, new_Z]), np.append(y, new_y), Zt)
    got_mean, got_variance = gp.predict(tensor(Zt))
    # With so little noise the covariance has a condition number of 1.4e8, and 60 updates in a row round
    # otherwise than one solution: measured up to 1.6e-8 apart, where only SSE2 is used.
    np.testing.assert_allclose(got_mean, mean, atol=1e-7 * np.abs(new_y).max())
    np.testing.assert_allclose(got_variance, np.diag(covariance), atol=1e-8)


def test_a_bound_on_the_noise_is_kept():
    Z, y = problem(30)
    gp = fitted(Z, y, max_noise=1e-3)
    again = load(dump(gp))
    assert (again.max_noise, clone(gp).max_noise) == (1e-3, 1e-3)
    torch.testing.assert_close(again.predict(tensor(Z)), gp.predict(tensor(Z)), rtol=0, atol=0)
    features = FeatureGP(lambda X: np.array(X, dtype=np.float64), SparseGP(max_noise=1e-3, max_iter=15))
    features.fit([tuple(z) for z in Z], tensor(y), np.random.default_rng(1))
    assert features.gp_.hyperparameters_.noise <= 1e-3


# ------------------------------------------------------------------ lengthscales


def test_lengthscales_are_in_the_units_of_the_points_and_longest_where_nothing_changes():
    Z, y = problem(80, 3, noise=0.05)
    gp = fitted(Z, y, max_iter=50)
    found = gp.lengthscales()
    assert found.shape == (3,)
    assert found[0] < 0.5 * found[2] < 0.5 * found[1]  # a wave, a straight line, and nothing
    # a power of two rounds nothing: the optimizer sees the same numbers, and has no difference to magnify
    np.testing.assert_allclose(fitted(1024 * Z, y, max_iter=50).lengthscales(), 1024 * found, rtol=1e-6)
    found[:] = 0.0  # a copy
    assert (gp.lengthscales() > 0).all()
    with pytest.raises(NotFittedError, match="call fit"):
        SparseGP().lengthscales()


# ------------------------------------------------------------------ the linear part


def test_a_kernel_without_its_linear_part_is_the_plain_one():
    X, y = problem(40, 3)
    plain = evidence(Hyperparameters("rbf", np.ones(3), 1.5, 0.1), X, X[:9], y)
    tiny = evidence(Hyperparameters("linear+rbf", np.ones(3), 1.5, 0.1, 1e-14), X, X[:9], y)
    assert tiny.value == pytest.approx(plain.value, rel=1e-10)
    np.testing.assert_allclose(np.delete(tiny.gradient, 4), plain.gradient, rtol=1e-8)


@pytest.mark.parametrize("shape", ["rbf", "matern52"])
def test_a_linear_part_carries_a_trend_on_where_a_plain_kernel_returns_to_the_mean(shape):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(200, 5))
    y = Z @ np.array([1.0, -2.0, 0.5, 0.0, 0.0]) + np.sin(4 * Z[:, 3]) + 0.05 * rng.normal(size=200)
    far = 30.0 * np.eye(5)[:3]
    truth = far @ np.array([1.0, -2.0, 0.5, 0.0, 0.0])
    errors = {}
    for kernel in (shape, f"linear+{shape}"):
        mean, variance = fitted(Z, y, kernel=kernel, max_iter=50).predict(tensor(far))
        errors[kernel] = np.abs(mean.numpy() - truth)
        assert torch.isfinite(variance).all()
    assert errors[f"linear+{shape}"].max() < 3.0
    assert errors[shape].max() > 10.0


@pytest.mark.parametrize("kernel", ["linear+rbf", "linear+matern52"])
def test_a_point_that_the_inducing_points_explain_is_conditioned_on_exactly_too(kernel):
    """Nearly straight functions leave next to nothing unexplained, and that counts where noise is low."""
    Z, y = problem(120, 3, noise=0.0)
    gp = fitted(Z, y, kernel=kernel, n_inducing=40)
    gp.set_params(n_inducing=200)
    new = tensor(np.repeat(Z[:3], 30, axis=0) + 1e-3)
    grown = gp.condition_on(new, tensor(np.repeat(y[:3], 30)))
    mean, covariance, noise = gp.joint(torch.cat([new, tensor(Z[:3])]))
    gain = torch.linalg.solve(covariance[:90, :90] + noise * torch.eye(90).double(), covariance[:90, 90:]).T
    t = tensor(gp.transform_.forward(np.repeat(y[:3], 30)))
    expected = mean[90:] + gain @ (t - mean[:90])
    np.testing.assert_allclose(grown.joint(tensor(Z[:3]))[0], expected, rtol=1e-7)


# ------------------------------------------------------------------ a well-kept peer


@pytest.mark.parametrize("kernel", KERNELS)
def test_evidence_and_predictions_equal_gpytorch(kernel):
    gpytorch = pytest.importorskip("gpytorch")
    Z, y = problem(50, 3)
    gp = fitted(Z, y, kernel=kernel, jitter=1e-12)
    hyper, posterior = gp.hyperparameters_, gp.posterior_
    scale = posterior.lengthscale.numpy() / hyper.lengthscale
    X = tensor((Z - posterior.center.numpy()) / scale)
    t = tensor(gp.transform_.forward(y))
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    likelihood.noise = hyper.noise

    class Exact(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(X, t, likelihood)
            self.mean_module = gpytorch.means.ConstantMean()
            make = {
                "rbf": gpytorch.kernels.RBFKernel,
                "matern52": partial(gpytorch.kernels.MaternKernel, 2.5),
            }
            self.scaled = gpytorch.kernels.ScaleKernel(make[hyper.shape](ard_num_dims=3))
            self.linear = gpytorch.kernels.LinearKernel()
            self.covar_module = self.scaled + self.linear if "linear" in kernel else self.scaled

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    peer = Exact().double()
    peer.mean_module.initialize(constant=float(posterior.mean))
    peer.scaled.initialize(outputscale=hyper.outputscale)
    peer.scaled.base_kernel.initialize(lengthscale=tensor(hyper.lengthscale))
    peer.linear.initialize(variance=max(hyper.linear, 1e-3) / 3)
    with gpytorch.settings.fast_computations(False, False, False), torch.no_grad():
        peer.train()
        log_likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, peer)(peer(X), t)
        peer.eval()
        Zt = np.random.default_rng(5).normal(size=(8, 3))
        predicted = peer(tensor((Zt - posterior.center.numpy()) / scale))
    assert gp.bound_ == pytest.approx(float(log_likelihood) * len(y), rel=1e-6)
    mean, variance = gp.predict(tensor(Zt))
    np.testing.assert_allclose(mean, gp.transform_.center + gp.transform_.scale * predicted.mean, rtol=1e-6)
    np.testing.assert_allclose(variance, gp.transform_.scale**2 * predicted.variance, rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"jitter": "a"}, "jitter must be a finite number"),
        ({"jitter": None}, "jitter must be a finite number"),
        ({"ard": "no"}, "ard must be True or False"),
        ({"grow_inducing": None}, "grow_inducing must be True or False"),
    ],
)
def test_parameters_of_other_types_are_named(parameters, message):
    Z, y = problem(20, 2)
    with pytest.raises(ParameterTypeError, match=message):
        fitted(Z, y, **parameters)


def test_impossible_questions_are_named():
    Z, y = problem(20, 2)
    gp = fitted(Z, y)
    with pytest.raises(ParameterError, match="n: expected at least 0, got -1"):
        gp.sample(tensor(Z), -1, torch.Generator())
    with pytest.raises(ParameterError, match="sequence of numbers between 0 and 1, got 0.9"):
        gp.calibration(tensor(Z), tensor(y), 0.9)
    with pytest.raises(ParameterTypeError, match="sequence of numbers, got 'abc'"):
        gp.calibration(tensor(Z), tensor(y), "abc")
    with pytest.raises(DataError, match="Z and y: expected at least one observation"):
        gp.calibration(tensor(Z[:0]), tensor(y[:0]))


def test_far_draws_of_a_linear_part_are_finite():
    Z, y = problem(50, 3)
    far = fitted(Z, y, kernel="linear+rbf").sample(tensor(1e12 * Z), 2, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(far).all())
