"""When to fit a surrogate's hyperparameters again: when new values contradict its predictions.

A value that is told is a held-out observation until the surrogate is conditioned on it. If the surrogate is
right, its standardised errors are independent and standard normal, whatever was asked for. The evidence
against that is the Bayes factor of "normal with another scale" over "standard normal": a martingale of mean 1
where the surrogate is right, so that it ever exceeds 20 with a chance of at most 1 in 20, however often one
looks (Ville's inequality). It grows for overconfident and for underconfident surrogates.
"""

from typing import Any

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from wrlso._utils.validation import check_count
from wrlso.exceptions import ParameterError
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.points import taken
from wrlso.surrogate.protocol import Array, HasWorkingScale, Surrogate

__all__ = ["check_refit_every", "log_evidence_against", "refit_is_due", "standardized_errors"]


_ENOUGH = float(np.log(20.0))  # log evidence that is acted upon
_FEWEST = 5  # new values between two fits
_MOST = 200  # new values after which it is fitted in any case: each costs an inducing point
_UNKNOWN = 20  # new values after which a surrogate without a working scale is fitted
_MOST_JOINT = 500  # values told at once that are looked at
_SHAPE, _RATE = 1.0, 1.0  # of the inverse gamma prior on the errors' variance, if it is not 1


def check_refit_every(value: Any) -> None:
    """Raise unless value is "auto", None or an integer of at least 1."""
    if isinstance(value, str):
        if value != "auto":
            raise ParameterError(
                f"refit_every must be an integer of at least 1, 'auto', or None (after trainings only), "
                f"got {value!r}"
            )
        return
    check_count("refit_every", value, none="after trainings only")


def standardized_errors(surrogate: Surrogate, points: Any, y: Tensor | Observations) -> Array | None:
    """Return errors (q,), independent and standard normal where the surrogate is right about y (q,).

    Each value is predicted given those before it. At most the first 500 are looked at, and none that is a
    limit. None where the surrogate does not implement :class:`wrlso.surrogate.HasWorkingScale`.
    """
    if not isinstance(surrogate, HasWorkingScale):
        return None
    points, y = points[:_MOST_JOINT], y[:_MOST_JOINT]
    if isinstance(y, Observations) and y.censored.any():
        measured = np.flatnonzero(~y.censored)
        points, y = taken(points, measured), y[measured]
    with torch.no_grad():
        working, values = surrogate.working_scale(y)
        if not isinstance(working, HasWorkingScale):
            return None
        mean, covariance, noise = working.joint(points)
        if isinstance(values, Observations):
            own, values = torch.from_numpy(values.variances(noise)), torch.from_numpy(values.y)
        else:
            own = torch.full((len(values),), noise, dtype=torch.float64)
        root = covariance_root(covariance + own.diag(), noise)
        errors = torch.linalg.solve_triangular(root, (values - mean)[:, None], upper=False)
    return np.asarray(errors[:, 0].numpy())


def log_evidence_against(errors: Array) -> float:
    """Log Bayes factor of normal errors with unknown variance over standard normal ones; 0 without any.

    The variance's prior is inverse gamma with shape and rate 1, so that the numerator is a multivariate
    t density with 2 degrees of freedom.
    """
    half, square = 0.5 * len(errors), 0.5 * float(errors @ errors)
    wide = gammaln(_SHAPE + half) - gammaln(_SHAPE) + _SHAPE * np.log(_RATE)
    return float(wide - (_SHAPE + half) * np.log(_RATE + square) + square)


def refit_is_due(refit_every: int | str | None, n_at_fit: int, n_new: int, errors: Array | None) -> bool:
    """Whether ``n_new`` values after a fit on ``n_at_fit``, with these errors, it is time for another.

    With "auto" when the evidence against the surrogate exceeds 20 to 1, and once the data have doubled
    or 200 values are new; after every 20 where there are no errors to look at (None).
    """
    if refit_every is None:
        return False
    if not isinstance(refit_every, str):
        return n_new >= refit_every
    if n_new < _FEWEST:
        return False
    if n_new >= min(max(n_at_fit, _FEWEST), _MOST):
        return True
    return n_new >= _UNKNOWN if errors is None else log_evidence_against(errors) > _ENOUGH
