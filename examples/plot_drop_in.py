"""
In the place of another optimizer
=================================

A loop that was written for scikit-optimize or for Nevergrad runs as it is with this library's optimizer. Here
the same loop runs twice, for 16 evaluations: one seed of a toy, which does not say which is better.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import skopt
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.adapters import SkoptOptimizer

warnings.filterwarnings("ignore", "The objective has been evaluated")  # scikit-optimize repeats points
N = 20


def cost(x):
    """Each one costs 1, and a pair of neighbours brings 1.5: no column matters by itself."""
    x = np.asarray(x)
    return float(x.sum() - 1.5 * (x[1:] * x[:-1]).sum())


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

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, result in {"scikit-optimize": loop(theirs), "wrlso": loop(ours)}.items():
    axes.step(range(17), np.minimum.accumulate([min(y), *result.func_vals[-16:]]), where="post", label=name)
axes.set(xlabel="evaluations", ylabel="least cost so far")
axes.legend()
