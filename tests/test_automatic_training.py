"""Trainings whose length and β follow from the data."""

import logging

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info
from torch import nn

from wrlso import VAE, RankWeighting, Trainer, WeightedRetrainingOptimizer
from wrlso._state.training_log import in_words
from wrlso.training.automatic import (
    _held_out,
    active_dimensions,
    seconds_of_step,
    steps_of_first,
    steps_of_later,
)

RNG = np.random.default_rng
X = words(60)


def tiny_vae(beta=1.0):
    torch.manual_seed(0)
    return VAE(nn.Linear(12, 4), nn.Linear(2, 12), beta=beta)


def weights_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(trainer=None, beta=1.0, **options):
    vae = tiny_vae(beta)
    trainer = trainer or Trainer(lr=0.01, initial_steps=700)
    return vae, trainer.fit(vae, vae.tensorize(X), np.ones(len(X)), RNG(0), **options)


# ---------------------------------------------------------------- lengths


@given(st.integers(1, 10**6), st.floats(1e-3, 100), st.integers(1, 512))
def test_a_first_training_is_bounded_by_passes_and_by_its_cost(n, seconds, batch_size):
    steps = steps_of_first(n, seconds, batch_size)
    assert 1 <= steps <= steps_of_first(n, 1e-3, batch_size)
    assert steps == 1 or steps * seconds <= 60
    assert steps <= steps_of_first(n + 10_000, seconds, batch_size)


@given(st.integers(0, 10**6), st.floats(1e-3, 100))
def test_a_retraining_is_as_long_as_the_new_points_need(n_new, seconds):
    fewest, most = steps_of_later(n_new, seconds)
    assert 1 <= fewest <= most <= 1000
    assert most == 1 or most * seconds <= 10
    assert fewest >= 25 or seconds > 10 / 25
    more = steps_of_later(n_new + 100, seconds)
    assert more[0] >= fewest
    assert more[1] >= most


def test_a_retraining_goes_on_while_the_loss_falls():
    def steps(start):
        vae = tiny_vae()
        if start:
            Trainer(initial_epochs=start, lr=0.01).fit(vae, vae.tensorize(X), np.ones(60), RNG(0))
        log = Trainer(lr=0.01).fine_tune(vae, vae.tensorize(X), np.ones(60), RNG(0), n_new=20)
        return log[-1]["n_steps"]

    assert 40 <= steps(2000) < steps(0) <= 200


def test_what_a_step_costs_is_estimated_the_same_in_every_call_and_grows_with_the_networks():
    large = VAE(nn.Sequential(nn.Linear(12, 3000), nn.Linear(3000, 4)), nn.Linear(2, 12))
    small = tiny_vae()
    inputs = small.tensorize(X)
    large.tensorize(X)
    assert seconds_of_step(small, inputs, 64) == seconds_of_step(small, inputs, 64)
    assert seconds_of_step(small, inputs, 64) < seconds_of_step(large, inputs, 64)


@given(st.lists(st.floats(0, 10), min_size=50, max_size=300), st.integers(0, 100))
@settings(max_examples=50)
def test_a_tenth_is_held_out_but_none_of_the_heaviest(weights, seed):
    w = np.array(weights)
    held = _held_out(w, RNG(seed))
    n = int((w > 0).sum())
    assert len(set(held)) == len(held) == (n // 10 if n >= 50 else 0)
    assert (w[held] > 0).all()
    if len(held):
        assert w[held].max() <= np.sort(w)[-10]


def test_what_is_held_out_is_not_trained_on():
    class OwnNumbers(nn.Module):
        """Each row has a number of its own, and all share one: a row that is trained on moves its own."""

        def __init__(self):
            super().__init__()
            self.own, self.shared = nn.Parameter(torch.zeros(200)), nn.Parameter(torch.zeros(()))

        def loss(self, rows):
            return (self.own[rows] + self.shared - 1.0) ** 2

    model = OwnNumbers()
    Trainer(initial_steps=200).fit(model, torch.arange(200), np.ones(200), RNG(0))
    assert float(model.shared.detach()) > 0
    assert int((model.own.detach() == 0).sum()) == 20


def test_few_points_are_all_trained_for_a_fixed_number_of_steps():
    vae = tiny_vae()
    log = Trainer().fit(vae, vae.tensorize(X[:10]), np.ones(10), RNG(0))
    assert log[-1]["n_steps"] == 500
    assert "held_out" not in log[-1]


# ---------------------------------------------------------------- the held-out tenth


def test_the_weights_of_the_best_look_stay():
    _, log = trained(Trainer(lr=0.05))
    looks = {entry["n_steps"]: entry["held_out"] for entry in log[:-1] if "held_out" in entry}
    assert log[-1]["held_out"] == min(looks.values())
    assert log[-1]["best_step"] < log[-1]["n_steps"] < 4000  # it has ended by itself
    assert looks[log[-1]["best_step"]] == log[-1]["held_out"]


def test_the_same_call_gives_the_same_weights_and_leaves_global_random_state():
    before = torch.random.get_rng_state()
    first, _ = trained(Trainer(lr=0.01, initial_steps=60))
    torch.random.set_rng_state(before)
    again, _ = trained(Trainer(lr=0.01, initial_steps=60))
    assert torch.equal(weights_of(first), weights_of(again))


def test_a_trained_model_is_not_made_worse():
    vae, log = trained(Trainer(lr=0.01))
    known = log[-1]["held_out"]
    before = weights_of(vae)
    log = Trainer(lr=1.0, initial_steps=60).fit(vae, vae.tensorize(X), np.ones(len(X)), RNG(0))
    assert log[-1]["best_step"] == 0
    assert log[-1]["held_out"] == pytest.approx(known)
    assert torch.equal(weights_of(vae), before)


# ---------------------------------------------------------------- β


def test_beta_rises_from_zero_and_only_where_the_model_knows_nothing():
    vae, log = trained(beta=0.1)
    betas = [entry["beta"] for entry in log]
    assert betas[0] < 0.02
    assert betas == sorted(betas)
    assert betas[-1] == vae.beta == 0.1
    log = Trainer(lr=1e-3, initial_steps=60).fit(vae, vae.tensorize(X), np.ones(len(X)), RNG(1))
    assert {entry["beta"] for entry in log} == {0.1}


def test_collapse_is_noticed_and_answered_with_a_smaller_beta(caplog):
    with caplog.at_level(logging.INFO, "wrlso"):
        vae, log = trained(beta=30.0)
    assert "all latent points are the same" in caplog.text
    assert log[-1]["beta_share"] < 1
    assert active_dimensions(vae, vae.tensorize(X)) > 0
    assert vae.beta == 30.0
    share = log[-1]["beta_share"]
    log = Trainer().fine_tune(vae, vae.tensorize(X), np.ones(60), RNG(0), n_new=1, beta_share=share)
    assert {entry["beta"] for entry in log} == {30.0 * share}


def test_a_campaign_keeps_the_smaller_beta_and_says_so_also_when_it_is_loaded(tmp_path):
    networks = {"encoder": tiny_vae().encoder, "decoder": tiny_vae().decoder}
    opt = WeightedRetrainingOptimizer(**networks, beta=30.0, trainer=Trainer(lr=0.01), random_state=0)
    opt.fit(X, X.sum(axis=1))
    share = opt.history_.trainings[-1]["epochs"][-1]["beta_share"]
    assert share < 1
    opt.save(tmp_path / "campaign")
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks)
    for each in (opt, again):
        each.retrain()
        assert each.history_.trainings[-1]["epochs"][-1]["beta_share"] <= share
    assert torch.equal(weights_of(opt.model_), weights_of(again.model_))


# ---------------------------------------------------------------- what a training says


def test_the_log_says_what_happened(caplog):
    with caplog.at_level(logging.INFO, "wrlso"):
        opt = make_optimizer(trainer=Trainer(initial_steps=100), weighting=RankWeighting(k=0.5)).fit(
            X, X.sum(axis=1)
        )
    entry = opt.history_.trainings[-1]
    assert entry["k"] == 0.5
    assert 0 <= entry["active"] <= entry["latent_dim"] == opt.model_.latent_dim
    assert 1 <= entry["effective_sample_size"] <= 60
    assert in_words(entry) in caplog.text
    assert in_words(entry).startswith("100 steps on 60 values; ")


def test_small_networks_are_trained_on_one_thread():
    seen = []

    class Watching(Trainer):
        def fit(self, *args, **options):
            seen.append((torch.get_num_threads(), {lib["num_threads"] for lib in threadpool_info()}))
            return []

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make_optimizer(trainer=Watching()).fit(X, X.sum(axis=1))
        assert seen == [(1, {1})]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
