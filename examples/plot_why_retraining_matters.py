"""
Why retraining matters
======================

The same search twice: data, networks, seed and experiments are the same, and only one is retrained. Then the
study of which this is the small form, drawn from its records (:doc:`/benchmarks`).
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import wrlso
from wrlso import CandidatePool, LogExpectedImprovement, Trainer, WeightedRetrainingOptimizer, maximize

rng = np.random.default_rng(0)
X = np.zeros((200, 16, 16), dtype=np.uint8)  # squares of at most 6 × 6 pixels; the best image has 256
for image in X:
    side = rng.integers(2, 7)
    top, left = rng.integers(0, 17 - side, size=2)
    image[top : top + side, left : left + side] = 1
prior = LogExpectedImprovement(search=CandidatePool(200, sources=["prior"]))  # only what the model makes


def search(retrain_every):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 64), nn.SiLU(), nn.Linear(64, 8))
    decoder = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 256), nn.Unflatten(1, (16, 16)))
    trainer = Trainer(initial_epochs=60, retrain_epochs=5, batch_size=16)
    options = {"trainer": trainer, "acquisition": prior, "random_state": 0, "retrain_every": retrain_every}
    opt = WeightedRetrainingOptimizer(encoder, decoder, **options).fit(X, X.sum(axis=(1, 2)))
    return maximize(np.sum, opt, n_calls=40, verbose=0)


results = {"retrained\nevery 5": search(5), "never\nretrained": search(None)}
figure, rows = plt.subplots(2, 4, figsize=(7, 4), layout="constrained")
for row, (name, result) in zip(rows, results.items(), strict=True):
    row[0].set_ylabel(name)
    for axes, calls in zip(row, (1, 12, 24, 40), strict=True):
        best = int(np.argmax(result.func_vals[:calls]))
        axes.imshow(result.x_iters[best], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], title=f"{calls} calls: {result.func_vals[best]:.0f}")

# %%
# One seed is an anecdote, and sizes were chosen so that the difference shows: a model that is never retrained
# has luck with other seeds, and by default there are changes of known images, too. The study has 64 × 64
# pixels and five seeds; its search sees the objective.

records = Path(wrlso.__file__).parents[1] / "docs" / "benchmarks" / "shapes-oracle"  # of a checkout
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for setting in ("both", "retraining", "weighting", "neither"):
    runs = [json.loads(path.read_text())["y"] for path in sorted(records.glob(f"*-{setting}-seed*.json"))]
    axes.plot(np.maximum.accumulate(runs, axis=1).mean(axis=0), label=f"{setting}, mean of {len(runs)}")
axes.set(xlabel="evaluations", ylabel="white pixels of the best image")
axes.legend()
