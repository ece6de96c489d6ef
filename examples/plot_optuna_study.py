"""
Objects as trials of an Optuna study
====================================

Optuna keeps the trials, its dashboard shows them, and this library proposes their objects. An object is the
trial's user attribute ``x``: parameters of Optuna are numbers and choices that are known beforehand.
"""

import tempfile

import numpy as np
import optuna
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.adapters import OptunaTrials
from wrlso.plots import progress_curve

rng = np.random.default_rng(0)
X = (rng.random((40, 20)) < 0.3).astype(np.uint8)  # recipes: which of 20 ingredients go in


def taste(recipe):
    return float(recipe @ np.linspace(-1, 2, 20))


storage = f"sqlite:///{tempfile.mkdtemp()}/recipes.db"  # yours: where it is kept


def open_trials():
    """What every process does: the same starting data, and the study from its storage."""
    trainer = Trainer(initial_epochs=30)
    opt = WeightedRetrainingOptimizer(nn.Linear(20, 8), nn.Linear(4, 20), trainer=trainer, random_state=0)
    opt.fit(X, [taste(x) for x in X])
    where = {"storage": storage, "study_name": "recipes", "load_if_exists": True}
    study = optuna.create_study(direction="maximize", **where)
    return OptunaTrials(study, opt)


def objective(trial):
    return taste(trials.suggest(trial))


trials = open_trials()
trials.study.optimize(objective, n_trials=6, callbacks=[trials])

# %%
# Another process, weeks later: the optimizer is told what the trials of the storage found, and goes on.
# Trials that take weeks themselves are asked for and told by hand.
trials = open_trials()
trial = trials.ask()
trials.tell(trial, taste(np.array(trial.user_attrs["x"])))

# %%
# ``optuna-dashboard`` with the same storage shows this table, with values and predictions, and its plots.

table = trials.study.trials_dataframe(attrs=("number", "value", "user_attrs"))
print(table.drop(columns="user_attrs_x"))
progress_curve(table["value"], start=max(map(taste, X)))
