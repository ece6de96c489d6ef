"""Figures of molecules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wrlso._chemistry.drawing import molecule_pixels
from wrlso.exceptions import DataError
from wrlso.plots.figures import improvements, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["molecule_grid", "molecule_timeline"]


def molecule_grid(
    X: Sequence[str],
    labels: Sequence[str],
    *,
    contributions: Sequence[ArrayLike] | None = None,
    n_columns: int = 4,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw molecules in reading order, each with its label above and its number of heavy atoms below.

    Needs RDKit (the extra ``molecules``).

    Parameters
    ----------
    X : sequence of n SMILES
    labels : sequence of n str
    contributions : sequence of n array_like (atoms,), default=None
        What each atom adds to a prediction, of :func:`wrlso.molecules.atom_contributions`: blue atoms raise
        it, orange ones lower it, on one scale for all molecules.
    n_columns : int, default=4

    Raises
    ------
    DataError
        When there are no molecules, not as many labels or contributions, or a SMILES is invalid.
    """
    if len(X) == 0 or len(X) != len(labels):
        raise DataError(f"expected as many labels as molecules, at least one, got {len(labels)} and {len(X)}")
    if contributions is not None and len(contributions) != len(X):
        raise DataError(f"expected as many contributions as molecules, got {len(contributions)} and {len(X)}")
    added = [None] * len(X) if contributions is None else [np.asarray(c, dtype=float) for c in contributions]
    largest = max((float(np.abs(each).max(initial=0.0)) for each in added if each is not None), default=None)
    pictures = [molecule_pixels(x, each, largest) for x, each in zip(X, added, strict=True)]
    n_columns = min(n_columns, len(X))
    n_rows = -(-len(X) // n_columns)
    figure = figure if figure is not None else new_figure(2.4 * n_columns, 2.0 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture, label in zip(grid.flat, pictures, labels, strict=False):
        axes.imshow(picture, interpolation="antialiased")
        axes.set_title(label, fontsize="small")
    return figure


def molecule_timeline(
    X: Sequence[str],
    y: ArrayLike,
    *,
    maximize: bool = True,
    n_pictures: int = 12,
    n_columns: int = 4,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw the best molecules over time: each that was better than all before, its value and heavy atoms.

    Needs RDKit (the extra ``molecules``).

    Parameters
    ----------
    X : sequence of n SMILES
        In the order of the queries.
    y : array_like of shape (n,)
        Their values; NaN where an experiment failed.
    maximize : bool, default=True
        Whether larger is better.
    n_pictures : int, default=12
        Of more improvements than these, the first and the last are drawn, and others evenly between.

    Raises
    ------
    DataError
        When X and y disagree, or there is no value.
    """
    values = np.asarray(y, dtype=np.float64)
    if values.shape != (len(X),):
        raise DataError(f"X and y must have the same length, got {len(X)} and shape {values.shape}")
    rows = improvements(values if maximize else -values, n_pictures)
    if not rows:
        raise DataError(f"at least one value expected, got none among {len(X)}")
    labels = [f"query {row + 1}: {values[row]:.4g}" for row in rows]
    return molecule_grid([X[row] for row in rows], labels, n_columns=n_columns, figure=figure)
