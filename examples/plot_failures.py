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

# %%
# Has it learned what fails? The chances that it gives to 1,000 new recipes, by what would happen:

new = rng.integers(0, 2, (1000, 40))
chances = opt.probability_of_success_(new)
fails = np.array([synthesis(x) is None for x in new])
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
bins, colors = np.linspace(0, 1, 11), ["#0072B2", "#D55E00"]
axes.hist([chances[~fails], chances[fails]], bins, label=["succeeds", "fails"], color=colors)
axes.set(xlabel="predicted chance of success", ylabel="recipes")
axes.legend()
