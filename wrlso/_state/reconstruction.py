"""How faithfully a model gives back the best points: measured around each training, kept in its log.

The model of before a training is gone after it, so what shall be compared later is measured at the time.
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
    """Return the rows (at most 100) on which reconstruction is measured: the best, else the first.

    Parameters
    ----------
    observed : ndarray (n,) int64
        Rows of the points with a value.
    y : ndarray (n,) float64
        Their values, larger is better.
    unlabelled : ndarray (m,) int64
        Rows without a value, taken where there is no value at all.
    """
    if len(y) == 0:
        return unlabelled[:_N_POINTS]
    return observed[np.argsort(-y, kind="stable")[:_N_POINTS]]


def measure_reconstruction(model: LatentModel, history: History, rows: np.ndarray) -> dict[str, Any]:
    """Return how many of the rows come back as they were from ``decode(encode(x))``, and their mean loss.

    The model is in evaluation mode meanwhile and global random state stays as it was, so that measuring
    changes nothing that follows.

    Returns
    -------
    dict
        ``n_points`` (int), ``n_exact`` (int) and ``loss`` (float; None where there is no point or the mean
        is not finite): what JSON can hold.
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
    except DataError:  # decoded to something that it cannot read itself
        return False
