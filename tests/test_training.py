"""Training: the expected gradient first, then equivalences, then what must never happen."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wrlso import (
    VAE,
    DataError,
    GeometricBeta,
    NonFiniteLossError,
    ParameterError,
    ParameterTypeError,
    Trainer,
    rank_weights,
    uniform_weights,
)
from wrlso._utils.progress_bar import ProgressBar
from wrlso.testing import objective_values

RNG = np.random.default_rng
KINDS = ["replicate", "sample"]


class Means(nn.Module):
    """The simplest latent model: loss_i = (m - x_i)² / 2, whose weighted minimiser is the weighted mean."""

    latent_dim = 1

    def __init__(self, start=0.0):
        super().__init__()
        self.m = nn.Parameter(torch.tensor(start))
        self.seen = []

    def loss(self, inputs):
        self.seen.append(inputs.clone())
        return 0.5 * (self.m - inputs) ** 2


def batches_of(trainer, weights, length=1.0, seed=0):
    return list(trainer.batches(np.asarray(weights, float), length, RNG(seed)))


# ---------------------------------------------------------------- mathematics


@given(
    objective_values(min_size=1, max_size=60), st.floats(1e-3, 1.0), st.floats(0.5, 20), st.integers(1, 16)
)
@settings(deadline=None)
def test_replicated_training_has_the_gradient_of_weighted_training(y, k, w_max, batch_size):
    """Summed over one pass, Σ w_copy ∇L is proportional to Σ w_i ∇L_i (appendix A.2)."""
    w = rank_weights(y, k)
    per_point = np.zeros(len(y))
    n_copies = 0
    for rows, copies in batches_of(Trainer(w_max=w_max, batch_size=batch_size), w):
        np.add.at(per_point, rows.numpy(), copies.numpy().astype(float))
        n_copies += len(rows)
    np.testing.assert_allclose(per_point / per_point.sum(), w / w.sum(), rtol=1e-5, atol=1e-12)
    # and a minibatch's mean loss is an unbiased estimate of the weighted mean loss: the copies' mean is 1
    assert per_point.sum() / n_copies == pytest.approx(1.0, rel=1e-5)


def test_sampling_draws_in_proportion_to_the_weights():
    w = rank_weights(np.arange(20.0), 0.05)
    counts = np.zeros(20)
    for seed in range(300):
        for rows, copies in batches_of(Trainer(variance_reduction="sample"), w, seed=seed):
            assert copies is None
            np.add.at(counts, rows.numpy(), 1)
    expected = 300 * w
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()


@pytest.mark.parametrize("variance_reduction", ["replicate", "sample"])
def test_the_minimiser_is_the_weighted_mean(variance_reduction):
    x = torch.linspace(-1, 1, 50)
    w = rank_weights(x.numpy(), 0.1)
    model = Means()
    Trainer(initial_epochs=60, batch_size=25, lr=0.02, variance_reduction=variance_reduction).fit(
        model, x, w, RNG(0)
    )
    assert model.m.item() == pytest.approx(float(np.mean(w * x.numpy())), abs=0.06)
    assert float(np.mean(w * x.numpy())) > 0.3  # the unweighted mean is 0


@given(st.floats(0.01, 3.0), st.integers(1, 70), st.sampled_from(["replicate", "sample"]))
@settings(deadline=None, max_examples=50)
def test_fractions_of_an_epoch_see_that_share_of_the_data(epochs, n, variance_reduction):
    model = Means()
    log = Trainer(initial_epochs=epochs, batch_size=8, variance_reduction=variance_reduction).fit(
        model, torch.arange(float(n)), np.ones(n), RNG(1)
    )
    seen = sum(len(batch) for batch in model.seen)
    whole, part = divmod(epochs, 1)
    expected = whole * max(n, 2) + (
        max(round(part * n), 1 if n > 1 and round(part * n) > 1 else 2) if part else 0
    )
    assert seen == pytest.approx(expected, abs=1)
    assert log[-1]["epoch"] == pytest.approx(epochs)


def test_a_fraction_is_a_random_part_without_repeats():
    model = Means()
    Trainer(initial_epochs=0.3, batch_size=8).fit(model, torch.arange(100.0), np.ones(100), RNG(2))
    seen = torch.cat(model.seen)
    assert len(seen.unique()) == 30
    assert seen.max() > 50  # not just the first 30


@given(st.integers(0, 100_000))
def test_beta_grows_from_start_to_stop(step):
    schedule = GeometricBeta()
    assert 1e-6 * (1 - 1e-9) <= schedule(step) <= schedule(step + 1) <= 10.0
    assert schedule(1000) == pytest.approx(1e-6)
    assert schedule(1010) == pytest.approx(1.1e-6)
    assert schedule(10**9) == 10.0


# ---------------------------------------------------------------- equivalences


def tiny_vae(seed=0, **options):
    torch.manual_seed(seed)
    return VAE(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 4)), nn.Linear(2, 8), **options)


X = np.random.default_rng(0).integers(0, 2, (40, 8)).astype(np.uint8)


def weights_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_k_infinite_trains_exactly_as_uniform_weights():
    results = []
    for w in (rank_weights(np.arange(40.0), math.inf), uniform_weights(np.arange(40.0)), np.full(40, 7.0)):
        vae = tiny_vae()
        Trainer(initial_epochs=3).fit(vae, vae.tensorize(X), w, RNG(3))
        results.append(weights_of(vae))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_training_equals_a_loop_written_by_hand():
    trained, by_hand = tiny_vae(), tiny_vae()
    w = rank_weights(np.arange(40.0), 0.1)
    trainer = Trainer(initial_epochs=2, batch_size=16, lr=0.01)
    rng = RNG(4)
    inputs = trained.tensorize(X)
    trainer.fit(trained, inputs, w, rng)

    rng = RNG(4)
    torch.manual_seed(int(rng.integers(2**63)))
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=0.01)
    by_hand.train()
    for _ in range(2):
        for rows, copies in trainer.batches(w, 1.0, rng):
            optimizer.zero_grad()
            (by_hand.loss(inputs[rows]) * copies).mean().backward()
            optimizer.step()
    assert torch.equal(weights_of(trained), weights_of(by_hand))


def test_same_generator_same_weights_and_global_state_untouched():
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    results = []
    for _ in range(2):
        vae = tiny_vae()
        torch.random.set_rng_state(states[0])
        Trainer(initial_epochs=2).fit(vae, vae.tensorize(X), np.ones(40), RNG(5))
        assert torch.equal(torch.random.get_rng_state(), states[0])
        results.append(weights_of(vae))
    assert torch.equal(*results)
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_fine_tuning_continues_and_fit_uses_its_own_number_of_epochs():
    vae = tiny_vae()
    inputs = vae.tensorize(X)
    trainer = Trainer(initial_epochs=4, retrain_epochs=1.5, lr=0.01, retrain_lr=1e-9)
    assert [entry["epoch"] for entry in trainer.fit(vae, inputs, np.ones(40), RNG(6))] == [1, 2, 3, 4]
    before = weights_of(vae)
    log = trainer.fine_tune(vae, inputs, np.ones(40), RNG(7))
    assert [entry["epoch"] for entry in log] == [1, 1.5]
    torch.testing.assert_close(weights_of(vae), before, rtol=0, atol=1e-6)  # a tiny step from where fit ended
    assert not torch.equal(weights_of(vae), before)


def test_the_schedule_sets_beta_during_fit_only():
    vae = tiny_vae(beta=0.7)
    trainer = Trainer(initial_epochs=2, batch_size=20, beta_schedule=GeometricBeta(1e-3, 0.1, 2.0, 1, 0))
    log = trainer.fit(vae, vae.tensorize(X), np.ones(40), RNG(8))
    assert [entry["beta"] for entry in log] == pytest.approx([2e-3, 8e-3])
    assert vae.beta == 0.7
    assert trainer.fine_tune(vae, vae.tensorize(X), np.ones(40), RNG(8))[0]["beta"] == 0.7


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 40), st.floats(0.1, 6), st.sampled_from(KINDS))
@settings(max_examples=60)
def test_steps_are_bounded_and_no_bound_that_is_not_reached_matters(n, batch_size, most, epochs, kind):
    def train(bound):
        trainer = Trainer(
            initial_epochs=epochs, initial_steps=bound, batch_size=batch_size, variance_reduction=kind
        )
        model = Means()
        return trainer.fit(model, torch.arange(float(n)), np.ones(n), RNG(0)), float(model.m.detach())

    free, bounded = train(None), train(most)
    n_steps = bounded[0][-1]["n_steps"]
    assert 1 <= n_steps <= most
    assert bounded[0][-1]["epoch"] <= epochs + 1e-9
    reached = free[0][-1]["n_steps"] > most or max(batch_size, 2) * most < n * epochs
    if reached:
        assert n_steps >= min(most, free[0][-1]["n_steps"]) - 1
    else:
        assert bounded[1] == free[1]


def test_no_epochs_change_nothing():
    vae = tiny_vae()
    before = weights_of(vae)
    assert Trainer(initial_epochs=0).fit(vae, vae.tensorize(X), np.ones(40), RNG(9)) == []
    assert torch.equal(weights_of(vae), before)


def test_batch_normalisation_never_meets_a_batch_of_one():
    for n in (1, 2, 17, 33):
        vae = VAE(nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 4)), nn.Linear(2, 8))
        log = Trainer(initial_epochs=1, batch_size=16).fit(vae, vae.tensorize(X[:n]), np.ones(n), RNG(0))
        assert math.isfinite(log[0]["loss"])


def test_clipping_bounds_every_gradient():
    class Steep(Means):
        def loss(self, inputs):
            return 1e6 * super().loss(inputs)

    norms = []
    model = Steep()
    original = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        norms.append(float(model.m.grad.norm()))
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        Trainer(initial_epochs=1, grad_clip=0.5).fit(model, torch.ones(20), np.ones(20), RNG(0))
    assert norms
    assert max(norms) <= 0.5 * (1 + 1e-5)


# ---------------------------------------------------------------- what goes wrong


def test_a_loss_that_stops_being_finite_leaves_the_last_good_weights():
    class Breaks(Means):
        def loss(self, inputs):
            losses = super().loss(inputs)
            return losses * math.nan if len(self.seen) > 12 else losses

    model = Breaks()
    snapshots = []
    original = Breaks.loss

    def loss(self, inputs):
        if len(self.seen) % 5 == 0:
            snapshots.append(self.m.item())
        return original(self, inputs)

    Breaks.loss = loss
    with pytest.raises(NonFiniteLossError, match=r"stopped in epoch 3, step 13: the loss became nan"):
        Trainer(initial_epochs=9, batch_size=4).fit(model, torch.ones(20), np.ones(20), RNG(0))
    assert model.m.item() == snapshots[2]  # where the third pass began
    assert snapshots[2] != 0.0


def test_a_weight_that_stops_being_finite_is_noticed_at_the_end_of_the_pass():
    class Hidden(Means):
        def loss(self, inputs):
            losses = super().loss(inputs)
            losses.register_hook(lambda gradient: gradient * math.nan)
            return losses

    model = Hidden(0.25)
    with pytest.raises(NonFiniteLossError, match="a weight became NaN or infinite"):
        Trainer(initial_epochs=1, batch_size=50).fit(model, torch.ones(20), np.ones(20), RNG(0))
    assert model.m.item() == 0.25


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initial_epochs": -1}, ParameterError, "initial_epochs must be a finite number >= 0, got -1"),
        (
            {"retrain_epochs": math.nan},
            ParameterError,
            "retrain_epochs must be a finite number >= 0, got nan",
        ),
        ({"batch_size": 0}, ParameterError, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 1.5}, ParameterTypeError, "batch_size must be an integer"),
        ({"lr": 0}, ParameterError, "lr must be a finite number > 0, got 0"),
        (
            {"variance_reduction": "drop"},
            ParameterError,
            "variance_reduction must be one of 'replicate', 'sample'",
        ),
        ({"initial_steps": 0}, ParameterError, "initial_steps must be an integer of at least 1, or None"),
        ({"retrain_steps": 1.5}, ParameterTypeError, "retrain_steps must be an integer"),
        (
            {"w_max": 2.0, "variance_reduction": "sample"},
            ParameterError,
            "w_max must be 5, the default, with variance_reduction='sample'",
        ),
        (
            {"initial_epochs": 0, "beta_schedule": GeometricBeta()},
            ParameterError,
            "beta_schedule must be None with initial_epochs=0",
        ),
        ({"w_max": 0}, ParameterError, "w_max must be a number > 0, got 0"),
        ({"retrain": "never"}, ParameterError, "retrain must be one of 'finetune', 'scratch'"),
        ({"grad_clip": -1}, ParameterError, "grad_clip must be a finite number > 0, or None"),
        ({"beta_schedule": 3}, ParameterTypeError, "beta_schedule must be callable or None, got 3"),
    ],
)
def test_parameters_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        Trainer(**options).fit(Means(), torch.ones(3), np.ones(3), RNG(0))


def test_weights_must_fit_the_inputs():
    with pytest.raises(DataError, match="3"):
        Trainer().fit(Means(), torch.ones(4), np.ones(3), RNG(0))
    with pytest.raises(DataError, match="at least one x"):
        Trainer().fit(Means(), torch.ones(0), np.ones(0), RNG(0))


def test_a_schedule_needs_a_model_with_beta():
    with pytest.raises(ParameterTypeError, match="needs a model with an attribute beta"):
        Trainer(beta_schedule=GeometricBeta()).fit(Means(), torch.ones(4), np.ones(4), RNG(0))


@pytest.mark.parametrize("epochs", [0, 0.3, 1, 2.5])
def test_the_bar_moves_with_every_step_and_ends_full(epochs, monkeypatch, capsys):
    seen = []

    class Bar(ProgressBar):
        def update(self, n=1):
            seen.append(n)
            return super().update(n)

    monkeypatch.setattr("wrlso.training.trainer.ProgressBar", Bar)
    trainer = Trainer(initial_epochs=epochs, batch_size=4, w_max=math.inf)
    log = trainer.fit(Means(), torch.ones(40), np.ones(40), RNG(0), verbose=1)
    assert len(seen) == (log[-1]["n_steps"] if epochs else 0)
    assert sum(seen) == pytest.approx(epochs)
    assert f"0.00 of {epochs:.2f} epochs [" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_killed_process_with_a_progress_bar_does_not_stop_training():
    code = """
import os, signal
import numpy as np
from torch import nn
from tqdm.auto import tqdm
from wrlso import VAE, Trainer
lock = tqdm.get_lock()  # shared with what is forked
if os.fork() == 0:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
model = VAE(nn.Linear(4, 4), nn.Linear(2, 4))
inputs = model.tensorize([[0, 1, 0, 1]] * 8)
Trainer(initial_epochs=1).fit(model, inputs, np.ones(8), np.random.default_rng(0))
print("trained")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("trained\n", "")
