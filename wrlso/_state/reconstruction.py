"""Reconstruction of the best points, measured before and after each training and kept in its log.

A training replaces the model, so the measurement before it must be made at that time.
"""

import math
from typing import Any

import numpy as np
import torch

from wrlso._utils.random import isolated_torch_rng
from wrlso.exceptions import DataError
from wrlso.history import History
from wrlso.models.inference import decoded, encoded, evaluating, to_model
from wrlso.models.protocol import LatentModel

__all__ = ["measure_reconstruction", "rows_to_reconstruct"]

_N_POINTS = 100


def rows_to_reconstruct(observed: np.ndarray, y: np.ndarray, unlabelled: np.ndarray) -> np.ndarray:
    """Return at most 100 rows on which to measure reconstruction: the best, or the first without a value.

    Parameters
    ----------
    observed : ndarray (n,) int64
        Rows of the points with a value.
    y : ndarray (n,) float64
        Their values, larger is better.
    unlabelled : ndarray (m,) int64
        Rows without a value; used when no row has a value.
    """
    if len(y) == 0:
        return unlabelled[:_N_POINTS]
    return observed[np.argsort(-y, kind="stable")[:_N_POINTS]]


def measure_reconstruction(model: LatentModel, history: History, rows: np.ndarray) -> dict[str, Any]:
    """Return the number of rows that ``decode(encode(x))`` reproduces, and their mean loss.

    The model is in evaluation mode meanwhile, and global random state does not change, so measuring has no
    effect on later results.

    Returns
    -------
    dict
        ``n_points`` (int), ``n_exact`` (int) and ``loss`` (float; None without points and when the mean is
        not finite). JSON can hold it.
    """
    if len(rows) == 0:
        return {"n_points": 0, "n_exact": 0, "loss": None}
    inputs = to_model(model, history.inputs[torch.from_numpy(rows)], like_weights=False)
    with evaluating(model), isolated_torch_rng(0):
        found = decoded(model, encoded(model, inputs))
        loss = float(model.loss(inputs).double().mean())
    exact = sum(_is_same(model, x, history.records[row].key) for x, row in zip(found, rows, strict=True))
    return {"n_points": len(rows), "n_exact": exact, "loss": loss if math.isfinite(loss) else None}


def _is_same(model: LatentModel, x: Any, key: Any) -> bool:
    if x is None:
        return False
    try:
        return bool(model.key(x) == key)
    except DataError:  # the model cannot read what it decoded
        return False
