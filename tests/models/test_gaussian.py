"""The Gaussian likelihood: a table of real vectors in any units works as it is."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wrlso import VAE, DataError, Trainer, WeightedRetrainingOptimizer
from wrlso.testing import check_latent_model

TABLE = np.random.default_rng(0).normal(size=(40, 4))
UNITS = np.array([1e-8, 1e8, 1.0, 1e3])
OFFSETS = np.array([3e-7, 0.0, -5.0, 1e6])


def networks(n=4, d=2, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(n, 16), nn.Tanh(), nn.Linear(16, 2 * d)).to(dtype)
        decoder = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, n)).to(dtype)
    return {"encoder": encoder, "decoder": decoder}


def gaussian(**options):
    return VAE(**networks(**options), likelihood="gaussian")


def log_variance(vae):
    return float(vae._likelihood.log_variance().detach())


def search(X, **options):
    values = -np.square(TABLE).sum(axis=1)
    return WeightedRetrainingOptimizer(**networks(), likelihood="gaussian", random_state=0, **options).fit(
        X, values
    )


@given(
    st.lists(st.floats(-8, 8), min_size=4, max_size=4),
    st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4),
    st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=15, deadline=None)
def test_other_units_change_what_is_decoded_by_the_same_map(powers, shifts, temperature):
    """After the same training; the networks have double precision, so that only rounding differs."""
    scale, offset = 10.0 ** np.array(powers), np.array(shifts) * 10.0 ** np.array(powers)
    found = []
    for X in (TABLE, TABLE * scale + offset):
        vae = gaussian(dtype=torch.float64)
        inputs = vae.tensorize(X)
        Trainer(initial_epochs=3, batch_size=8).fit(vae, inputs, np.ones(40), np.random.default_rng(1))
        generator = torch.Generator().manual_seed(0)
        found.append(np.array(vae.decode(vae.encode(inputs), temperature, generator)))
    np.testing.assert_allclose((found[1] - offset) / scale, found[0], atol=1e-6)


@pytest.mark.parametrize("dtype", [float, np.float32, np.int64, object])
def test_proposals_lie_where_the_data_lie(dtype):
    X = TABLE * UNITS + OFFSETS
    X = (TABLE * 1e9 * [1, 1e-7, 1, 1]).astype(int) if dtype is np.int64 else X.astype(dtype)
    if dtype is object:
        X = [list(x) for x in X.astype(float)]
    batch = np.array(search(X).ask(6))
    X = np.array(X, dtype=float)
    spreads = np.abs(batch - X.mean(axis=0)) / X.std(axis=0)
    assert spreads.max() < 4
    assert spreads.max(axis=0).min() > 0.01  # a proposal is not the mean


@pytest.mark.parametrize("power", [-300, -8, 6, 200])
def test_a_search_does_not_depend_on_units(power):
    ours, theirs = search(TABLE).ask(), search(TABLE * 10.0**power).ask()
    np.testing.assert_allclose(theirs / 10.0**power, ours, rtol=1e-3, atol=1e-3)


def test_what_is_constant_stays_so_and_divides_nothing():
    X = TABLE.copy()
    X[:, 1], X[:, 2] = 1e8 / 3, 0.0
    vae = gaussian()
    inputs = vae.tensorize(X)
    assert torch.isfinite(vae.loss(inputs)).all()
    batch = np.array(vae.decode(torch.randn(50, 2), 1.0, torch.Generator().manual_seed(0)))
    assert (batch[:, 1] == 1e8 / 3).all()
    assert (batch[:, 2] == 0).all()
    assert batch[:, 0].std() > 0.1
    other = X[:1] * [1, 2, 1, 1]  # a later x that differs there is told apart
    assert not torch.equal(vae.encode(vae.tensorize(other)), vae.encode(inputs[:1]))


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.uint8, 30), (np.int16, 1e4), (np.int64, 9e17), (np.float16, 2e4), (bool, 1), (np.float32, 1)],
)
def test_what_is_decoded_has_a_value_of_the_dtype_near_it(dtype, scale):
    X = (np.abs(TABLE) * scale).astype(dtype) if dtype is not bool else TABLE > 0
    vae = gaussian()
    vae.tensorize(X)
    Z = 30 * torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = vae._likelihood.sample(vae.decoder(Z), 0.0, None).numpy()
    found = np.array(vae.decode(Z))
    assert found.dtype == dtype
    if dtype is bool:
        np.testing.assert_array_equal(found, exact >= 0.5)
        return
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    nearest = np.clip(exact, float(info.min), float(info.max))
    np.testing.assert_allclose(found.astype(float), nearest, atol=0.51, rtol=1e-3)


def test_small_differences_of_large_numbers_are_kept():
    X = 1e9 + TABLE  # float32 knows multiples of 64 there
    vae = gaussian()
    inputs = vae.tensorize(X)
    np.testing.assert_allclose(vae.encode(inputs), gaussian_encodings(TABLE), atol=1e-4)
    assert vae.key(X[0]) != vae.key(X[0] + 1e-3)


def gaussian_encodings(X):
    vae = gaussian()
    return vae.encode(vae.tensorize(X))


@pytest.mark.parametrize("X", [TABLE, TABLE.astype(np.float32), (TABLE * 10).astype(int)])
def test_identity_is_the_same_before_and_after_the_first_x(X):
    vae = gaussian()
    before = [vae.key(x) for x in X]
    vae.tensorize(X[:5])
    assert [vae.key(x) for x in X] == before
    assert [vae.key(x.tolist()) for x in X] == before


def test_scale_is_learned_once():
    vae = gaussian()
    inputs = vae.tensorize(TABLE)
    Z = vae.encode(inputs)
    vae.tensorize(TABLE * 1e6)
    vae.train()
    vae.loss(vae.tensorize(TABLE * 1e6))
    torch.testing.assert_close(vae.encode(inputs), Z)


def test_a_single_first_x_waits_for_more():
    vae = gaussian().eval()
    x = TABLE[0] * UNITS + OFFSETS
    vae.tensorize([x])
    assert (np.abs(vae.decode(torch.randn(20, 2)) / x) < 10).all()
    vae.loss(vae.tensorize(TABLE * UNITS + OFFSETS))  # outside of training nothing is learned
    assert vae.get_state()["standardization"]["provisional"]
    vae.train()
    vae.loss(vae.tensorize(TABLE * UNITS + OFFSETS))
    np.testing.assert_allclose(
        vae.get_state()["standardization"]["centre"], (TABLE * UNITS + OFFSETS).mean(0)
    )


def test_told_one_by_one_and_resumed(tmp_path):
    X = TABLE * UNITS + OFFSETS
    opt = WeightedRetrainingOptimizer(
        **networks(),
        likelihood="gaussian",
        random_state=0,
        retrain_every=3,
        trainer=Trainer(retrain="scratch"),
    ).autosave(tmp_path / "campaign")
    opt.tell(X[0], 1.0).ask()
    for x in X[1:8]:
        opt.tell(x, float(x[2]))
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks(), autosave=False)
    batch = np.array(opt.ask(4))
    np.testing.assert_array_equal(again.ask(4), batch)
    assert not opt.model_.get_state()["standardization"]["provisional"]
    assert (np.abs(batch - X[:8].mean(axis=0)) < 5 * X[:8].std(axis=0)).all()


def test_state_says_all_beside_the_weights():
    vae = gaussian()
    inputs = vae.tensorize(TABLE * UNITS + OFFSETS)
    other = gaussian()
    other.set_state(copy.deepcopy(vae.get_state()))
    other.load_state_dict(vae.state_dict())
    assert torch.equal(other.encode(inputs), vae.encode(inputs))
    for ours, theirs in zip(vae.decode(torch.eye(2)), other.decode(torch.eye(2)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_state_of_before_keeps_variance_one_in_the_units_of_x():
    vae = gaussian()
    state = {"latent_dim": 2, "x_shape": (4,), "x_dtype": "<f8", "n_classes": None}
    vae.set_state(state)
    assert vae.get_state() == state
    assert not [name for name in vae.state_dict() if "variance" in name]
    inputs, Z = vae.tensorize(TABLE), torch.ones(40, 2)
    expected = torch.distributions.Normal(vae.decoder(Z), 1.0).log_prob(inputs).sum(dim=1)
    torch.testing.assert_close(vae.log_likelihood(inputs, Z), expected)
    np.testing.assert_array_equal(vae.decode(Z)[0], vae.decoder(Z)[0].detach().numpy())


def test_variance_is_learned_and_has_a_floor():
    """Where x lie on a line, the noise around it is what is left."""
    t = np.random.default_rng(0).normal(size=(200, 1))
    line = t @ np.array([[1.0, -2.0, 3.0, 0.5]])
    vae = gaussian(d=1)
    inputs = vae.tensorize(line)
    assert log_variance(vae) == pytest.approx(0.0, abs=1e-4)
    Trainer(initial_epochs=60, batch_size=20, lr=0.01).fit(
        vae, inputs, np.ones(200), np.random.default_rng(0)
    )
    assert log_variance(vae) < math.log(0.1)
    with torch.no_grad():
        vae._likelihood.raw_variance.fill_(-1e6)
    assert log_variance(vae) == pytest.approx(math.log(1e-4))
    assert torch.isfinite(vae.loss(inputs)).all()


def test_what_lies_far_away_has_a_finite_loss():
    vae = gaussian()
    vae.tensorize(TABLE)
    assert torch.isfinite(vae.loss(vae.tensorize(TABLE * 1e30))).all()


def test_numbers_near_the_largest_are_refused_by_row():
    X = TABLE.copy()
    X[7, 2] = 1e305
    with pytest.raises(DataError, match="within ±1e\\+300, got a larger number in row 7"):
        gaussian().tensorize(X)


@pytest.mark.parametrize("X", [TABLE * UNITS + OFFSETS, (TABLE * 100).astype(int), TABLE.astype(np.float32)])
def test_the_model_keeps_the_contract(X):
    check_latent_model(gaussian(), list(X[:9]))
