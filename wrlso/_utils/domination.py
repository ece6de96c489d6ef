"""Which points dominate which: fronts, and the volume that a front dominates. Larger is better everywhere.

A point dominates another where it is at least as good in every goal, and better in one.
"""

from bisect import bisect_left

import numpy as np

__all__ = ["fronts", "hypervolume", "reference_point"]

_MARGIN = 0.1  # of the range of a front: how far the reference lies under its worst values


def fronts(Y: np.ndarray) -> np.ndarray:
    """Return the front (n,) int64 of each point: 0 where no other dominates it, 1 without those, and so on.

    Equal points share a front. With one goal the fronts are the distinct values in descending order.

    Parameters
    ----------
    Y : ndarray (n, m)
        Finite values of m goals.

    Notes
    -----
    Zhang, Tian, Cheng, Jin (2015), "An efficient approach to non-dominated sorting", with the binary search.
    Points come in descending lexicographic order, so that no later one dominates an earlier one, and each
    goes to the first front that has no point that dominates it. With two goals the last one of a front
    decides.
    """
    if len(Y) == 0:
        return np.empty(0, dtype=np.int64)
    distinct, inverse = np.unique(-Y, axis=0, return_inverse=True)  # ascending: the best come first
    if Y.shape[1] == 1:
        front = np.arange(len(distinct), dtype=np.int64)
    elif Y.shape[1] == 2:
        front = _two_goals(distinct[:, 1])
    else:
        front = _many_goals(distinct)
    return front[inverse.reshape(-1)]


def _two_goals(second: np.ndarray) -> np.ndarray:
    """Return the fronts of distinct points in order of their first goal, by the second, smaller is better."""
    lasts: list[float] = []  # of each front, descending numbers: minus the smallest second value
    front = np.empty(len(second), dtype=np.int64)
    # a front has a point that dominates this one where its smallest second value is no larger
    for i, value in enumerate(second.tolist()):
        place = bisect_left(lasts, True, key=lambda smallest: smallest > value)
        front[i] = place
        if place == len(lasts):
            lasts.append(value)
        else:
            lasts[place] = value
    return front


def _many_goals(ascending: np.ndarray) -> np.ndarray:
    """Return the fronts of distinct points in ascending lexicographic order, smaller is better."""
    members: list[np.ndarray] = []
    counts: list[int] = []
    front = np.empty(len(ascending), dtype=np.int64)
    for i, point in enumerate(ascending):
        low, high = 0, len(members)
        while low < high:
            middle = (low + high) // 2
            if (members[middle][: counts[middle]] <= point).all(axis=1).any():
                low = middle + 1
            else:
                high = middle
        if low == len(members):
            members.append(np.empty((8, ascending.shape[1])))
            counts.append(0)
        if counts[low] == len(members[low]):
            members[low] = np.concatenate([members[low], np.empty_like(members[low])])
        members[low][counts[low]] = point
        counts[low] += 1
        front[i] = low
    return front


def hypervolume(Y: np.ndarray, reference: np.ndarray) -> float:
    """Return the volume that points dominate over a reference point.

    Parameters
    ----------
    Y : ndarray (n, m)
        Values of m goals. Points that are not better than the reference in every goal add nothing.
    reference : ndarray (m,)

    Notes
    -----
    By slices (Zitzler's HSO): exact, O(n log n) for two goals, and times n for each further goal.
    """
    above = Y[(reference < Y).all(axis=1)] - reference
    return _volume(above[fronts(above) == 0]) if len(above) else 0.0


def _volume(front: np.ndarray) -> float:
    """Return the volume of points with positive values over zero."""
    if front.shape[1] == 1:
        return float(front.max())
    front = front[np.argsort(-front[:, 0], kind="stable")]
    if front.shape[1] == 2:
        tops = np.maximum.accumulate(front[:, 1])
        return float(np.sum(front[:, 0] * np.diff(tops, prepend=0.0)))
    widths = front[:, 0] - np.append(front[1:, 0], 0.0)
    total = 0.0
    for i in np.flatnonzero(widths > 0):
        rest = front[: i + 1, 1:]
        total += float(widths[i]) * _volume(rest[fronts(rest) == 0])
    return total


def reference_point(Y: np.ndarray) -> np.ndarray:
    """Return a reference point (m,) for the hypervolume of what is better than these points.

    It lies a tenth of the front's range under the front's worst value in each goal, as BoTorch's
    ``infer_reference_point`` has it. Where all of the front has one value, it is a tenth of the range of all
    points under that value, else of the value's size, else of 1.
    """
    front = Y[fronts(Y) == 0]
    worst, span = front.min(axis=0), np.ptp(front, axis=0)
    for wider in (np.ptp(Y, axis=0), np.abs(worst), np.ones_like(worst)):
        span = np.where(span > 0, span, wider)
    return np.asarray(worst - _MARGIN * span)
