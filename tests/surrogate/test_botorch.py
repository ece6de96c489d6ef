"""A BoTorch model in place of a process of ours."""

import copy
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP, SingleTaskVariationalGP
from conftest import count, make_optimizer, networks, words
from gpytorch.kernels import MaternKernel, ScaleKernel
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import BoTorchSurrogate, WeightedRetrainingOptimizer
from wrlso.exceptions import DataError, ModelError, NotFittedError, ParameterError
from wrlso.surrogate import Observations, Points
from wrlso.surrogate.botorch_surrogate import _group
from wrlso.testing import check_surrogate

RNG = np.random.default_rng


def data(n=40, d=3, noise=0.1, seed=0):
    rng = RNG(seed)
    Z = torch.from_numpy(rng.normal(size=(n, d)))
    return Z, torch.sin(2 * Z[:, 0]) + Z[:, 1] + noise * torch.from_numpy(rng.normal(size=n))


def matern(X, Y):
    """A user's own kernel."""
    return SingleTaskGP(X, Y, covar_module=ScaleKernel(MaternKernel(nu=1.5, ard_num_dims=X.shape[1])))


def with_errors(X, Y, Yvar=None):
    return SingleTaskGP(X, Y, Yvar)


def observed(y, **known):
    return Observations(
        np.asarray(y),
        **{
            name: np.broadcast_to(np.asarray(known.get(name, default), dtype), (len(y),)).copy()
            for name, default, dtype in (
                ("n", 1, np.int64), ("sd", np.nan, float), ("bound", 0, np.int8), ("squares", 0.0, float),
            )
        },
    )  # fmt: skip


@pytest.mark.parametrize("surrogate", [BoTorchSurrogate(), BoTorchSurrogate(matern, on="features")])
def test_the_contract_of_a_surrogate_is_kept(surrogate):
    check_surrogate(surrogate)


@pytest.mark.filterwarnings("ignore")  # that X is not in the unit cube
def test_it_predicts_what_botorch_predicts():
    Z, y = data()
    surrogate = BoTorchSurrogate(transform="standardize", scale=False).fit(Z[:30], y[:30], RNG(0))
    torch.manual_seed(0)
    center, scale = y[:30].mean(), y[:30].std(correction=0)
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    model = SingleTaskGP(Z[:30], ((y[:30] - center) / scale)[:, None])
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    posterior = model.posterior(Z[30:])
    mean, variance = surrogate.predict(Z[30:])
    torch.testing.assert_close(mean, center + scale * posterior.mean[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(variance, scale**2 * posterior.variance[:, 0], rtol=1e-3, atol=1e-5)


def test_conditioning_is_that_of_a_model_of_all_data_with_these_hyperparameters():
    Z, y = data(noise=0.3)
    surrogate = BoTorchSurrogate(transform="standardize").fit(Z[:30], y[:30], RNG(0))
    told = surrogate.condition_on(Z[30:35], y[30:35])
    working, _ = surrogate.working_scale(y)
    mean, covariance, noise = working.joint(Z[30:])
    first = covariance[:5, :5] + noise * torch.eye(5, dtype=torch.float64)
    toward = torch.linalg.solve(first, covariance[:5, 5:]).T
    t = working.transform_.forward(surrogate.transform_.forward(y[30:35].numpy()))
    expected = mean[5:] + toward @ (torch.from_numpy(t) - mean[:5])
    after = told.working_scale(y)[0].predict(Z[35:])
    torch.testing.assert_close(after[0], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        after[1], (covariance[5:, 5:] - toward @ covariance[:5, 5:]).diagonal(), rtol=1e-4, atol=1e-6
    )


def test_told_errors_go_to_a_factory_that_takes_them():
    Z, y = data(60, noise=0.0)
    sd = np.where(np.arange(60) % 2, 0.01, 2.0)
    y = y.numpy() + sd * RNG(1).normal(size=60)
    truth = data(60, noise=0.0)[1]
    errors = {}
    for name, factory in (("without", matern), ("with", with_errors)):
        surrogate = BoTorchSurrogate(factory).fit(Z[:50], observed(y[:50], sd=sd[:50]), RNG(0))
        errors[name] = float((surrogate.predict(Z[50:])[0] - truth[50:]).abs().mean())
    sure, unsure = (
        surrogate.condition_on(Z[50:], observed(truth[50:].numpy() + 1.0, sd=error)).predict(Z[50:])[0]
        for error in (1e-3, 5.0)
    )
    assert float(sure.sum()) > float(unsure.sum()) + 0.1
    assert errors["with"] < 0.5 * errors["without"]


@given(st.integers(1, 6), st.floats(0.0, 3.0), st.floats(-5, 5))
@settings(max_examples=30)
def test_replicates_are_rows_of_the_same_mean_and_spread(n, squares, mean):
    squares = squares if n > 1 else 0.0
    known = observed([mean, 7.0], n=[n, 1], squares=[squares, 0.0])
    group = _group(torch.zeros(2, 1, dtype=torch.float64), known, told=False)
    rows = group.Y[:n, 0]
    assert len(group.Y) == n + 1
    assert float(group.Y[-1]) == 7.0
    assert float(rows.mean()) == pytest.approx(mean, abs=1e-9)
    assert float(((rows - mean) ** 2).sum()) == pytest.approx(squares, abs=1e-9)
    unknown = observed([mean], n=n, squares=np.nan if n > 1 else 0.0)
    assert len(_group(group.X[:1], unknown, told=False).Y) == 1


def test_limits_do_not_pull_down_what_lies_above():
    Z = torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None]
    y = Z[:, 0].numpy() + 0.05 * RNG(0).normal(size=40)
    known = observed(np.minimum(y, 0.5), bound=np.where(y > 0.5, 1, 0))
    error = {
        name: float(
            (BoTorchSurrogate().fit(Z, values, RNG(0)).predict(Z)[0] - Z[:, 0])[Z[:, 0] > 0.6].abs().mean()
        )
        for name, values in (("limits", known), ("values", torch.from_numpy(known.y)))
    }
    assert error["limits"] < 0.8 * error["values"]


def variational(X, Y):
    torch.manual_seed(0)
    return SingleTaskVariationalGP(X, Y, inducing_points=X[:10].clone())


def fit_variational(model):
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import VariationalELBO

    mll = VariationalELBO(model.likelihood, model.model, num_data=40)
    fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": 20}})


def test_a_model_that_cannot_be_conditioned_is_fitted_again(caplog):
    Z, y = data()
    surrogate = BoTorchSurrogate(variational, fit_model=fit_variational).fit(Z[:30], y[:30], RNG(0))
    with caplog.at_level(logging.INFO):
        told = surrogate.condition_on(Z[30:], y[30:])
    assert "fitted again" in caplog.text
    assert len(told.groups_) == 1
    assert len(told.groups_[0].X) == 40
    assert told.predict(Z)[0].shape == (40,)


def test_global_random_state_stays_and_samples_come_from_the_generator():
    Z, y = data()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    surrogate = BoTorchSurrogate().fit(Z, y, RNG(0))
    drawn = [surrogate.sample(Z, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("factory", [None, matern, with_errors])
def test_copies_and_states_predict_the_same_to_the_last_bit(factory):
    Z, y = data()
    known = observed(y.numpy(), sd=0.2) if factory is with_errors else y
    surrogate = BoTorchSurrogate(factory).fit(Z[:30], known[:30], RNG(0)).condition_on(Z[30:35], known[30:35])
    surrogate = surrogate.condition_on(Z[35:], known[35:])
    other = BoTorchSurrogate(factory)
    other.set_state(surrogate.get_state())
    for again in (copy.deepcopy(surrogate), other):
        for mine, theirs in zip(surrogate.predict(Z), again.predict(Z), strict=True):
            assert torch.equal(mine, theirs)
        assert again.noise_variance() == surrogate.noise_variance()


@pytest.mark.parametrize("on", ["latent", "features"])
@pytest.mark.parametrize("factory", [None, SingleTaskGP, matern])
def test_a_campaign_goes_on_bit_for_bit_and_stores_what_can_be_named(factory, on, tmp_path):
    if factory is not matern and on == "features":
        pytest.skip("the same as in Z")
    X = words()
    surrogate = BoTorchSurrogate(factory, on=on)
    opt = make_optimizer(surrogate=surrogate, retrain_every=None).fit(X, X.sum(axis=1))
    for _ in range(2):
        x = opt.ask()
        opt.tell(x, count(x))
    opt.save(tmp_path / "campaign")
    given = dict(zip(("encoder", "decoder"), networks(), strict=True))
    if factory is matern:
        with pytest.raises(ParameterError, match=r"give load\(\).*surrogate"):
            WeightedRetrainingOptimizer.load(tmp_path / "campaign", **given)
        given["surrogate"] = surrogate
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **given)
    for _ in range(2):
        x, other = opt.ask(), again.ask()
        assert x.tolist() == other.tolist()
        for each in (opt, again):
            each.tell(x, count(x))


def test_another_factory_than_that_of_the_campaign_is_refused():
    Z, y = data()
    state = BoTorchSurrogate(matern).fit(Z, y, RNG(0)).get_state()
    with pytest.raises(ModelError, match="factory: expected the one with which the campaign was made"):
        BoTorchSurrogate().set_state(state)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"factory": 3}, ParameterError, "factory must be callable or None, got 3"),
        ({"on": "x"}, ParameterError, "on must be 'latent', 'features' or callable, got 'x'"),
        ({"fit_model": "adam"}, ParameterError, "fit_model must be callable or None"),
        ({"transform": "log"}, ParameterError, "transform: expected one of"),
        ({"n_best": 0, "n_random": 0}, ParameterError, r"n_best \+ n_random: expected at least 1"),
        ({"factory": lambda X, Y: None}, ModelError, "expected a BoTorch model of one output, got None"),
        (
            {"factory": lambda X, Y: SingleTaskGP(X, Y.repeat(1, 2)), "fit_model": lambda model: None},
            ModelError,
            "expected a BoTorch model of one output",
        ),
        ({"on": lambda X: [[1.0]]}, DataError, r"on must return numbers of shape \(40, D\)"),
    ],
)
def test_what_is_impossible_is_refused(change, error, message):
    Z, y = data()
    with pytest.raises(error, match=message):
        BoTorchSurrogate(**change).fit(Z, y, RNG(0))


def test_calls_in_the_wrong_order_and_other_points_are_refused():
    Z, y = data()
    with pytest.raises(NotFittedError, match="BoTorchSurrogate is not fitted yet"):
        BoTorchSurrogate().predict(Z)
    with pytest.raises(DataError, match="expected 3 columns as in fit"):
        BoTorchSurrogate().fit(Z, y, RNG(0)).predict(Z[:, :2])
    with pytest.raises(DataError, match="needs a model with features"):
        BoTorchSurrogate(on="features").fit(Points(Z), y, RNG(0))


def test_neither_package_is_imported_before_it_is_used():
    """Importing wrlso, and an ask with what is the default, need none of BoTorch."""
    program = """
import sys, numpy as np
from torch import nn
import wrlso
from wrlso import BoTorchSurrogate, WeightedRetrainingOptimizer
X = np.random.default_rng(0).integers(0, 2, (30, 8))
opt = WeightedRetrainingOptimizer(nn.Linear(8, 4), nn.Linear(2, 8), random_state=0).fit(X, X.sum(axis=1))
opt.ask()
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"botorch", "gpytorch", "linear_operator"}, loaded
BoTorchSurrogate()
assert "botorch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
