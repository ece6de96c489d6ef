"""
Why retraining matters
======================

The same search twice, on decoded points alone: once the model learns from what the search finds, once it stays
as the starting data made it. A model that never saw large squares does not propose them.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from wrlso import CandidatePool, LogExpectedImprovement, Trainer, WeightedRetrainingOptimizer, maximize

# %%
# Squares of at most 5 × 5 pixels in images of 12 × 12. The value of an image is its number of white pixels.

rng = np.random.default_rng(0)
X = np.zeros((64, 12, 12), dtype=np.uint8)
for image in X:
    side = rng.integers(2, 6)
    top, left = rng.integers(0, 13 - side, size=2)
    image[top : top + side, left : left + side] = 1
y = X.sum(axis=(1, 2))


def search(retrain_every):
    """Only the last argument differs between the two searches."""
    torch.manual_seed(0)
    pool = CandidatePool(200, sources=["prior", "near"])  # both decode points of the latent space
    opt = WeightedRetrainingOptimizer(
        nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.SiLU(), nn.Linear(64, 8)),
        nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 144), nn.Unflatten(1, (12, 12))),
        trainer=Trainer(initial_epochs=100, retrain_epochs=5, batch_size=16),
        acquisition=LogExpectedImprovement(search=pool),
        retrain_every=retrain_every,
        random_state=0,
    ).fit(X, y)
    found = maximize(np.sum, opt, n_calls=50, verbose=0).func_vals
    return np.maximum.accumulate([y.max(), *found])


with_retraining, without = search(5), search(None)
print(f"start {y.max()}, with retraining {with_retraining[-1]:.0f}, without {without[-1]:.0f}, of 144")

# %%
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(with_retraining, color="#0072B2", label="retrained after every 5 values")
axes.plot(without, color="0.5", label="never retrained")
axes.axhspan(0, y.max(), color="#56B4E9", alpha=0.3, lw=0, label="what the data reach")
axes.set(xlabel="evaluations", ylabel="pixels of the best image", ylim=(0, 150))
axes.legend()
