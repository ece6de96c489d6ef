"""
Bring your own BoTorch model
============================

A lab has a Gaussian process of its own, here with the sum of two kernels and a prior on the noise.
``BoTorchSurrogate`` puts it in the place of the default: on the latent points, or on features of x.
"""

import numpy as np
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import LogNormalPrior
from torch import nn

from wrlso import BoTorchSurrogate, WeightedRetrainingOptimizer, maximize
from wrlso.plots import progress_curve


def process(X, Y):
    """The model of the lab: X (n, d) in the unit cube, Y (n, 1) with mean 0 and variance 1."""
    kernel = ScaleKernel(MaternKernel(nu=1.5, ard_num_dims=X.shape[1])) + ScaleKernel(RBFKernel())
    likelihood = GaussianLikelihood(noise_prior=LogNormalPrior(-4.0, 1.0))
    return SingleTaskGP(X, Y, likelihood=likelihood, covar_module=kernel)


def experiment(x):
    """Counts ones that have a zero on their right."""
    return float(np.sum((x[:-1] == 1) & (x[1:] == 0)))


rng = np.random.default_rng(0)
X = np.array([x for x in rng.integers(0, 2, (80, 16)) if experiment(x) <= 4])
y = [experiment(x) for x in X]

torch.manual_seed(0)
opt = WeightedRetrainingOptimizer(
    nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 8)),
    nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16)),
    surrogate=BoTorchSurrogate(process, on="features"),  # or "latent", or a function of a list of x
    random_state=0,
).fit(X, y)
result = maximize(experiment, opt, n_calls=8)
print(f"{max(y):g} in the data, {opt.best_y_:g} after 8 experiments")

# %%
# The eight experiments:

progress_curve(result.func_vals, start=max(y))
