"""
Recover a formula from data
===========================

Somebody measured an unknown function at 200 points, with noise. Which formula is behind it? A grammar says
what a formula is, the model learns what formulas look like, and every proposal is scored by how well it fits.
"""

import matplotlib.pyplot as plt
import numpy as np

from wrlso import RankWeighting, Trainer, WeightedRetrainingOptimizer
from wrlso.tasks.expressions import Expressions, evaluate

# %%
# The data: a wave around a slope. The task holds the measured values and scores formulas by
# -log(1 + mean squared error); starting formulas are the worse half of a large set of simple ones.
points = np.linspace(-3, 3, 200)
measured = points / 2 + np.sin(3 * points) + 0.1 * np.random.default_rng(0).normal(size=200)
task = Expressions(target=measured, points=points, n_start=2000)
X, y = task.initial_data(0)

# %%
# The surrogate looks at fragments of formulas; log expected improvement and Thompson sampling take turns.
optimizer = WeightedRetrainingOptimizer(
    model=task.model(0),
    surrogate=task.surrogate(),
    acquisition=task.acquisition(),
    weighting=RankWeighting(1e-2),
    trainer=Trainer(initial_epochs=5, retrain_epochs=0.3),
    retrain_every=25,
    random_state=0,
)
optimizer.fit(X, y)
found = {0: optimizer.best_x_}
for i in range(1, 41):
    batch = optimizer.ask(5)
    optimizer.tell(batch, task.objectives(batch))
    if optimizer.best_x_ not in found.values():
        found[5 * i] = optimizer.best_x_

# %%
# The fit over time: what was known before, and each formula that was better than all before it.
figure, axes = plt.subplots(figsize=(8, 5))
axes.plot(points, measured, ".", color="0.6", label="measured")
colours = plt.get_cmap("viridis")(np.linspace(0.9, 0, len(found)))
for colour, (query, formula) in zip(colours, found.items(), strict=True):
    name = f"{query} queries: {formula}"
    axes.plot(points, evaluate([formula], points)[0], color=colour, label=name)
axes.set(xlabel="x", ylabel="y", ylim=(-4, 4), title=f"score {optimizer.best_y_:.3f}: {optimizer.best_x_}")
axes.legend(fontsize=7)
