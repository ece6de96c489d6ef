"""
Ray Tune runs the evaluations
=============================

Each trial of an experiment evaluates one object, which it finds in its configuration. Tune starts the trials
on its machines, repeats those that die, and saves and restores the search with the experiment.
"""

import os
import warnings

import numpy as np
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.adapters import TuneSearch
from wrlso.plots import progress_curve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray
    from ray import tune

X = (np.random.default_rng(0).random((40, 20)) < 0.3).astype(np.uint8)
opt = WeightedRetrainingOptimizer(
    nn.Linear(20, 8), nn.Linear(4, 20), trainer=Trainer(initial_epochs=30), random_state=0
)
opt.fit(X, X @ np.linspace(-1, 2, 20))


def evaluate(config):
    tune.report({"taste": float(config["x"] @ np.linspace(-1, 2, 20))})


warnings.simplefilter("default")  # Tune leaves files open
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
tuner = tune.Tuner(
    evaluate,
    tune_config=tune.TuneConfig(
        metric="taste",
        mode="max",
        search_alg=tune.search.ConcurrencyLimiter(TuneSearch(opt, "taste"), max_concurrent=2),
        num_samples=6,
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(name="recipes", storage_path=os.path.abspath("tune"), verbose=0),
)
results = tuner.fit()
print("best:", results.get_best_result().metrics["taste"], opt.best_y_)
ray.shutdown()

# %%
# After a crash: ``tune.Tuner.restore("tune/recipes", evaluate).fit()``.
#
# .. image:: /images/ray_tune.png
#    :alt: the value of each of six trials, and the best of the starting data

progress_curve(opt.y_[len(X) :], start=max(opt.y_[: len(X)])).savefig("ray_tune.png", dpi=80)
# sphinx_gallery_thumbnail_path = 'images/ray_tune.png'
