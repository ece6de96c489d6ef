"""
A loop of your own
==================

The optimizer does not call your experiment. You call :meth:`ask` and :meth:`tell` in any order and at any
pace. Results may come late, fail, be repeated or corrected, and you may tell points of your own.
"""

import numpy as np
from torch import nn

from wrlso import NoCandidateError, Trainer, WeightedRetrainingOptimizer

rng = np.random.default_rng(0)
X = (rng.random((50, 20)) < 0.3).astype(np.uint8)  # recipes: which of 20 ingredients go in


def laboratory(recipe):
    """A day's work: noisy, and ingredient 0 with ingredient 1 explodes."""
    if recipe[0] and recipe[1]:
        return None
    return float(recipe @ np.linspace(-1, 2, 20) + 0.1 * rng.normal())


opt = WeightedRetrainingOptimizer(
    nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 10)),
    nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 20)),
    trainer=Trainer(initial_epochs=50, retrain_epochs=5),
    feasible=lambda recipe: recipe.sum() <= 15,  # more does not fit into the flask
    retrain_every=16,
    random_state=0,
)
opt.tell(X, [laboratory(x) for x in X])  # points told before the first ask are the starting data

for _week in range(6):
    recipes = opt.ask(8)
    results = [laboratory(x) for x in recipes[:6]]  # two of them wait for next week …
    opt.tell(recipes[:6], results)
    opt.release(recipes[6])  # … and one of those will not be made

print(opt)

# %%
# Correct a typo, repeat a measurement, and add a colleague's point.

opt.update(X[0], laboratory(X[0]) or 0.0)
opt.tell(opt.best_x_, laboratory(opt.best_x_))
opt.tell(1 - X[1], laboratory(1 - X[1]))

# %%
# When ask finds no new, valid and feasible point, it raises an error instead of hanging.

try:
    opt.set_params(feasible=lambda recipe: False).ask()
except NoCandidateError as error:
    print(error)
