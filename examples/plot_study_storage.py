"""
Ask and tell from a table of trials
===================================

Other tools keep trials in a table that many workers read. One process asks and adds waiting trials, workers
run them, and one process tells the results. No process needs to live longer than one step.
"""

import sqlite3

import numpy as np
from torch import nn

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso.plots import progress_curve

study = sqlite3.connect(":memory:")  # or a file, or a database that workers reach
study.execute("CREATE TABLE trials (number INTEGER PRIMARY KEY, x BLOB, state TEXT, value REAL)")

X = np.tril(np.ones((16, 16), dtype=np.uint8))[:8]
trainer = Trainer(initial_epochs=50, lr=1e-2)
opt = WeightedRetrainingOptimizer(nn.Linear(16, 4), nn.Linear(2, 16), trainer=trainer, random_state=0)
opt.fit(X, X.sum(axis=1))


def enqueue(n):
    """Keep n trials waiting."""
    (waiting,) = study.execute("SELECT COUNT(*) FROM trials WHERE state = 'waiting'").fetchone()
    for x in opt.ask(n - waiting) if n > waiting else []:
        study.execute("INSERT INTO trials (x, state) VALUES (?, 'waiting')", (x.tobytes(),))


def work():
    """Take one waiting trial and run it. A worker needs only the table."""
    row = study.execute("SELECT number, x FROM trials WHERE state = 'waiting' LIMIT 1").fetchone()
    value = float(np.frombuffer(row[1], dtype=np.uint8).sum())
    state = "failed" if value == 3 else "done"
    study.execute("UPDATE trials SET state = ?, value = ? WHERE number = ?", (state, value, row[0]))


def collect():
    """Tell the trials that have ended since the last call."""
    for number, x, state, value in study.execute(
        "SELECT number, x, state, value FROM trials WHERE state IN ('done', 'failed')"
    ).fetchall():
        told = None if state == "failed" else value
        opt.tell(np.frombuffer(x, dtype=np.uint8), told, reason=f"trial {number} failed")
        study.execute("UPDATE trials SET state = 'told' WHERE number = ?", (number,))


for _ in range(6):
    enqueue(4)
    work()
    work()
    collect()
print(f"best {opt.best_y_:.0f}, {len(opt.pending_)} trials wait")
progress_curve(opt.y_[len(X) :], start=X.sum(axis=1).max())
