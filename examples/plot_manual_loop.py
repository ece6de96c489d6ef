"""
A loop of your own
==================

Ask and tell in any order: results come late, fail, are repeated or corrected, and points may be your own.
"""

import matplotlib.pyplot as plt
import numpy as np
from torch import nn

from wrlso import NoCandidateError, Trainer, WeightedRetrainingOptimizer

rng = np.random.default_rng(0)
X = (rng.random((50, 20)) < 0.3).astype(np.uint8)  # recipes: which of 20 ingredients go in


def laboratory(recipe):
    """A day's work: noisy, and ingredient 0 with 1 explodes."""
    return None if recipe[0] and recipe[1] else float(recipe @ np.linspace(-1, 2, 20) + rng.normal() / 10)


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
    opt.tell(recipes[:6], [laboratory(x) for x in recipes[:6]])  # two of them wait for next week …
    opt.release(recipes[6])  # … and one of those will not be made

# %%
# Correct a typo, repeat a measurement, and add a colleague's point.

opt.update(X[0], laboratory(X[0]) or 0.0)
opt.tell(opt.best_x_, laboratory(opt.best_x_))
opt.tell(1 - X[1], laboratory(1 - X[1]))

# When ask finds no new, valid and feasible point, it raises an error.
try:
    opt.set_params(feasible=lambda recipe: False).ask()
except NoCandidateError as error:
    print(error)

# %%
# Each row is a recipe in the order of the asks; columns further right are worth more.

asked = [record for record in opt.history_.records if record.asked]
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
shades = {"observed": 1.0, "failed": 0.6, "pending": 0.3, "released": 0.15}
picture = axes.imshow([record.x * shades[record.status] for record in asked], cmap="magma_r", aspect="auto")
axes.set(xlabel="ingredient", ylabel="recipe", xticks=range(20))
figure.colorbar(picture).set_ticks(list(shades.values()), labels=list(shades))
