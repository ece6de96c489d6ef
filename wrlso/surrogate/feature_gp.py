"""A Gaussian process over features of x instead of latent points."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from wrlso._utils.copies import keep
from wrlso._utils.estimator import BaseEstimator
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterTypeError
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.points import Described
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["FeatureGP"]


class FeatureGP(BaseEstimator):
    """Gaussian process over feature vectors of x, for searches that judge decoded candidates.

    The latent space proposes candidates and the features rank them: a mismatch of encoder and decoder does
    no harm, and retraining the model leaves the surrogate as it is. Works with
    :class:`wrlso.CandidatePool`, not with :class:`wrlso.LatentSearch`.

    Parameters
    ----------
    features : callable
        List of n objects → array or tensor (n, D) of finite numbers, such as
        :class:`wrlso.models.DerivationFragments`. The features of an x must never change.
    gp : SparseGP, default=None
        The process over the features; None: RBF with one lengthscale for all columns on the 300 best and
        50 random other points, with ``transform="winsorize"``.

    Examples
    --------
    >>> import numpy as np, torch
    >>> X = ["a", "bb", "ccc", "dddd", "eeeee"]
    >>> surrogate = FeatureGP(lambda X: np.array([[float(len(x))] for x in X]))
    >>> y = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    >>> mean, variance = surrogate.fit(X, y, np.random.default_rng(0)).predict(["ff", "gggg"])
    >>> bool(mean[0] < mean[1])
    True
    """

    space: Literal["latent", "features", "both"] = "features"
    takes_observations: Literal[True] = True

    gp_: SparseGP

    def __init__(self, features: Callable[[Sequence[Any]], Any], gp: SparseGP | None = None) -> None:
        self.features = features
        self.gp = gp

    @property
    def n_best(self) -> int:
        """Number of best points in the data used."""
        return self._template().n_best

    @property
    def n_random(self) -> int:
        """Number of random other points in the data used."""
        return self._template().n_random

    def fit(self, Z: Sequence[Any], y: Tensor | Observations, rng: np.random.Generator) -> Self:
        """Fit to n objects and their values y (n,) float64; warm-starts like :meth:`SparseGP.fit`."""
        gp, wanted = getattr(self, "gp_", None), clone(self._template())
        if gp is not None:  # keeps what the last fit learned, with the parameters of now
            gp = copy(gp).set_params(**wanted.get_params(deep=False))
        self.gp_ = (wanted if gp is None else gp).fit(self._features(Z), y, rng)
        return self

    def condition_on(self, Z: Sequence[Any], y: Tensor | Observations) -> "FeatureGP":
        """Return a new surrogate that has seen these observations too; see :meth:`SparseGP.condition_on`."""
        return self._with(self._fitted().condition_on(self._features(Z), y))

    def corrected(self, Z: Sequence[Any], y: Tensor | Observations) -> "FeatureGP":
        """Return a new surrogate that has seen these values only; see :meth:`SparseGP.corrected`."""
        return self._with(self._fitted().corrected(self._features(Z), y))

    def predict(self, Z: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective at q objects, in the units of y."""
        return self._fitted().predict(self._features(Z))

    def sample(self, Z: Sequence[Any], n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, q) of the noise-free objective at q objects."""
        return self._fitted().sample(self._features(Z), n, generator)

    def score(self, Z: Sequence[Any], y: Tensor) -> float:
        """Mean log predictive density of held-out observations; see :meth:`SparseGP.score`."""
        return self._fitted().score(self._features(Z), y)

    def noise_variance(self) -> float:
        """Variance of a measurement's noise; see :meth:`SparseGP.noise_variance`."""
        return self._fitted().noise_variance()

    def joint(self, Z: Sequence[Any]) -> tuple[Tensor, Tensor, float]:
        """Mean, covariance and noise variance at q objects; see :meth:`SparseGP.joint`."""
        return self._fitted().joint(self._features(Z))

    def working_scale(self, y: Told) -> tuple["FeatureGP", Told]:
        """Return the same process before y is transformed back; see :meth:`SparseGP.working_scale`."""
        gp, values = self._fitted().working_scale(y)
        return self._with(gp), values

    def _template(self) -> SparseGP:
        if self.gp is not None:
            return self.gp
        return SparseGP(500, 300, 50, n_hyper=200, kernel="rbf", ard=False, transform="winsorize")

    def _fitted(self) -> SparseGP:
        gp: SparseGP | None = getattr(self, "gp_", None)
        if gp is None:
            raise NotFittedError("this FeatureGP is not fitted yet: call fit(X, y, rng) first")
        return gp

    def _with(self, gp: SparseGP) -> "FeatureGP":
        other = copy(self)
        other.gp_ = gp
        return other

    def _features(self, X: Sequence[Any]) -> Tensor:
        if not callable(self.features):
            raise ParameterTypeError(f"features must be callable, got {self.features!r}")
        # copies: a function that changes its arguments must not change the records
        found = X.features if isinstance(X, Described) else self.features([keep(x) for x in X])
        try:
            array = np.asarray(found)
            if array.dtype.kind not in "buif":
                raise TypeError(f"they are of type {array.dtype}")
            features = torch.from_numpy(array.astype(np.float64))
        except (TypeError, ValueError) as error:
            raise DataTypeError(f"features must return numbers of shape ({len(X)}, D): {error}") from error
        if features.ndim != 2 or len(features) != len(X) or features.shape[1] < 1:
            raise DataError(f"features must return shape ({len(X)}, D), D ≥ 1, got {tuple(features.shape)}")
        if not bool(torch.isfinite(features).all()):
            raise DataError("features must return finite numbers, got NaN or infinity")
        gp: SparseGP | None = getattr(self, "gp_", None)
        if gp is not None and hasattr(gp, "posterior_") and features.shape[1] != len(gp.posterior_.center):
            raise DataError(
                f"features must always return the same number of columns, {len(gp.posterior_.center)} as in "
                f"fit, got {features.shape[1]}"
            )
        return features
