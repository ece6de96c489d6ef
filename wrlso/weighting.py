"""From objective values to training weights: how much each point counts when the model is retrained.

Glossary: y (n,) objective values, larger is better; w (n,) weights with mean 1, so that learning rates mean
the same as in unweighted training; N = n the number of points; rank(x) the number of strictly better points.

The functions depend on nothing but their arguments. The classes hold a function's parameters as estimators of
scikit-learn do, and are callable on y. Your own weighting is any callable y → w;
:func:`wrlso.testing.check_weighting` checks it.

References
----------
Tripp, Daxberger, Hernández-Lobato, "Sample-Efficient Optimization in the Latent Space of Deep Generative
Models via Weighted Retraining", NeurIPS 2020: Eq. 3 (rank weighting), appendix A (variance reduction). The
other weightings are those that it compares with.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.expected_ranks import expected_share
from wrlso._utils.validation import check_count, check_real
from wrlso._utils.vectors import FloatArray, check_vector, check_weights
from wrlso.exceptions import DataError, LowEffectiveSampleSizeWarning, ParameterError

__all__ = [
    "CEMPIWeighting",
    "DbASWeighting",
    "Progress",
    "RWRWeighting",
    "RankWeighting",
    "Schedule",
    "UniformWeighting",
    "cem_pi_weights",
    "dbas_weights",
    "effective_sample_size",
    "normalize_weights",
    "rank_weights",
    "replicate",
    "rwr_weights",
    "uniform_weights",
]

_LOW_SAMPLE_SIZE = 10  # below, training sees hardly more than a handful of points
_MAX_COPIES_PER_POINT = 100  # more than this, on average, is a mistaken w_max and soon fills the memory


def rank_weights(y: npt.ArrayLike, k: float = 1e-3) -> FloatArray:
    r"""Weight points by the rank of their value: :math:`w(x) \propto 1 / (kN + \mathrm{rank}(x))`.

    rank(x) counts the strictly better points, so equal values share a rank and a weight. Only the order
    of the values matters, not their scale.

    Parameters
    ----------
    y : array-like of shape (n,), real
        Objective values, finite, larger is better. Ranked in float64. Not modified.
    k : float, default=1e-3
        How evenly the weight is spread, > 0. Small values concentrate it on the best points; ``math.inf``
        gives uniform weights. From 1e-12 up every weight is positive; far below, the weights of all but the
        best points may vanish.

    Returns
    -------
    ndarray of shape (n,), float64
        Positive weights with mean 1.

    Raises
    ------
    ParameterError, ParameterTypeError, DataError, DataTypeError
        If k is not a number > 0;
        if y is empty, not one-dimensional, not real or not finite.

    Notes
    -----
    Eq. 3 of the paper, with ties sharing a rank. Without ties and with kN ≫ 1, the points between the
    quantiles q1 < q2, counted from the best, hold the share ln((k + q2) / (k + q1)) / ln(1 + 1/k) of the
    weight, whatever N. The cost is that of one sort.

    Examples
    --------
    >>> from wrlso.weighting import rank_weights
    >>> rank_weights([3.0, 7.0, 3.0, 1.0], k=0.25).round(3)
    array([0.889, 1.778, 0.889, 0.444])
    """
    check_real("k", k, above=0, finite=False)
    values = check_vector("y", y)
    n = len(values)
    order = np.argsort(values)
    if values[order[0]] == values[order[-1]]:
        return np.ones(n)
    ascending = values[order]
    run_ends = np.flatnonzero(np.append(ascending[1:] != ascending[:-1], True))
    del ascending
    # kN / (kN + rank), without special cases for k = inf and k → 0; in place, as touching new memory is slow
    with np.errstate(over="ignore"):
        run_weights = (n - 1 - run_ends) / (float(k) * n)
    run_weights += 1.0
    np.reciprocal(run_weights, out=run_weights)
    if len(run_ends) == n:
        run_weights *= n / run_weights.sum()
        ascending_weights = run_weights
    else:
        run_lengths = np.diff(run_ends, prepend=-1)
        run_weights *= n / (run_weights * run_lengths).sum()
        ascending_weights = np.repeat(run_weights, run_lengths)
    weights = np.empty(n)
    weights[order] = ascending_weights
    return weights


def uniform_weights(y: npt.ArrayLike) -> FloatArray:
    """Weight all points the same: ordinary training.

    Parameters
    ----------
    y : array-like of shape (n,), real
        Objective values, finite. Only their number matters.

    Returns
    -------
    ndarray of shape (n,), float64
        Ones.

    Raises
    ------
    DataError, DataTypeError
        If y is empty, not one-dimensional, not real or not finite.

    Examples
    --------
    >>> from wrlso.weighting import uniform_weights
    >>> uniform_weights([3.0, 7.0])
    array([1., 1.])
    """
    return np.ones(len(check_vector("y", y)))


def cem_pi_weights(y: npt.ArrayLike, quantile: float = 0.8) -> FloatArray:
    """Weight the best points the same and the others not at all: w ∝ 1[y ≥ y_q].

    CEM-PI: the cross-entropy method with probability of improvement, for comparison.

    Parameters
    ----------
    y : array-like of shape (n,), real
        Objective values, finite, larger is better. Not modified.
    quantile : float, default=0.8
        Share q of the points to leave out, in [0, 1). y_q is the linearly interpolated q-quantile of y.

    Returns
    -------
    ndarray of shape (n,), float64
        Weights with mean 1: zero, or one common value.

    Raises
    ------
    ParameterError, ParameterTypeError, DataError, DataTypeError
        If quantile is not a number in [0, 1);
        if y is empty, not one-dimensional, not real or not finite.

    Examples
    --------
    >>> from wrlso.weighting import cem_pi_weights
    >>> cem_pi_weights([3.0, 7.0, 4.0, 1.0], quantile=0.5)
    array([0., 2., 2., 0.])
    """
    _check_quantile(quantile)
    values = check_vector("y", y)
    return _with_mean_one((values >= _interpolated_quantile(values, float(quantile))).astype(np.float64))


def dbas_weights(y: npt.ArrayLike, quantile: float = 0.8, noise: float = 1.0) -> FloatArray:
    """Weight points by the probability that their noisy value reaches a quantile.

    Design by adaptive sampling, for comparison: w ∝ P(y + ε ≥ y_q) with ε normal of mean 0 and standard
    deviation ``noise``, which is CEM-PI with a soft edge.

    Parameters
    ----------
    y : array-like of shape (n,), real
        Objective values, finite, larger is better. Not modified.
    quantile : float, default=0.8
        Position of the edge, in [0, 1). y_q is the linearly interpolated q-quantile of y.
    noise : float, default=1.0
        Width of the edge, > 0 and finite, in the units of y.

    Returns
    -------
    ndarray of shape (n,), float64
        Weights with mean 1. The best point has at least half of the largest possible weight before
        normalisation, so they are always defined; more than about 38 noise scales below the edge they
        underflow to zero.

    Raises
    ------
    ParameterError, ParameterTypeError, DataError, DataTypeError
        If quantile is not a number in [0, 1), or noise is not a finite number > 0;
        if y is empty, not one-dimensional, not real or not finite.

    Examples
    --------
    >>> from wrlso.weighting import dbas_weights
    >>> dbas_weights([0.0, 1.0, 2.0], quantile=0.5, noise=1.0).round(3)
    array([0.317, 1.   , 1.683])
    """
    _check_quantile(quantile)
    check_real("noise", noise, above=0)
    values = check_vector("y", y)
    edge = _interpolated_quantile(values, float(quantile))
    with np.errstate(over="ignore"):
        return _with_mean_one(ndtr(2 * (_half_difference(values, edge) / float(noise))))


def rwr_weights(y: npt.ArrayLike, alpha: float = 1.0) -> FloatArray:
    """Weight points exponentially in their value: w ∝ exp(α (y - max y)).

    Reward-weighted regression, for comparison. Unlike rank weighting it depends on the scale of y: choose α
    accordingly.

    Parameters
    ----------
    y : array-like of shape (n,), real
        Objective values, finite, larger is better. Not modified.
    alpha : float, default=1.0
        Inverse temperature α, > 0 and finite, in units of 1/y.

    Returns
    -------
    ndarray of shape (n,), float64
        Weights with mean 1. Points more than about 745/α below the best underflow to zero.

    Raises
    ------
    ParameterError, ParameterTypeError, DataError, DataTypeError
        If alpha is not a finite number > 0;
        if y is empty, not one-dimensional, not real or not finite.

    Examples
    --------
    >>> from wrlso.weighting import rwr_weights
    >>> rwr_weights([0.0, 1.0], alpha=1.0).round(3)
    array([0.538, 1.462])
    """
    check_real("alpha", alpha, above=0)
    values = check_vector("y", y)
    with np.errstate(over="ignore", under="ignore"):
        return _with_mean_one(np.exp(2 * (_half_difference(values, float(values.max())) * float(alpha))))


def replicate(weights: npt.ArrayLike, w_max: float = 5.0) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Split heavy points into several copies of equal weight, which lowers the variance of minibatches (A.2).

    A point with w > w_max becomes ⌈w / w_max⌉ copies that share its weight; a point with weight zero, which
    could never train anything, is left out.

    Parameters
    ----------
    weights : array-like of shape (n,), real
        Weights, finite, not negative, not all zero. Not modified.
    w_max : float, default=5.0
        Largest weight that a copy may have (to rounding), > 0; ``math.inf`` copies nothing.

    Returns
    -------
    indices : ndarray of shape (m,), int64
        Which point each copy is a copy of, ascending.
    copy_weights : ndarray of shape (m,), float64
        Weight of each copy. The copies of a point sum to its weight (to rounding). For weights with mean 1,
        m ≤ n + n / w_max. Their mean is in general less than 1.

    Raises
    ------
    ParameterError, ParameterTypeError, DataError, DataTypeError
        If w_max is not a number > 0, or so small that there would be more than 100 copies per point;
        if the weights are not as described above.

    Examples
    --------
    >>> from wrlso.weighting import replicate
    >>> indices, copy_weights = replicate([0.5, 12.0, 0.0], w_max=5.0)
    >>> indices
    array([0, 1, 1, 1])
    >>> copy_weights
    array([0.5, 4. , 4. , 4. ])
    """
    check_real("w_max", w_max, above=0, finite=False)
    w = check_weights(weights)
    with np.errstate(over="ignore", under="ignore"):
        copies = np.maximum(np.ceil(w / float(w_max)), w > 0)
        n_copies = float(copies.sum())
    if n_copies > _MAX_COPIES_PER_POINT * len(w):
        raise ParameterError(
            f"w_max={w_max!r} would make {n_copies:.3g} copies of {len(w)} points, more than "
            f"{_MAX_COPIES_PER_POINT} per point; use a larger w_max (5 in the paper, for weights with mean 1)"
        )
    kept = np.flatnonzero(copies)
    counts = copies[kept].astype(np.int64)
    indices = np.repeat(kept.astype(np.int64, copy=False), counts)
    return indices, np.repeat(w[kept] / counts, counts)


def effective_sample_size(w: npt.ArrayLike) -> float:
    """Return Kish's effective sample size (Σw)² / Σw²: how many equal weights would say as much.

    Parameters
    ----------
    w : array-like of shape (n,), real
        Weights of any scale, finite, not negative, not all zero.

    Returns
    -------
    float
        Between 1 (one point holds all the weight) and n (all weights are equal).

    Raises
    ------
    DataError, DataTypeError
        If the weights are not as described above.

    Examples
    --------
    >>> from wrlso.weighting import effective_sample_size
    >>> effective_sample_size([1.0, 1.0, 0.0, 0.0])
    2.0
    """
    weights = check_weights(w)
    relative = weights / weights.max()
    size = float(relative.sum()) ** 2 / float(relative @ relative)
    return min(max(size, 1.0), float(len(weights)))


def normalize_weights(w: npt.ArrayLike, n: int, *, warn: bool = True) -> FloatArray:
    """Check what a weighting returned for n points and scale it to mean 1.

    Parameters
    ----------
    w : array-like of shape (n,), real
        Weights of any scale, finite, not negative, not all zero. Not modified.
    n : int
        Number of points that were weighted.
    warn : bool, default=True
        Whether to warn of a low effective sample size.

    Returns
    -------
    ndarray of shape (n,), float64
        The weights with mean 1, a new array.

    Raises
    ------
    DataError, DataTypeError
        If the weights are not as described above.

    Warns
    -----
    LowEffectiveSampleSizeWarning
        If the weight of 10 or more points is concentrated on fewer than 10 and than a quarter of them.

    Examples
    --------
    >>> from wrlso.weighting import normalize_weights
    >>> normalize_weights([1, 3], n=2)
    array([0.5, 1.5])
    """
    weights = check_weights(w)
    if len(weights) != n:
        raise DataError(f"weights must have one entry for each of the {n} points, got {len(weights)} entries")
    sample_size = effective_sample_size(weights)
    if warn and n >= _LOW_SAMPLE_SIZE and sample_size < min(_LOW_SAMPLE_SIZE, n / 4):
        warnings.warn(
            f"the weights of {n} points have an effective sample size of only {sample_size:.1f}: training "
            f"will hardly see the other points; spread the weight more (for rank weighting, a larger k)",
            LowEffectiveSampleSizeWarning,
            stacklevel=2,
        )
    return _with_mean_one(weights / weights.max())


@dataclass(frozen=True)
class Progress:
    """How far a search is: what a rule for k may depend on.

    Parameters
    ----------
    n : int
        Number N of points with a value.
    n_start : int
        How many of them the search began with.
    since_improvement : int
        How many values have been told since the best one; at most ``n - n_start``.
    """

    n: int
    n_start: int
    since_improvement: int = 0

    @property
    def n_told(self) -> int:
        """Values told since the start: the part of the budget that is used."""
        return self.n - self.n_start

    @classmethod
    def of(cls, y: FloatArray, n_start: int) -> Self:
        """Return the progress of a search with larger-is-better values y (n,) in the order of telling."""
        n_start = min(n_start, len(y))
        after = len(y) - 1 - int(np.argmax(y)) if len(y) else 0
        return cls(len(y), n_start, min(after, len(y) - n_start))


@dataclass(frozen=True)
class Schedule:
    """A rule for k: explore first, exploit later, and explore again when the search stalls.

    kN, the number of best points that weigh about the same, falls geometrically from ``start`` to ``stop``
    over the first ``over`` values that are told. It doubles for every ``patience`` values without an
    improvement.

    Parameters
    ----------
    start, stop : float, default=30, 10
        kN at the start of a search, and after ``over`` values, > 0.
    over : int, default=200
        Values between the two, at least 1: the budget, if there is one.
    patience : int or None, default=None
        Values without an improvement that double kN, at least 1; None: it never grows.

    Examples
    --------
    >>> from wrlso.weighting import Progress, Schedule
    >>> rule = Schedule(start=40, stop=10, over=100, patience=50)
    >>> [round(1000 * rule(Progress(n=1000, n_start=start))) for start in (1000, 950, 900, 0)]  # kN
    [40, 20, 10, 10]
    >>> round(1000 * rule(Progress(n=1000, n_start=0, since_improvement=100)))
    40
    """

    start: float = 30.0
    stop: float = 10.0
    over: int = 200
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_real("start", self.start, above=0)
        check_real("stop", self.stop, above=0)
        check_count("over", self.over)
        check_count("patience", self.patience, none="kN never grows")

    def __call__(self, progress: Progress) -> float:
        """Return k, at most 1."""
        share = min(1.0, progress.n_told / self.over)
        n_best = math.log(self.start) + share * (math.log(self.stop) - math.log(self.start))
        if self.patience is not None:
            n_best += math.log(2) * progress.since_improvement / self.patience
        return math.exp(min(n_best, math.log(progress.n)) - math.log(progress.n))


@final
class RankWeighting(BaseEstimator):
    """Rank weighting, the paper's: see :func:`rank_weights`.

    Parameters
    ----------
    k : float or callable, default=1e-3
        How evenly the weight is spread, > 0; ``math.inf`` gives uniform weights. A callable, such as
        :class:`Schedule`, takes the :class:`Progress` of the search and returns k.

    Examples
    --------
    >>> from wrlso.weighting import RankWeighting
    >>> RankWeighting(k=0.5)([1.0, 2.0])
    array([0.66666667, 1.33333333])
    >>> RankWeighting(k=lambda progress: 1 / progress.n)([1.0, 2.0])
    array([0.66666667, 1.33333333])
    """

    def __init__(self, k: float | Callable[[Progress], float] = 1e-3) -> None:
        self.k = k

    def __call__(self, y: npt.ArrayLike) -> FloatArray:
        """Return :func:`rank_weights` of y (n,), an array (n,) with mean 1, for a search that begins."""
        n = len(check_vector("y", y))
        return rank_weights(y, k=self.k_at(Progress(n, n)))

    def expected(self, mean: npt.ArrayLike, sd: npt.ArrayLike) -> FloatArray:
        r"""Return weights that are robust to noise: :math:`w(x) \propto E[1 / (kN + \mathrm{rank}(x))]`.

        Parameters
        ----------
        mean, sd : array-like of shape (n,)
            What is known of each value, taken to be normal and independent; sd ≥ 0. Without any error the
            weights are those of :func:`rank_weights`.

        Returns
        -------
        ndarray of shape (n,), float64
            Weights with mean 1. Equal means with equal sd have equal weights.

        Raises
        ------
        DataError, DataTypeError
            For vectors that are not finite, of different lengths, or an sd under 0.

        Examples
        --------
        >>> from wrlso.weighting import RankWeighting
        >>> RankWeighting(k=0.5).expected([1.0, 2.0], [0.0, 0.0])
        array([0.66666667, 1.33333333])
        >>> RankWeighting(k=0.5).expected([1.0, 2.0], [0.1, 3.0]).round(2)
        array([0.93, 1.07])
        """
        values, errors = check_vector("mean", mean), check_vector("sd", sd)
        if len(values) != len(errors) or errors.min() < 0:
            raise DataError(
                f"mean and sd must have one length, and sd must be at least 0, got {len(values)} and "
                f"{len(errors)} values, the smallest sd {errors.min():g}"
            )
        k = self.k_at(Progress(len(values), len(values)))
        if not errors.any() or math.isinf(k):
            return rank_weights(values, k)
        check_real("k", k, above=0, finite=False)
        return _with_mean_one(expected_share(values, errors, k * len(values)))

    def k_at(self, progress: Progress) -> float:
        """Return k at this point of a search."""
        return self.k(progress) if callable(self.k) else self.k

    def at(self, progress: Progress) -> "RankWeighting":
        """Return this weighting with the k, a number, of this point of a search."""
        return RankWeighting(self.k_at(progress))


@final
class UniformWeighting(BaseEstimator):
    """The same weight for every point: see :func:`uniform_weights`.

    Examples
    --------
    >>> UniformWeighting()([1.0, 2.0, 3.0])
    array([1., 1., 1.])
    """

    def __call__(self, y: npt.ArrayLike) -> FloatArray:
        """Return :func:`uniform_weights` of y (n,), an array (n,) of ones."""
        return uniform_weights(y)


@final
class CEMPIWeighting(BaseEstimator):
    """Equal weights above a quantile, none below: see :func:`cem_pi_weights`.

    Parameters
    ----------
    quantile : float, default=0.8
        Share of the points to leave out, in [0, 1).

    Examples
    --------
    >>> CEMPIWeighting(quantile=0.5)([1.0, 2.0, 3.0, 4.0])
    array([0., 0., 2., 2.])
    """

    def __init__(self, quantile: float = 0.8) -> None:
        self.quantile = quantile

    def __call__(self, y: npt.ArrayLike) -> FloatArray:
        """Return :func:`cem_pi_weights` of y (n,), an array (n,) with mean 1."""
        return cem_pi_weights(y, quantile=self.quantile)


@final
class DbASWeighting(BaseEstimator):
    """Probability that a noisy value reaches a quantile: see :func:`dbas_weights`.

    Parameters
    ----------
    quantile : float, default=0.8
        Position of the edge, in [0, 1).
    noise : float, default=1.0
        Width of the edge, > 0 and finite, in the units of y.

    Examples
    --------
    >>> DbASWeighting(quantile=0.5, noise=0.5)([1.0, 2.0, 3.0, 4.0]).round(2)
    array([0.  , 0.32, 1.68, 2.  ])
    """

    def __init__(self, quantile: float = 0.8, noise: float = 1.0) -> None:
        self.quantile = quantile
        self.noise = noise

    def __call__(self, y: npt.ArrayLike) -> FloatArray:
        """Return :func:`dbas_weights` of y (n,), an array (n,) with mean 1."""
        return dbas_weights(y, quantile=self.quantile, noise=self.noise)


@final
class RWRWeighting(BaseEstimator):
    """Exponential weights: see :func:`rwr_weights`.

    Parameters
    ----------
    alpha : float, default=1.0
        Inverse temperature, > 0 and finite, in units of 1/y.

    Examples
    --------
    >>> RWRWeighting(alpha=0.5)([1.0, 2.0, 3.0, 4.0]).round(2)
    array([0.41, 0.67, 1.1 , 1.82])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, y: npt.ArrayLike) -> FloatArray:
        """Return :func:`rwr_weights` of y (n,), an array (n,) with mean 1."""
        return rwr_weights(y, alpha=self.alpha)


def _with_mean_one(w: FloatArray) -> FloatArray:
    """Scale w, whose largest entry is about 1, to mean 1, in place."""
    w *= len(w) / w.sum()
    return w


def _half_difference(values: FloatArray, reference: float) -> FloatArray:
    """Return half of (values - reference), which cannot overflow."""
    return values / 2 - reference / 2


def _interpolated_quantile(values: FloatArray, quantile: float) -> float:
    """Return the quantile by linear interpolation, never above the largest value, without overflow.

    ``numpy.quantile`` forms the difference of two values, which overflows for ±1e308.
    """
    position = quantile * (len(values) - 1)
    below = int(position)
    above = min(below + 1, len(values) - 1)
    partitioned = np.partition(values, [below, above])
    low, high = float(partitioned[below]), float(partitioned[above])
    share = position - below
    return min(max((1 - share) * low + share * high, low), high)


def _check_quantile(quantile: float) -> None:
    check_real("quantile", quantile, minimum=0)
    if quantile >= 1:
        raise ParameterError(f"quantile must be a number >= 0 and < 1, got {quantile!r}")
