"""
A campaign of many days
=======================

An experiment takes days, and the Python process has ended before the result comes. A campaign is a folder:
after ``autosave`` every call is on disk before it returns, and ``load`` continues from there.
"""

import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.plots import progress_curve

rng = np.random.default_rng(0)
X = (rng.random((40, 20)) < 0.3).astype(np.uint8)  # recipes: which of 20 ingredients go in


def laboratory(recipe):
    return float(recipe @ np.linspace(-1, 2, 20) + 0.1 * rng.normal())


def networks():
    """Return the networks: a file holds no code. Any weights will do; the folder has the trained ones."""
    encoder = nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 10))
    decoder = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 20))
    return {"encoder": encoder, "decoder": decoder}


# %%
# The first day. In real life each day is a process of its own.

folder = Path(tempfile.mkdtemp()) / "recipes"
y = [laboratory(x) for x in X]
trainer = Trainer(initial_epochs=50, retrain_epochs=5)
opt = WeightedRetrainingOptimizer(**networks(), trainer=trainer, retrain_every=12, random_state=0)
opt.fit(X, y).autosave(folder)
opt.ask(6)
del opt

# %%
# Every later day: load, tell the results, ask for more. One of six recipes is always a day late.

for _day in range(6):
    opt = WeightedRetrainingOptimizer.load(folder, **networks())
    ready = opt.pending_[:-1]
    opt.tell(ready, [laboratory(x) for x in ready])
    opt.ask(5)
    del opt

# %%
# Nothing was lost on the way:

opt = WeightedRetrainingOptimizer.load(folder, **networks(), autosave=False)
print(opt)
progress_curve(opt.y_[len(y) :], start=max(y))
