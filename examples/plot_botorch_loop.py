"""
A loop of BoTorch over generated candidates
===========================================

You have a model and an acquisition function in BoTorch, and it optimises numbers. Let it choose among objects
that the generative model makes: new, valid and feasible ones.
"""

import warnings

import numpy as np
from torch import nn

from wrlso import CandidatePool, Trainer, WeightedRetrainingOptimizer
from wrlso.adapters import BoTorchAcquisition
from wrlso.plots import progress_curve

warnings.simplefilter("ignore")  # BoTorch uses what PyTorch will drop

from botorch import fit_gpytorch_mll
from botorch.acquisition import qLogNoisyExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim import optimize_acqf_discrete
from gpytorch.mlls import ExactMarginalLogLikelihood

rng = np.random.default_rng(0)
X = (rng.random((40, 20)) < 0.3).astype(np.uint8)


def measure(recipe):
    return float(recipe @ np.linspace(-1, 2, 20) + 0.1 * rng.normal())


def choose(choice):
    """Your loop: fit, and maximise over the candidates, with what is being evaluated in mind."""
    d = choice.points.shape[1]
    transforms = {"input_transform": Normalize(d), "outcome_transform": Standardize(1)}
    model = SingleTaskGP(choice.points, choice.y, **transforms)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    acquisition = qLogNoisyExpectedImprovement(model, choice.points, X_pending=choice.pending)
    return optimize_acqf_discrete(acquisition, q=choice.n, choices=choice.candidates)[0]


opt = WeightedRetrainingOptimizer(
    nn.Linear(20, 8),
    nn.Linear(4, 20),
    trainer=Trainer(initial_epochs=30),
    acquisition=BoTorchAcquisition(choose, pool=CandidatePool(100)),
    random_state=0,
)
opt.fit(X, [measure(x) for x in X])
start = opt.best_y_
for _ in range(4):
    batch = opt.ask(3)
    opt.tell(batch, [measure(x) for x in batch])
print(f"best {start:.1f} in the starting data, {opt.best_y_:.1f} after 12 measurements")
progress_curve(opt.y_[len(X) :], start=start)
