"""Small random changes of arrays, and arrays made of two: what a VAE's ``mutate`` and ``cross`` do to x.

The arrays are in compact form: uint8 bits, class indices, or real numbers. The first axis counts the objects;
the others are the places of one object, such as the rows and columns of an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Values", "crossed", "mutated"]

_MOST = 64  # places that one change of single places reaches
_DIFFERENCE = 0.3  # share of the real mutants that move by the difference of two objects
_BLEND = 0.3  # share of the real crosses that lie between their parents, or a little beyond
_BEYOND = 0.25  # how far, as a share of the distance

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Values:
    """What one place of an object may hold.

    Attributes
    ----------
    n_classes : int or None
        Number of classes of class indices; 2 for bits; None for real numbers.
    spread : ndarray (...) or float
        Standard deviation of each real number over the data.
    whole : bool
        Whether the real numbers are integers.
    low, high : float
        Bounds of the real numbers.
    """

    n_classes: int | None = None
    spread: np.ndarray | float = 1.0
    whole: bool = False
    low: float = -np.inf
    high: float = np.inf


def mutated(arrays: np.ndarray, values: Values, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of n objects (n, ...), each with one small random change.

    Classes and bits: new values at one or a few places; a value inserted or left out, where what follows
    moves by one; a part copied elsewhere, rotated, reversed or filled; two places swapped. Real numbers:
    steps of 1 to 100 % of the spread in one, some or all places, or by a share of the difference of two.
    """
    n, shape = len(arrays), arrays.shape[1:] or (1,)
    if n == 0 or 0 in shape:
        return arrays.copy()
    found = arrays.reshape(n, *shape).copy()
    if values.n_classes is None:
        return _stepped(found, values, rng).reshape(arrays.shape)
    kinds = rng.choice(len(_KINDS), size=n, p=_CHANCES)
    for kind, change in enumerate(_KINDS):
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            found[rows] = change(found[rows], arrays.reshape(n, *shape), values.n_classes, rng)
    return found.reshape(arrays.shape)


def crossed(first: np.ndarray, second: np.ndarray, values: Values, rng: np.random.Generator) -> np.ndarray:
    """Return n objects, the i-th of parts of two: single places, a run or a box of neighbouring ones.

    Real numbers of some lie between those of both, or a little beyond one of them.
    """
    n, shape = len(first), first.shape[1:] or (1,)
    if n == 0 or 0 in shape:
        return first.copy()
    a, b = first.reshape(n, *shape), second.reshape(n, *shape)
    single = rng.random((n, *shape)) < _column(rng.uniform(0.1, 0.5, size=n), a)
    kind = rng.integers(3, size=n)
    part = np.where(_column(kind == 0, a), single, _in_run(n, shape, rng))
    if len(shape) > 1:
        part = np.where(_column(kind == 2, a), _inside(*_boxes(n, shape, rng), shape), part)
    found = np.where(part, b, a)
    if values.n_classes is None:
        share = rng.uniform(-_BEYOND, 1.0 + _BEYOND, size=n)
        between = a + _column(share, a) * (b - a)
        found = np.where(_column(rng.random(n) < _BLEND, a), _bounded(between, a, values), found)
    return found.astype(first.dtype).reshape(first.shape)


# ------------------------------------------------------------------ real numbers


def _stepped(x: np.ndarray, values: Values, rng: np.random.Generator) -> np.ndarray:
    """Move some places of each object (n, ...) by steps of many sizes."""
    n, size = len(x), x[0].size
    rate = np.where(rng.random(n) < 0.5, rng.uniform(size=n), 1.0)
    moves = rng.random(x.shape) < _column(rate, x)
    alone = np.zeros((n, size), dtype=bool)
    alone[np.arange(n), rng.integers(size, size=n)] = True
    alone = alone.reshape(x.shape)
    moves = np.where(_column(rng.random(n) < 1.0 / 3.0, x), alone, moves | alone)
    width = _column(10.0 ** rng.uniform(-2.0, 0.0, size=n), x)
    step = width * values.spread * rng.standard_normal(x.shape)
    others = x[rng.integers(n, size=n)].astype(np.float64) - x[rng.integers(n, size=n)]
    # equal parents have no difference: those objects take a plain step
    differs = (rng.random(n) < _DIFFERENCE) & (others.reshape(n, -1) != 0).any(axis=1)
    step = np.where(_column(differs, x), _column(rng.uniform(0.2, 0.9, size=n), x) * others, step)
    if values.whole:
        step = np.where(np.abs(step) < 1.0, np.copysign(1.0 * (step != 0), step), np.rint(step))
    return _bounded(x + np.where(moves, step, 0.0), x, values).astype(x.dtype)


def _bounded(found: np.ndarray, x: np.ndarray, values: Values) -> np.ndarray:
    """Keep the sign of what has one sign in all objects x, as lengths and amounts have, and the bounds."""
    low = np.where((x >= 0).all(axis=0) & (x > 0).any(axis=0), 0.0, -np.inf)
    high = np.where((x <= 0).all(axis=0) & (x < 0).any(axis=0), 0.0, np.inf)
    return np.asarray(np.clip(found, np.maximum(low, values.low), np.minimum(high, values.high)))


# ------------------------------------------------------------------ bits and classes


def _other(x: np.ndarray, pool: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return other classes than x, of the same shape; half of them from ``pool`` where it has others."""
    drawn = (x.astype(np.int64) + rng.integers(1, max(k, 2), size=x.shape)) % k
    familiar = (rng.random(x.shape) < 0.5) & (pool != x)
    return np.where(familiar, pool, drawn).astype(x.dtype)


def _substituted(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Give one or a few places of each object new values."""
    n, flat = len(x), x.reshape(len(x), -1)
    size = flat.shape[1]
    many = rng.integers(1, min(max(size // 8, 2), _MOST) + 1, size=n)
    count = np.where(rng.random(n) < 0.5, 1, np.where(rng.random(n) < 0.6, rng.integers(2, 4, size=n), many))
    places = rng.integers(size, size=(n, int(count.max())))
    # behind its count a row repeats its first place, so that every row has equally many
    places = np.where(np.arange(places.shape[1])[None] < count[:, None], places, places[:, :1])
    others = data.reshape(len(data), -1)[rng.integers(len(data), size=n)]
    here, there = (np.take_along_axis(rows, places, axis=1) for rows in (flat, others))
    np.put_along_axis(flat, places, _other(here, there, k, rng), axis=1)
    return flat.reshape(x.shape)


def _filled(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Put one value in all places of a box, or move all its values by one class: bits are inverted."""
    inside = _inside(*_boxes(len(x), x.shape[1:], rng), x.shape[1:])
    value = _column(rng.integers(k, size=len(x)), x)
    turned = (x.astype(np.int64) + _column(rng.integers(1, max(k, 2), size=len(x)), x)) % k
    new = np.where(_column(rng.random(len(x)) < 0.5, x), value, turned)
    return np.where(inside, new, x).astype(x.dtype)


def _copied(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Copy a box to another place."""
    low, high = _boxes(len(x), x.shape[1:], rng)
    start = [rng.integers(0, size - (b - a) + 1) for a, b, size in zip(low, high, x.shape[1:], strict=True)]
    sources = [
        np.clip(np.arange(size)[None] - (a - s)[:, None], 0, size - 1)
        for a, s, size in zip(low, start, x.shape[1:], strict=True)
    ]
    return np.where(_inside(low, high, x.shape[1:]), _taken(x, sources), x)


def _shifted(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Insert or leave out a value: what follows on one axis moves by one; its end falls off, or repeats."""

    def source(size: int, low: Ints, high: Ints) -> Ints:
        step = rng.choice([-1, 1], size=len(low))[:, None]
        places = np.arange(size)[None]
        return np.where(places >= low[:, None], np.clip(places - step, 0, size - 1), places)

    found, axis, low = _along(x, source, rng)
    others = data[rng.integers(len(data), size=len(x))]
    at = _column(low, x) == np.arange(x.shape[1 + axis]).reshape(-1, *[1] * (x.ndim - 2 - axis))
    new = at & _column(rng.random(len(x)) < 0.5, x)
    return np.where(new, _other(found, others, k, rng), found)


def _rotated(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Rotate a run: one value or several move to its other end."""

    def source(size: int, low: Ints, high: Ints) -> Ints:
        places, length = np.arange(size)[None], np.maximum(high - low, 1)
        step = np.where(rng.random(len(low)) < 0.5, 1, rng.integers(1, np.maximum(length, 2)))
        moved = low[:, None] + (places - low[:, None] - step[:, None]) % length[:, None]
        return np.where((places >= low[:, None]) & (places < high[:, None]), moved, places)

    return _along(x, source, rng)[0]


def _reversed(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Reverse a run."""

    def source(size: int, low: Ints, high: Ints) -> Ints:
        places = np.arange(size)[None]
        inside = (places >= low[:, None]) & (places < high[:, None])
        return np.where(inside, (low + high - 1)[:, None] - places, places)

    return _along(x, source, rng)[0]


def _swapped(x: np.ndarray, data: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Swap the values of two places."""
    flat = x.reshape(len(x), -1).copy()
    places = rng.integers(flat.shape[1], size=(len(x), 2))
    np.put_along_axis(flat, places, np.take_along_axis(flat, places[:, ::-1], axis=1), axis=1)
    return flat.reshape(x.shape)


_KINDS = (_substituted, _shifted, _copied, _rotated, _swapped, _filled, _reversed)
_CHANCES = (0.5, 0.14, 0.1, 0.08, 0.08, 0.05, 0.05)


# ------------------------------------------------------------------ boxes and runs of places


def _column(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return numbers (n,) in a shape that spreads over the places of ``like`` (n, ...)."""
    return rows.reshape(-1, *[1] * (like.ndim - 1))


def _boxes(n: int, shape: Sequence[int], rng: np.random.Generator) -> tuple[list[Ints], list[Ints]]:
    """Return the first places and the ends of a random box for each of n objects; small ones are likelier."""
    low, high = [], []
    for size in shape:
        length = 1 + np.floor(size * rng.random(n) ** 2).astype(np.int64).clip(0, size - 1)
        low.append(rng.integers(0, size - length + 1))
        high.append(low[-1] + length)
    return low, high


def _inside(low: Sequence[Ints], high: Sequence[Ints], shape: Sequence[int]) -> np.ndarray:
    """Return which places (n, ...) lie in each object's box."""
    inside = np.ones((len(low[0]), *[1] * len(shape)), dtype=bool)
    for axis, (a, b, size) in enumerate(zip(low, high, shape, strict=True)):
        places = np.arange(size).reshape(-1, *[1] * (len(shape) - 1 - axis))
        inside = inside & (places >= _column(a, inside)) & (places < _column(b, inside))
    return inside


def _in_run(n: int, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Return which places (n, ...) lie in a run in reading order; half of the runs go to the end."""
    size = int(np.prod(shape))
    cuts = np.sort(rng.integers(size + 1, size=(n, 2)), axis=1)
    cuts[rng.random(n) < 0.5, 1] = size
    places = np.arange(size)[None]
    return np.asarray(((places >= cuts[:, :1]) & (places < cuts[:, 1:])).reshape(n, *shape))


def _taken(x: np.ndarray, sources: Sequence[Ints]) -> np.ndarray:
    """Return objects whose values come from other places: along each axis those of ``sources`` (n, size)."""
    n, shape = len(x), x.shape[1:]
    flat = np.zeros((n, *[1] * len(shape)), dtype=np.int64)
    for axis, (source, size) in enumerate(zip(sources, shape, strict=True)):
        there = source.reshape(n, *[1] * axis, size, *[1] * (len(shape) - 1 - axis))
        flat = flat * size + there
    return np.take_along_axis(x.reshape(n, -1), flat.reshape(n, -1), axis=1).reshape(x.shape)


def _along(
    x: np.ndarray, source: Callable[[int, Ints, Ints], Ints], rng: np.random.Generator
) -> tuple[np.ndarray, int, Ints]:
    """Move values along one axis within a random run of it, for all other places or those of a box only.

    ``source(size, low, high)`` returns from which places of the axis (n, size) each place takes its value.
    Returns the objects, the axis and the first places of the runs.
    """
    n, shape = len(x), x.shape[1:]
    axis = int(rng.integers(len(shape)))
    low, high = _boxes(n, shape, rng)
    sources = [np.broadcast_to(np.arange(size)[None], (n, size)) for size in shape]
    sources[axis] = source(shape[axis], low[axis], high[axis])
    moved = _taken(x, sources)
    start = low[axis]
    low[axis], high[axis] = np.zeros(n, dtype=np.int64), np.full(n, shape[axis])
    free = rng.random(n) < 0.5
    inside = _column(free, x) | _inside(low, high, shape)
    return np.where(inside, moved, x), axis, start
