"""
In the place of another optimizer
=================================

A loop that was written for scikit-optimize or for Nevergrad runs as it is with this library's optimizer. Here
the same loop runs twice.
"""

import warnings

import numpy as np
import skopt
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.adapters import SkoptOptimizer

warnings.filterwarnings("ignore", "The objective has been evaluated")  # scikit-optimize repeats points
N = 20


def cost(x):
    """Four ones in a row are wanted, and few others: no column matters by itself."""
    x = np.asarray(x)
    runs = np.convolve(x, np.ones(4), "valid") == 4
    return float(x.sum() - 8 * runs[::4].sum())


def loop(opt):
    for _ in range(4):
        X = opt.ask(n_points=4)
        result = opt.tell(X, [cost(x) for x in X])
    return result


rng = np.random.default_rng(0)
X = (rng.random((60, N)) < 0.4).astype(np.uint8)
y = [cost(x) for x in X]

space = [skopt.space.Integer(0, 1)] * N
few = {"n_points": 500}
theirs = skopt.Optimizer(space, "RF", n_initial_points=0, acq_optimizer_kwargs=few, random_state=0)
theirs.tell(X.tolist(), y)

ours = WeightedRetrainingOptimizer(
    nn.Sequential(nn.Linear(N, 32), nn.ReLU(), nn.Linear(32, 12)),
    nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, N)),
    trainer=Trainer(initial_epochs=30),
    direction="minimize",
    random_state=0,
)
ours = SkoptOptimizer(ours.fit(X, y))

print("starting data  ", min(y))
print("scikit-optimize", loop(theirs).fun)
print("wrlso          ", loop(ours).fun)
