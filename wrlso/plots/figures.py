"""What figures have in common."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["improvements", "new_figure"]


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches, apart from pyplot and its state."""
    # Not pyplot: it keeps every figure alive and chooses a backend for the whole process.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def improvements(values: NDArray[np.float64], most: int) -> list[int]:
    """Return where larger-is-better values (n,) are above all before; of too many, evenly spaced ones."""
    best = np.fmax.accumulate(np.concatenate([[-np.inf], values]))
    rows = np.flatnonzero(values > best[:-1])
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
    return [int(row) for row in rows]
