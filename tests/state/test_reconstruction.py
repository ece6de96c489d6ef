"""What is measured around a training and noted at an ask: right, and without a trace elsewhere."""

import json

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso import SparseGP
from wrlso._state.reconstruction import measure_reconstruction, rows_to_reconstruct
from wrlso.exceptions import DataError
from wrlso.history import History
from wrlso.surrogate.predictions import predict_measurements


class Half:
    """Gives back what has a positive first entry; the others as None, or as what it cannot read."""

    def __init__(self, loss=0.5):
        self.modes, self.value = [True], loss

    latent_dim = 1
    training = property(lambda self: self.modes[-1])

    def train(self, mode=True):
        self.modes.append(mode)

    def parameters(self):
        return iter(())

    def encode(self, inputs):
        assert not self.training
        return inputs.double()

    def decode(self, Z, temperature=0.0, generator=None):
        return [float(z[0]) if z[0] > 0 else (None if z[0] > -5 else "?") for z in Z]

    def loss(self, inputs):
        assert not self.training
        torch.rand(1)  # as a variational autoencoder does
        return torch.full((len(inputs),), self.value)

    def key(self, x):
        if x == "?":
            raise DataError("cannot read ?")
        return x


def history_of(values):
    history = History()
    history.add(list(values), list(values), torch.tensor(values)[:, None])
    return history


@given(
    st.lists(st.floats(-9, 9, width=32).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=20, unique=True)
)
def test_reconstruction_counts_what_comes_back(values):
    model, history = Half(), history_of(values)
    state = torch.get_rng_state()
    found = measure_reconstruction(model, history, np.arange(len(values)))
    assert found == {"n_points": len(values), "n_exact": sum(v > 0 for v in values), "loss": 0.5}
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_reconstruction_of_nothing_and_with_a_broken_loss():
    assert measure_reconstruction(Half(), History(), np.arange(0)) == {
        "n_points": 0,
        "n_exact": 0,
        "loss": None,
    }
    assert measure_reconstruction(Half(np.nan), history_of([1.0]), np.arange(1))["loss"] is None


@given(st.lists(st.integers(0, 50), max_size=300))
def test_the_best_rows_are_measured(values):
    y = np.array(values, dtype=float)
    observed = np.arange(len(y)) + 1000
    rows = rows_to_reconstruct(observed, y, np.arange(500))
    assert len(rows) == min(100, len(y) or 100)
    if len(y):
        assert sorted(y[rows - 1000]) == sorted(y)[-100:]
    else:
        np.testing.assert_array_equal(rows, np.arange(100))


def test_every_training_notes_reconstruction_before_and_after(opt):
    opt.retrain()
    first, second = (entry["reconstruction"] for entry in opt.history_.trainings)
    assert json.loads(json.dumps(first)) == first
    assert first["before"]["n_points"] == 40
    assert first["after"]["loss"] < first["before"]["loss"]
    assert second["before"] == first["after"]  # the same points and the same model


def test_measuring_changes_no_random_numbers(monkeypatch):
    X = words()
    asked = make_optimizer().fit(X, X.sum(axis=1)).ask(3)
    monkeypatch.setattr("wrlso._state.retraining.measure_reconstruction", lambda *_: {})
    monkeypatch.setattr(
        "wrlso._state.asking.predict_proposals",
        lambda surrogate, model, proposals, sign: [None] * len(proposals),
    )
    np.testing.assert_array_equal(make_optimizer().fit(X, X.sum(axis=1)).ask(3), asked)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_ask_notes_what_the_surrogate_expects_in_the_users_sign(direction, sign):
    X = words()
    opt = make_optimizer(direction=direction).fit(X, sign * X.sum(axis=1, dtype=float))
    x = opt.ask()
    (row,) = opt.history_.rows_with("pending")
    record = opt.history_.records[row]
    mean, deviation = record.prediction
    core = opt._session.learned
    expected, _ = core.fitted.surrogate.predict(torch.from_numpy(record.z)[None])
    assert mean == pytest.approx(sign * float(expected))
    assert deviation > 0
    opt.tell(x, 1.0)
    assert record.prediction == (mean, deviation)  # stays as it was made


def test_without_a_surrogate_nothing_is_predicted():
    X = words()
    opt = make_optimizer().fit(X)
    opt.ask(2)
    assert [r.prediction for r in opt.history_ if r.asked] == [None, None]


@pytest.mark.parametrize("transform", ["standardize", "winsorize", "floor"])
def test_predicted_measurements_hold_the_noise(transform):
    rng = np.random.default_rng(0)
    Z = torch.from_numpy(rng.normal(size=(200, 2)))
    y = 3 * Z[:, 0] + torch.from_numpy(rng.normal(size=200))
    surrogate = SparseGP(transform=transform, max_iter=20).fit(Z[:100], y[:100], rng)
    mean, deviation = predict_measurements(surrogate, Z[100:])
    _, variance = surrogate.predict(Z[100:])
    assert (deviation**2 > variance.numpy()).all()
    inside = np.abs(y[100:].numpy() - mean) < 1.6449 * deviation
    assert 0.8 <= inside.mean() <= 0.98
