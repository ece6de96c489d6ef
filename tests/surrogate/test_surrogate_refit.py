"""When hyperparameters are fitted again: the evidence first, then the rule, then the optimizer."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import invgamma, multivariate_t, norm
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.acquisition import CandidatePool, LogExpectedImprovement
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.surrogate import SparseGP, TanimotoGP
from wrlso.surrogate.refit import check_refit_every, log_evidence_against, refit_is_due, standardized_errors


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def fitted(n=80, d=3, seed=0, **parameters):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    y = np.sin(Z[:, 0]) + 0.3 * rng.normal(size=n)
    return SparseGP(**({"max_iter": 20} | parameters)).fit(tensor(Z), tensor(y), rng)


# ------------------------------------------------------------------ the evidence


@settings(max_examples=30, deadline=None)
@given(errors=st.lists(st.floats(-6, 6), min_size=1, max_size=20))
def test_evidence_is_the_ratio_of_a_t_density_and_a_normal_one(errors):
    # errors given a variance ~ inverse gamma(1, 1): a multivariate t with 2 degrees of freedom
    expected = multivariate_t(np.zeros(len(errors)), np.eye(len(errors)), df=2).logpdf(errors)
    found = log_evidence_against(np.array(errors))
    assert found == pytest.approx(expected - norm.logpdf(errors).sum(), abs=1e-8)


def test_evidence_is_a_mean_over_variances():
    errors = np.array([0.5, -2.0, 1.0])
    variances = invgamma(1.0, scale=1.0).rvs(400_000, random_state=0)
    ratio = np.exp(-0.5 * errors @ errors * (1 / variances - 1)) * variances**-1.5
    assert log_evidence_against(errors) == pytest.approx(np.log(ratio.mean()), abs=0.02)


def test_a_right_surrogate_is_seldom_doubted_however_often_one_looks():
    """Ville's inequality: in at most 1 of 20 sequences the factor ever exceeds 20."""
    rng = np.random.default_rng(0)
    doubted = 0
    for _ in range(400):
        errors = rng.normal(size=100)
        doubted += any(log_evidence_against(errors[:n]) > np.log(20) for n in range(1, 101))
    assert doubted <= 0.05 * 400


@pytest.mark.parametrize("scale", [0.4, 2.0])
def test_a_wrong_scale_is_noticed_soon(scale):
    errors = scale * np.random.default_rng(0).normal(size=(50, 40))
    noticed = [log_evidence_against(row) > np.log(20) for row in errors]
    assert np.mean(noticed) > 0.9
    assert log_evidence_against(np.empty(0)) == 0.0


# ------------------------------------------------------------------ the errors


def test_errors_are_those_of_predicting_one_after_the_other():
    gp = fitted()
    Z = tensor(np.random.default_rng(5).normal(size=(12, 3)))
    y = tensor(np.random.default_rng(6).normal(size=12))
    found = standardized_errors(gp, Z, y)
    expected, current = [], gp
    for z, value in zip(Z, y, strict=True):
        mean, variance = current.predict(z[None])
        deviation = float(variance + current.noise_variance()) ** 0.5
        expected.append((float(value) - float(mean)) / deviation)
        current = current.condition_on(z[None], value[None])
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_errors_of_data_from_the_surrogate_itself_are_standard_normal():
    gp = fitted(60)
    Z = tensor(np.random.default_rng(5).normal(size=(100, 3)))
    generator = torch.Generator().manual_seed(0)
    noise = gp.noise_variance() ** 0.5
    draws = gp.sample(Z, 30, generator)
    draws = draws + noise * torch.randn(draws.shape, dtype=torch.float64, generator=generator)
    errors = np.concatenate([standardized_errors(gp, Z, draw) for draw in draws])
    assert abs(errors.mean()) < 4 / len(errors) ** 0.5
    assert errors.std() == pytest.approx(1.0, abs=4 / (2 * len(errors)) ** 0.5)


@pytest.mark.parametrize("transform", ["winsorize", "floor"])
def test_errors_do_not_depend_on_the_units_of_y(transform):
    rng = np.random.default_rng(0)
    Z, new = tensor(rng.normal(size=(60, 2))), tensor(rng.normal(size=(9, 2)))
    # Values without noise would make the covariance almost singular: what rounding does to scale * y, ten
    # steps of the optimizer would magnify by 1e10, by how much exactly is the processor's affair.
    y = Z[:, 0] + 0.3 * tensor(rng.normal(size=60))
    found = []
    for scale in (1.0, 1e6):
        gp = SparseGP(transform=transform, max_iter=10)
        gp.fit(Z, scale * y, np.random.default_rng(1))
        found.append(standardized_errors(gp, new, scale * new[:, 1]))
    # with noise the ten steps leave 1e-9 to 3e-9 of it under OpenBLAS's kernels
    np.testing.assert_allclose(*found, rtol=1e-7)


def test_errors_of_surrogates_of_features_and_of_many_values():
    words = ["a", "bb", "ccc", "dddd", "eeeee", "ff"]
    gp = TanimotoGP(lambda X: np.array([[len(x)] for x in X]))
    gp.fit(words, tensor([1.0, 2, 3, 4, 5, 2]), np.random.default_rng(0))
    assert np.abs(standardized_errors(gp, ["ggg"], tensor([3.0]))).max() < 1
    assert np.abs(standardized_errors(gp, ["ggg"], tensor([300.0]))).max() > 10
    many = tensor(np.zeros((1000, 3)))
    assert len(standardized_errors(fitted(), many, many[:, 0])) == 500


def test_a_surrogate_that_cannot_say_gives_no_errors():
    class Plain:
        space = "latent"

        def predict(self, Z):
            return Z[:, 0], Z[:, 0]

    assert standardized_errors(Plain(), tensor(np.zeros((3, 2))), tensor(np.zeros(3))) is None


# ------------------------------------------------------------------ the rule


def test_rule():
    right, wrong = np.resize([1.0, -0.8, 0.5, -1.3], 150), np.full(8, 4.0)
    assert not refit_is_due("auto", 1000, 150, right)
    assert refit_is_due("auto", 1000, 8, wrong)
    assert not refit_is_due("auto", 1000, 4, wrong[:4])  # too early
    assert refit_is_due("auto", 1000, 200, right)
    assert refit_is_due("auto", 24, 24, right[:24])
    assert not refit_is_due("auto", 24, 23, right[:23])
    assert [refit_is_due("auto", 1000, n, None) for n in (19, 20)] == [False, True]
    assert [refit_is_due(7, 1000, n, wrong) for n in (6, 7)] == [False, True]
    assert not refit_is_due(None, 10, 10_000, wrong)


@pytest.mark.parametrize(
    ("value", "error"), [(0, ParameterError), ("never", ParameterError), (2.5, ParameterTypeError)]
)
def test_what_it_cannot_be(value, error):
    with pytest.raises(error, match="refit_every must be an integer of at least 1"):
        check_refit_every(value)
    for good in ("auto", None, 3):
        check_refit_every(good)


# ------------------------------------------------------------------ the optimizer

X0 = np.tril(np.ones((12, 12)))[np.arange(60) % 10] * np.random.default_rng(0).integers(0, 2, (60, 12))


def optimizer(refit_every, **options):
    torch.manual_seed(0)
    pool = CandidatePool(40, generations=2)
    return WeightedRetrainingOptimizer(
        nn.Linear(12, 4), nn.Linear(2, 12), surrogate=SparseGP(max_iter=5, warm_iter=3),
        acquisition=LogExpectedImprovement(pool), retrain_every=None,
        trainer=Trainer(initial_epochs=1), refit_every=refit_every, random_state=0, **options,
    )  # fmt: skip


def n_fits(monkeypatch, opt, values):
    fits = []
    fit = SparseGP.fit
    monkeypatch.setattr(SparseGP, "fit", lambda self, *args: fits.append(1) or fit(self, *args))
    opt.fit(X0, X0.sum(axis=1))
    for value in values:
        x = opt.ask()
        opt.tell(x, x.sum() if value is None else value)
    opt.ask()
    return len(fits)


def test_values_that_contradict_the_surrogate_make_it_refit_and_others_do_not(monkeypatch):
    with torch.random.fork_rng():
        surprising = n_fits(monkeypatch, optimizer("auto"), [60.0, -60.0, 70.0, -70.0, 80.0])
        by_number = n_fits(monkeypatch, optimizer(2), [None] * 5)
        never = n_fits(monkeypatch, optimizer(None), [60.0, -60.0, 70.0, -70.0, 80.0])
    assert (surprising, by_number, never) == (2, 3, 1)


def test_a_search_does_not_forget_what_it_asked_for_in_vain():
    with torch.random.fork_rng():
        opt = optimizer(1).set_params(surrogate=SparseGP(max_iter=5, n_best=10, n_random=10))
        opt.fit(X0, X0.sum(axis=1))
    failures = []
    for _ in range(8):
        x = opt.ask()
        opt.tell(x, -50.0)  # never among the best
        failures.append(opt.history_.row(opt.model_.key(x)))
    opt.ask()
    assert set(failures) <= set(opt._session.learned.fitted.rows.tolist())
    assert len(opt._session.learned.fitted.rows) == 20


def test_errors_survive_save_and_load(tmp_path):
    with torch.random.fork_rng():
        opt = optimizer("auto").fit(X0, X0.sum(axis=1))
    for _ in range(3):
        x = opt.ask()
        opt.tell(x, float(x.sum()) + 1.0)
    opt.ask()
    assert len(opt._session.learned.fitted.errors) > 0
    opt.autosave(tmp_path / "campaign")  # everything at once
    x = opt.ask()
    opt.tell(x, 5.0)
    opt.ask()  # then one more, appended
    parts = {"encoder": opt.encoder, "decoder": opt.decoder}
    parts |= {"surrogate": opt.surrogate, "acquisition": opt.acquisition}
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **parts)
    np.testing.assert_array_equal(loaded._session.learned.fitted.errors, opt._session.learned.fitted.errors)
    other = copy.deepcopy(loaded)
    for a in (opt, other):
        a.tell(x, 7.0)
    np.testing.assert_array_equal(opt.ask(), other.ask())
