"""A small problem that takes milliseconds: binary words of 12 letters, the more ones the better."""

import os

# before torch is imported, and inherited by the programs that tests start: two test workers share two cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import nn

from wrlso import CandidatePool, LogExpectedImprovement, SparseGP, Trainer, WeightedRetrainingOptimizer
from wrlso.report import drawings as _drawings

# Machines under load are slow; that is no failure of the property under test, nor of how it is drawn.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

N_LETTERS = 12


def count(x) -> float:
    return float(np.sum(x))


def networks(d=3):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(N_LETTERS, 24), nn.Tanh(), nn.Linear(24, 2 * d))
    decoder = nn.Sequential(nn.Linear(d, 24), nn.Tanh(), nn.Linear(24, N_LETTERS))
    return encoder, decoder


def words(n=40, most=5, seed=0):
    """Distinct words with at most ``most`` ones: the good ones are not in the data."""
    rng = np.random.default_rng(seed)
    every = (np.arange(2**N_LETTERS)[:, None] >> np.arange(N_LETTERS)) & 1
    few = every[(every.sum(axis=1) <= most) & (every.sum(axis=1) > 0)]
    return few[rng.choice(len(few), n, replace=False)].astype(np.uint8)


def make_optimizer(**options):
    defaults = {
        "trainer": Trainer(initial_epochs=20, retrain_epochs=2, batch_size=16, lr=0.01),
        "surrogate": SparseGP(max_iter=10, warm_iter=5),
        "acquisition": LogExpectedImprovement(search=CandidatePool(n_candidates=200)),
        "retrain_every": 5,
        "random_state": 0,
    }
    if not getattr(options.get("acquisition"), "uses_surrogate", True):
        del defaults["surrogate"]
    if "model" not in options:
        defaults["encoder"], defaults["decoder"] = networks()
    return WeightedRetrainingOptimizer(**(defaults | options))


@pytest.fixture(autouse=True)
def _drawings_of_before():
    """What a test, an example or a page of the documentation registers is forgotten after it."""
    before = dict(_drawings._registered)
    yield
    _drawings._registered.clear()
    _drawings._registered.update(before)


@pytest.fixture
def opt():
    """An optimizer that is fitted to 40 words."""
    X = words()
    return make_optimizer().fit(X, X.sum(axis=1))
