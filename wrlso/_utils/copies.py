"""Copies of the user's objects."""

from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["keep"]


def keep(x: Any) -> Any:
    """Return x so that the caller's later changes do not reach it: arrays and tensors are copied."""
    if isinstance(x, np.ndarray):
        return x.copy()
    return x.detach().clone() if isinstance(x, Tensor) else x
