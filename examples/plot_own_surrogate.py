"""
Bring your own BoTorch model
============================

A lab has a Gaussian process of its own, here with a Matérn kernel, a kernel for periods and a prior on the
noise. ``BoTorchSurrogate`` puts it in the place of the default: on the latent points, or on features of x.
"""

import numpy as np
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, PeriodicKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import LogNormalPrior
from torch import nn

from wrlso import BoTorchSurrogate, WeightedRetrainingOptimizer, maximize


def process(X, Y):
    """The model of the lab: X (n, d) in the unit cube, Y (n, 1) with mean 0 and variance 1."""
    kernel = MaternKernel(nu=2.5, ard_num_dims=X.shape[1]) + PeriodicKernel(ard_num_dims=X.shape[1])
    likelihood = GaussianLikelihood(noise_prior=LogNormalPrior(-4.0, 1.0))
    return SingleTaskGP(X, Y, likelihood=likelihood, covar_module=ScaleKernel(kernel))


def experiment(x):
    """Counts ones that have a zero on their right."""
    return float(np.sum((x[:-1] == 1) & (x[1:] == 0)))


rng = np.random.default_rng(0)
X = rng.integers(0, 2, (60, 16))
y = [experiment(x) for x in X]

for on in ("latent", "features"):
    torch.manual_seed(0)
    opt = WeightedRetrainingOptimizer(
        nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 8)),
        nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16)),
        surrogate=BoTorchSurrogate(process, on=on),
        random_state=0,
    ).fit(X, y)
    maximize(experiment, opt, n_calls=8)
    print(f"on {on}: {max(y):g} in the data, {opt.best_y_:g} after 8 experiments")
