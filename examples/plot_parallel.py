"""
Eight workers that never wait
=============================

A slow objective on eight threads. Processes, Dask and other executors work in the same way.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer, maximize
from wrlso.timeline import utilization_chart

logging.basicConfig(format="%(message)s")  # print warnings of failures

# %%
# Images of 12 × 12 pixels. The experiment takes between 0.3 and 1.3 seconds, and sometimes fails.

rng = np.random.default_rng(0)
X = (rng.random((100, 12, 12)) < 0.2).astype(np.uint8)
y = X.sum(axis=(1, 2))


def experiment(x):
    time.sleep(0.3 + float(x[::2].mean()))
    if x[0].sum() % 6 == 0:
        raise RuntimeError("the first row is out of order")
    return float(x.sum())


# %%
# The loop needs only an executor. It trains the model while evaluations run.

encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 32), nn.SiLU(), nn.Linear(32, 8))
decoder = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 144), nn.Unflatten(1, (12, 12)))
trainer = Trainer(initial_epochs=30, retrain_epochs=3)
opt = WeightedRetrainingOptimizer(encoder, decoder, trainer=trainer, retrain_every=20, random_state=0)
opt.fit(X, y)
with ThreadPoolExecutor(8) as executor:
    result = maximize(experiment, opt, n_calls=60, executor=executor, timeout=10, verbose=0)

# %%
# Values come back in any order. Each failure has its reason.

failed = [evaluation for evaluation in result.timeline.evaluations if evaluation.reason]
print(f"best of the data {y.max()}, best found {result.fun:.0f}; {len(failed)} of {result.nfev} failed")
print(f"workers were busy {result.timeline.utilization:.0%} of the time")

# %%
# The evaluations of each worker over time:

utilization_chart(result.timeline)
