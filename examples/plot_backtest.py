"""
Would it have helped?
=====================

An assay is over: 120 formulations, each with or without 12 additives, and how long they kept. Would a search
have found the good ones sooner? A backtest hides the values and lets the search ask for them.
"""

import numpy as np
from torch import nn

from wrlso import VAE, backtest

rng = np.random.default_rng(0)
X = np.unique((rng.random((140, 12)) < 0.5).astype(np.uint8), axis=0)[:120]
effect = rng.normal(size=12)
y = X @ effect + X[:, 0] * X[:, 1] + 0.5 * rng.normal(size=len(X))

model = VAE(nn.Linear(12, 6), nn.Linear(3, 12))
result = backtest(X, y, model=model, n_repeats=4, n_queries=24, batch_size=6, n_jobs=1, random_state=0)
print(result)

# %%
# The bands are intervals over the repeats; the sentence also counts which x happened to be the best.

print(result.verdict)
result.plot().figure_  # noqa: B018
