"""Points in the form that a surrogate takes: where they lie in Z, what they are, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._utils.copies import keep
from wrlso.exceptions import DataError, ModelError
from wrlso.models.protocol import HasFeatures, LatentModel

__all__ = ["Described", "Points", "features_of", "points_for", "taken"]


@dataclass(frozen=True)
class Points:
    """Points of which a surrogate sees Z and features of x; any subset of them by an index or a slice.

    Attributes
    ----------
    Z : Tensor of float64, (n, d)
        Where they lie in the latent space.
    features : Tensor of float64, (n, D), or None
        What the model says of x; None for a model without ``features``.

    Examples
    --------
    >>> import torch
    >>> points = Points(torch.zeros(5, 2).double(), torch.ones(5, 12).double())
    >>> len(points[1:3]), tuple(points[1:3].features.shape)
    (2, (2, 12))
    """

    Z: Tensor
    features: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that both parts have n rows."""
        if self.features is not None and len(self.features) != len(self.Z):
            raise DataError(
                f"features: expected one row for each of {len(self.Z)} points, got {len(self.features)}"
            )

    def __len__(self) -> int:
        """Return the number n of points."""
        return len(self.Z)

    def __getitem__(self, rows: Any) -> "Points":
        """Return the points of a slice, a list or an array of rows."""
        return Points(self.Z[rows], None if self.features is None else self.features[rows])


@dataclass(frozen=True)
class Described(Sequence[Any]):
    """Some objects of a long list with features that are known: a surrogate takes them as it takes a list.

    Attributes
    ----------
    objects : sequence
        The whole list.
    rows : ndarray of int64, (n,)
        Which of it.
    features : ndarray (n, D) or SciPy sparse array (n, D)
        What the surrogate's own function makes of them.
    """

    objects: Sequence[Any]
    rows: NDArray[np.int64]
    features: Any

    def __len__(self) -> int:
        """Return the number n of objects."""
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Any:
        """Return one object, or the described objects of a slice or an array of rows."""
        if isinstance(rows, int | np.integer):
            return self.objects[int(self.rows[rows])]
        return Described(self.objects, self.rows[rows], self.features[rows])


def features_of(model: LatentModel, X: Sequence[Any]) -> Tensor | None:
    """Return a model's features (n, D) float64 of n objects; None where it has none.

    Raises ModelError when it returns something else than finite numbers of that shape.
    """
    if not isinstance(model, HasFeatures):
        return None
    # copies: a model that changes its arguments must not change the records
    found = np.asarray(model.features([keep(x) for x in X]))
    name = type(model).__name__
    if found.ndim != 2 or len(found) != len(X) or found.shape[1] < 1 or found.dtype.kind not in "buif":
        raise ModelError(
            f"{name}.features must return numbers of shape ({len(X)}, D), D ≥ 1, got {found.dtype} of shape "
            f"{found.shape}"
        )
    if not np.isfinite(found).all():
        raise ModelError(f"{name}.features must return finite numbers, got NaN or infinity")
    return torch.from_numpy(np.array(found, dtype=np.float64))


def points_for(
    surrogate: Any, model: LatentModel, X: Callable[[], Sequence[Any]], Z: Callable[[], Tensor]
) -> Any:
    """Return points as ``surrogate.space`` asks for; only what it needs is computed.

    Parameters
    ----------
    surrogate : Surrogate
    model : LatentModel
        Knows features of x, where the surrogate wants both.
    X, Z : callable
        Return the n objects, and their latent points (n, d).
    """
    if surrogate.space == "latent":
        return Z()
    if surrogate.space == "features":
        return list(X())
    return Points(Z().to("cpu", torch.float64), features_of(model, X()))


def taken(points: Any, rows: NDArray[np.int64]) -> Any:
    """Return some of a surrogate's points, in whichever form it takes them."""
    if isinstance(points, Described):
        return points[rows]
    if isinstance(points, Tensor | Points):
        return points[torch.from_numpy(rows)]
    return [points[int(row)] for row in rows]
