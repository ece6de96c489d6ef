"""
Half of the syntheses fail
==========================

A recipe of forty steps, each with or without an additive. Some pairs of additives do not go together, which
nobody knows. Failures are told as None; the search learns what they have in common.

"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from wrlso import WeightedRetrainingOptimizer


def synthesis(x):
    """The yield, to which each additive contributes; None where the synthesis fails."""
    if any(x[i] and x[i + 1] for i in (0, 6, 12)):
        return None
    return float(x @ contributions)


rng = np.random.default_rng(0)
contributions = rng.normal(size=40)
X = rng.integers(0, 2, (100, 40))
y = [synthesis(x) for x in X]
failed = np.array([value is None for value in y])
print(f"{failed.mean():.0%} of the first {len(X)} have failed")

torch.manual_seed(0)
opt = WeightedRetrainingOptimizer(
    nn.Sequential(nn.Linear(40, 32), nn.Tanh(), nn.Linear(32, 8)),
    nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 40)),
    random_state=0,
)
opt.fit(X, np.array([np.nan if value is None else value for value in y]), failed=failed)

asked = []
for _ in range(5):
    batch = opt.ask(4)
    results = [synthesis(x) for x in batch]
    opt.tell(batch, results)
    asked += results

share = np.mean([value is None for value in asked])
print(f"{share:.0%} of {len(asked)} proposals have failed; best yield {opt.best_y_:.1f}")
print("chances:", opt.probability_of_success_([opt.best_x_, np.ones(40, dtype=int)]).round(2))

# %%
# The share that has failed, of the starting data and of each batch:

shares = [failed.mean(), *np.mean(np.reshape([value is None for value in asked], (5, 4)), axis=1)]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.bar(["start", *(f"batch {i}" for i in range(1, 6))], shares, color=["0.6"] + 5 * ["#0072B2"])
axes.set(ylim=(0, 1), ylabel="share of failures")
