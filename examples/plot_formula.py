"""
Recover a formula from data
===========================

An unknown function was measured at 1,000 points, with noise. Which formula is behind it? A grammar defines
formulas, the model learns from 5,000 of them, and the score of each proposal is its fit to the data.
"""

import matplotlib.pyplot as plt
import numpy as np

from wrlso import RankWeighting, Trainer, WeightedRetrainingOptimizer
from wrlso.tasks.expressions import Expressions, evaluate

# %%
# The data: a straight line with a wave on it. The task holds the measured values and scores formulas by
# -log(1 + mean squared error). It starts with 5,000 formulas from the worse half of a large set.
points = np.linspace(-10, 10, 1000)
measured = 1 / 3 + points + np.sin(points**2) + 0.1 * np.random.default_rng(0).normal(size=1000)
task = Expressions(target=measured, points=points)
X, y = task.initial_data(0)

# %%
# The surrogate compares what formulas do: their values. Candidates come from the decoder, and from mutation
# and crossover of formulas.
optimizer = WeightedRetrainingOptimizer(
    **task.search_options(0),
    weighting=RankWeighting(1e-2),
    trainer=Trainer(initial_epochs=10, retrain_epochs=0.3),
    random_state=0,
)
optimizer.fit(X, y)
found = {0: optimizer.best_x_}
for i in range(1, 21):
    batch = optimizer.ask(5)
    optimizer.tell(batch, task.objectives(batch))
    if optimizer.best_x_ not in found.values():
        found[5 * i] = optimizer.best_x_

# %%
# The fit over time: the best formula before the search, and each later best one.
figure, axes = plt.subplots(figsize=(8, 5))
middle = np.abs(points) < 4
axes.plot(points[middle], measured[middle], ".", color="0.6", label="measured")
colours = plt.get_cmap("viridis")(np.linspace(0.9, 0, len(found)))
for colour, (query, formula) in zip(colours, found.items(), strict=True):
    values = evaluate([formula], points[middle])[0]
    axes.plot(points[middle], values, color=colour, label=f"{query} queries: {formula}")
axes.set(xlabel="x", ylabel="y", ylim=(-7, 7), title=f"score {optimizer.best_y_:.3f}: {optimizer.best_x_}")
axes.legend(fontsize=7)
