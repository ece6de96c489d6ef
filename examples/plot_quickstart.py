"""
Quickstart
==========

Two torch modules, some data and an objective: find images with more lit pixels than any starting image.
"""

import numpy as np
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer, maximize
from wrlso.plots import progress_curve

# %%
# Starting data: 64 squares of at most 6 × 6 pixels in images of 12 × 12, and their values. Here the
# experiment is cheap: it counts pixels. The best possible image has 144.

X = np.zeros((64, 12, 12), dtype=np.uint8)
rng = np.random.default_rng(0)
for image in X:
    side = rng.integers(2, 7)
    top, left = rng.integers(0, 13 - side, size=2)
    image[top : top + side, left : left + side] = 1
y = X.sum(axis=(1, 2))

# %%
# A model: any encoder that returns mean and log-variance, any decoder that returns logits.

encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.SiLU(), nn.Linear(64, 8))
decoder = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 144), nn.Unflatten(1, (12, 12)))

# %%
# The optimizer trains a copy of the model, searches its latent space, and trains it further every 10 results.

trainer = Trainer(initial_epochs=100, retrain_epochs=5, batch_size=16)
opt = WeightedRetrainingOptimizer(encoder, decoder, trainer=trainer, retrain_every=10, random_state=0)
opt.fit(X, y)
result = maximize(np.sum, opt, n_calls=40)
print(f"best of the data: {y.max()}, best found: {result.fun:.0f} after {result.nfev} evaluations")
print(opt)

# %%
# Every value and the best so far:

progress_curve(result.func_vals, start=y.max(), optimum=144)
