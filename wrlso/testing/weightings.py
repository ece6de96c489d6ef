"""``check_weighting``, and Hypothesis strategies for weightings and the values that they weigh."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, NoSuchExample

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count
from wrlso._utils.vectors import FloatArray, check_weights
from wrlso.exceptions import DataError
from wrlso.testing.checks import CheckFailedError, isolated_global_rng, short_repr
from wrlso.weighting import CEMPIWeighting, DbASWeighting, RankWeighting, RWRWeighting, UniformWeighting

__all__ = ["check_weighting", "objective_values", "weightings"]

Weighting = Callable[[FloatArray], npt.ArrayLike]
_Property = Callable[[Weighting, FloatArray], str | None]

_LARGEST = 1e300
_RELATIVE_SLACK = 1e-9  # vectorised arithmetic may round equal entries differently
_ABSOLUTE_SLACK = 1e-12  # in units of the mean weight
_SMALLEST_EXAMPLES = ([0.0], [_LARGEST], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0, 1.0])


def objective_values(
    min_size: int = 1, max_size: int = 50, ties: bool = True
) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    """Hypothesis strategy for objective values y: small, huge and tiny, of both signs, often tied.

    Parameters
    ----------
    min_size, max_size : int, default=1, 50
        Smallest and largest number of values, 1 ≤ min_size ≤ max_size.
    ties : bool, default=True
        Whether values may be equal, which they then often are.

    Returns
    -------
    SearchStrategy of ndarray of shape (n,), float64
        Finite values, zero or with magnitudes from 1e-300 to 1e300.

    Raises
    ------
    ParameterError, ParameterTypeError
        If a size is not an integer ≥ 1, or max_size is less than min_size.
    """
    check_count("min_size", min_size)
    check_count("max_size", max_size, minimum=min_size)
    value = st.one_of(
        st.integers(-5, 5).map(float),
        st.floats(-100, 100).filter(_is_zero_or_not_tiny),
        st.floats(-_LARGEST, _LARGEST).filter(_is_zero_or_not_tiny),
        st.floats(1 / _LARGEST, 1.0),
    )
    if not ties:
        return st.lists(value, min_size=min_size, max_size=max_size, unique=True).map(np.array)
    few_levels = st.lists(value, min_size=1, max_size=4).flatmap(
        lambda levels: st.lists(st.sampled_from(levels), min_size=min_size, max_size=max_size)
    )
    return st.one_of(st.lists(value, min_size=min_size, max_size=max_size), few_levels).map(np.array)


def _is_zero_or_not_tiny(value: float) -> bool:
    return value == 0 or abs(value) >= 1 / _LARGEST


def weightings() -> st.SearchStrategy[Callable[[npt.ArrayLike], npt.NDArray[np.float64]]]:
    """Hypothesis strategy for the library's own weightings, with their parameters over their whole range.

    Returns
    -------
    SearchStrategy of callable
        ``RankWeighting`` (k from 1e-12 to inf), ``UniformWeighting``, ``CEMPIWeighting``, ``DbASWeighting``
        and ``RWRWeighting`` objects.
    """
    positive = st.floats(-12, 12).map(lambda exponent: 10.0**exponent)
    quantile = st.floats(0, 1, exclude_max=True)
    return st.one_of(
        st.builds(RankWeighting, k=positive | st.just(float("inf"))),
        st.builds(UniformWeighting),
        st.builds(CEMPIWeighting, quantile=quantile),
        st.builds(DbASWeighting, quantile=quantile, noise=positive),
        st.builds(RWRWeighting, alpha=positive),
    )


def check_weighting(
    weighting: Weighting,
    *,
    monotone: bool = True,
    values: st.SearchStrategy[npt.NDArray[np.float64]] | None = None,
    max_examples: int = 100,
) -> None:
    """Check that a callable y → w can be used as a weighting.

    It returns (n,) finite weights that are not negative and not all zero (of any scale), leaves y as it is,
    depends on nothing but y, gives equal values equal weights and better values no less (to rounding), and
    follows when the points are put in another order.

    Parameters
    ----------
    weighting : callable
        Takes objective values (n,) float64, larger is better, n ≥ 1; returns weights (n,).
    monotone : bool, default=True
        Whether a better value must never weigh less.
    values : SearchStrategy of ndarray, default=None
        The y to check on, for a weighting that is defined on some only. By default
        :func:`objective_values`, after a few of the smallest cases.
    max_examples : int, default=100
        How many y to try, at least 1; the same ones in every call.

    Raises
    ------
    CheckFailedError
        If a property does not hold; the message names it and the simplest y found on which it fails.
    ParameterError, ParameterTypeError
        If max_examples is not an integer ≥ 1.

    Examples
    --------
    >>> import numpy as np
    >>> from wrlso.testing import check_weighting
    >>> check_weighting(lambda y: 1.0 + (y >= np.median(y)))
    """
    check_count("max_examples", max_examples)
    options = settings(max_examples=max_examples, derandomize=True, database=None, deadline=None)
    search = _ViolationSearch(weighting, values, options)
    properties = {
        must: broken for must, broken in _WEIGHTING_PROPERTIES.items() if monotone or must != _MONOTONE
    }
    with isolated_global_rng():
        violation = search.find(properties, shrink=False)
        if violation is not None:  # the simplest y for this property: a simpler one may break another
            _, must, _ = violation
            violation = search.find({must: properties[must]}, shrink=True) or violation
        else:
            violation = search.find_changed_result()
    if violation is not None:
        y, must, detail = violation
        raise CheckFailedError(f"{_name(weighting)} must {must}: {detail}; y = {y.tolist()}")


class _ViolationSearch:
    """Looks for values y on which a weighting breaks a property: (y, property, what happened)."""

    def __init__(
        self, weighting: Weighting, values: st.SearchStrategy[FloatArray] | None, options: settings
    ) -> None:
        self.weighting = weighting
        self.values = objective_values() if values is None else values
        self.smallest = [np.array(y) for y in _SMALLEST_EXAMPLES] if values is None else []
        self.options = options
        self.results: list[tuple[FloatArray, FloatArray]] = []

    def find(self, properties: dict[str, _Property], shrink: bool) -> tuple[FloatArray, str, str] | None:
        seen: list[tuple[FloatArray, str, str]] = []

        def is_violated(y: FloatArray) -> bool:
            for must, broken in properties.items():
                try:
                    detail = broken(self.weighting, y)
                except Exception as error:
                    detail = f"it raised {type(error).__name__}: {error}"
                if detail is not None:
                    seen.append((y, must, detail))
                    return True
            self.results.append((y, _raw_weights(self.weighting, y)))
            return False

        phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
        if not any(is_violated(y) for y in self.smallest):
            with suppress(NoSuchExample, Flaky):
                find(self.values, is_violated, settings=settings(self.options, phases=phases))
        return seen[-1] if seen else None  # Hypothesis ends with the simplest

    def find_changed_result(self) -> tuple[FloatArray, str, str] | None:
        """Look for a result that calls on other values in between have changed."""
        for y, before in sorted(self.results, key=lambda result: len(result[0])):
            now = _raw_weights(self.weighting, y)
            if not np.array_equal(before, now):
                return y, _DETERMINISTIC, f"it returned {before.tolist()}, later {now.tolist()}"
        return None


def _name(weighting: object) -> str:
    if isinstance(weighting, BaseEstimator):
        return short_repr(weighting)
    return str(getattr(weighting, "__name__", type(weighting).__name__))


def _usable_violation(weighting: Weighting, y: FloatArray) -> str | None:
    result = weighting(y.copy())
    try:
        w = check_weights(result)
    except DataError as error:
        return str(error)
    return None if w.shape == y.shape else f"it returned shape {w.shape} for {len(y)} values"


def _unchanged_violation(weighting: Weighting, y: FloatArray) -> str | None:
    given = y.copy()
    weighting(given)
    return None if given.tobytes() == y.tobytes() else f"it changed y to {given.tolist()}"


def _deterministic_violation(weighting: Weighting, y: FloatArray) -> str | None:
    once, again = _raw_weights(weighting, y), _raw_weights(weighting, y)
    return None if np.array_equal(once, again) else f"it returned {once.tolist()}, then {again.tolist()}"


def _ties_violation(weighting: Weighting, y: FloatArray) -> str | None:
    w = _relative_weights(weighting, y)
    return _pair_violation(y, w, (y[:, None] == y) & (w[:, None] < _lowered(w)))


def _monotone_violation(weighting: Weighting, y: FloatArray) -> str | None:
    w = _relative_weights(weighting, y)
    return _pair_violation(y, w, (y[:, None] > y) & (w[:, None] < _lowered(w)))


def _order_violation(weighting: Weighting, y: FloatArray) -> str | None:
    w = _relative_weights(weighting, y)
    for order in (np.arange(len(y))[::-1], np.roll(np.arange(len(y)), 1)):
        expected, got = w[order], _relative_weights(weighting, y[order])
        if ((got < _lowered(expected)) | (expected < _lowered(got))).any():
            return (
                f"points in the order {order.tolist()} have weights {got.tolist()} (mean 1), "
                f"expected {expected.tolist()}"
            )
    return None


_DETERMINISTIC = "depend on nothing but y"
_MONOTONE = "never give a better value less weight"
_WEIGHTING_PROPERTIES: dict[str, _Property] = {
    "return (n,) finite weights that are not negative and not all zero": _usable_violation,
    "leave y as it is": _unchanged_violation,
    _DETERMINISTIC: _deterministic_violation,
    "give equal values equal weights": _ties_violation,
    _MONOTONE: _monotone_violation,
    "follow a change of the order of the points": _order_violation,
}


def _raw_weights(weighting: Weighting, y: FloatArray) -> FloatArray:
    return np.asarray(weighting(y.copy())).astype(np.float64)


def _relative_weights(weighting: Weighting, y: FloatArray) -> FloatArray:
    w = check_weights(weighting(y.copy()))
    relative: FloatArray = w / w.max()
    relative /= relative.mean()
    return relative


def _lowered(w: FloatArray) -> FloatArray:
    return w * (1 - _RELATIVE_SLACK) - _ABSOLUTE_SLACK


def _pair_violation(y: FloatArray, w: FloatArray, broken: npt.NDArray[np.bool_]) -> str | None:
    if not broken.any():
        return None
    i, j = np.argwhere(broken)[0]
    one, other = (f"the value {float(y[p])!r} has weight {w[p]:.17g}" for p in (i, j))
    return f"{one} (mean 1), {other}"
