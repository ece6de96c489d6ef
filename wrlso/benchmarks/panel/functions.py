"""Objectives of the panel on bits, categories and numbers, each with its best value where that is known."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

from wrlso.tasks.sequences.ehrlich import EhrlichFunction

__all__ = ["NK", "Colouring", "Diabetes", "DigitScore", "MaxSAT", "borehole", "ehrlich", "welded_beam_cost"]

Values = NDArray[np.float64]


def ehrlich(
    n_classes: int, length: int, n_motifs: int, motif_length: int, quantization: int, seed: int
) -> EhrlichFunction:
    """Return a random Ehrlich function (Stanton et al., 2024), drawn otherwise than by the task.

    Parameters
    ----------
    n_classes, length, n_motifs, motif_length, quantization : int
        v, L, c, k and q of the paper; ``c k ≤ L``, and q divides k.
    seed : int
        Of the transition matrix, motifs and spacings.
    """
    rng = np.random.default_rng(seed)
    transitions = _transitions(n_classes, rng)
    # the motifs, one after another, are a walk without pauses: so an optimum can be put together
    motifs = _walk(transitions, n_motifs * motif_length, rng).reshape(n_motifs, motif_length)
    room = length // n_motifs
    spacings = np.array([_spacing(room, motif_length, rng) for _ in range(n_motifs)])
    return EhrlichFunction(transitions, motifs, spacings, length, quantization)


def _transitions(v: int, rng: np.random.Generator) -> Values:
    weights = rng.exponential(size=(v, v))
    # a cycle through all states, and pauses, are always allowed: every state leads to every other
    cycle = rng.permutation(v)
    kept = np.eye(v, dtype=bool)
    kept[cycle, np.roll(cycle, 1)] = True
    for row in range(v):
        weights[row, rng.permutation(np.flatnonzero(~kept[row]))[: v // 3]] = 0.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _walk(transitions: Values, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a walk that never pauses."""
    walk = [int(rng.integers(len(transitions)))]
    while len(walk) < n:
        weights = transitions[walk[-1]].copy()
        weights[walk[-1]] = 0.0
        walk.append(int(rng.choice(len(transitions), p=weights / weights.sum())))
    return np.array(walk)


def _spacing(room: int, motif_length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    later = rng.choice(np.arange(1, room), size=motif_length - 1, replace=False)
    return np.concatenate([[0], np.sort(later)])


class NK:
    """Mean of n random functions of K + 1 bits each (Kauffman and Weinberger, 1989).

    The bits lie in a hidden order on a circle, and each function sees K + 1 neighbours. So the best value is
    found exactly, by dynamic programming.
    """

    def __init__(self, n: int, K: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n, self.K = n, K
        self.order = rng.permutation(n)
        self.tables = rng.random((n, 2 ** (K + 1)))

    def __call__(self, x: Any) -> float:
        """Return the value of x (n,)."""
        circle = np.asarray(x, dtype=np.int64)[self.order]
        places = (np.arange(self.n)[:, None] + np.arange(self.K + 1)) % self.n
        codes = circle[places] @ (1 << np.arange(self.K, -1, -1))
        return float(self.tables[np.arange(self.n), codes].mean())

    @property
    def best(self) -> float:
        """The largest value."""
        states = 2**self.K
        values = []
        for first in range(states):  # the first K bits of the circle, at which it also ends
            best = np.full(states, -np.inf)
            best[first] = 0.0
            for i in range(self.n):
                gains = self.tables[i].reshape(states, 2)
                # the state is the last K bits; the next bit moves the oldest out
                moved = np.full(states, -np.inf)
                codes = (2 * np.arange(states)[:, None] + np.arange(2)) % states
                np.maximum.at(moved, codes.ravel(), (best[:, None] + gains).ravel())
                best = moved
            values.append(best[first])
        return float(max(values)) / self.n


class MaxSAT:
    """The satisfied share of weighted random clauses of three bits, all of which one hidden x satisfies."""

    def __init__(self, n: int, n_clauses: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.hidden = rng.integers(2, size=n).astype(np.uint8)
        self.places = np.array([rng.choice(n, 3, replace=False) for _ in range(n_clauses)])
        signs = rng.integers(2, size=(n_clauses, 3))
        # clauses that the hidden x breaks get one literal that it satisfies
        broken = np.flatnonzero((signs != self.hidden[self.places]).all(axis=1))
        signs[broken, 0] = self.hidden[self.places[broken, 0]]
        self.signs = signs
        weights = rng.exponential(size=n_clauses)
        self.weights = weights / weights.sum()

    def __call__(self, x: Any) -> float:
        """Return the satisfied share, 1 at best."""
        satisfied = (np.asarray(x)[self.places] == self.signs).any(axis=1)
        return float(self.weights[satisfied].sum())


class Colouring:
    """The weight of a graph's edges whose ends differ in colour, as a share; a hidden colouring has 1."""

    def __init__(self, n: int, n_colours: int, n_edges: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n, self.n_colours = n, n_colours
        self.hidden = rng.permutation(np.arange(n) % n_colours)
        pairs = np.array([(i, j) for i in range(n) for j in range(i) if self.hidden[i] != self.hidden[j]])
        self.edges = pairs[rng.choice(len(pairs), n_edges, replace=False)]
        weights = rng.exponential(size=n_edges)
        self.weights = weights / weights.sum()

    def __call__(self, x: Any) -> float:
        """Return the share for a one-hot x (n, colours)."""
        colours = np.argmax(x, axis=1)[self.edges]
        return float(self.weights[colours[:, 0] != colours[:, 1]].sum())


_GAMMA = 0.02


class DigitScore:
    """How surely a support vector machine takes an image (8, 8) of zeros and ones for one digit.

    It is fitted to scikit-learn's handwritten digits, black where they have at least half of the ink.
    """

    def __init__(self, digit: int) -> None:
        images, labels = digit_images()
        machine = SVC(gamma=_GAMMA, C=3.0).fit(images.reshape(len(images), -1), labels == digit)
        self.points, self.weights = machine.support_vectors_, machine.dual_coef_[0]
        self.offset = float(machine.intercept_[0])

    def __call__(self, x: Any) -> float:
        """Return the distance from the boundary, in the machine's units; positive for the digit."""
        distances = ((np.asarray(x, dtype=np.float64).reshape(1, -1) - self.points) ** 2).sum(axis=1)
        return float(self.weights @ np.exp(-_GAMMA * distances)) + self.offset


@lru_cache(maxsize=1)
def digit_images() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the 1,797 digits (n, 8, 8) of zeros and ones, and their labels (n,)."""
    images, labels = load_digits(return_X_y=True)
    return (images >= 8).astype(np.uint8).reshape(-1, 8, 8), labels.astype(np.int64)


_SMOOTH = 0.055


class Diabetes:
    """The predicted progress of diabetes, a kernel regression on scikit-learn's table, in its own units.

    The columns are age, sex, body mass index, blood pressure and six blood values. Outside the range of the
    table, a value counts as the range's end.
    """

    def __init__(self) -> None:
        self.X, y = load_diabetes(return_X_y=True, scaled=False)
        self.low, self.high = self.X.min(axis=0), self.X.max(axis=0)
        self.centre, self.spread = self.X.mean(axis=0), self.X.std(axis=0)
        self.mean = float(y.mean())
        self.points = (self.X - self.centre) / self.spread
        machine = KernelRidge(alpha=0.3, kernel="rbf", gamma=_SMOOTH).fit(self.points, y - self.mean)
        self.weights = machine.dual_coef_

    def __call__(self, x: Any) -> float:
        """Return the prediction for one row (10,)."""
        row = (np.clip(np.asarray(x, dtype=np.float64), self.low, self.high) - self.centre) / self.spread
        distances = ((self.points - row) ** 2).sum(axis=1)
        return self.mean + float(self.weights @ np.exp(-_SMOOTH * distances))


# radius of the borehole and of influence (m), transmissivities (m²/a) and heads (m) of two aquifers, length
# (m) and conductivity (m/a) of the borehole
BOREHOLE_LOW = (0.05, 100.0, 63070.0, 990.0, 63.1, 700.0, 1120.0, 9855.0)
BOREHOLE_HIGH = (0.15, 50000.0, 115600.0, 1110.0, 116.0, 820.0, 1680.0, 12045.0)


def borehole(x: Any) -> float:
    """Return the flow of water through a borehole in m³/a (Harper and Gupta, 1983), x (8,) within bounds."""
    rw, r, tu, hu, tl, hl, length, kw = np.clip(np.asarray(x, float), BOREHOLE_LOW, BOREHOLE_HIGH)
    log = np.log(r / rw)
    return float(2 * np.pi * tu * (hu - hl) / (log * (1 + 2 * length * tu / (log * rw**2 * kw) + tu / tl)))


# strength, elastic and shear modulus (psi), cost of weld and of bar ($/in³)
MATERIALS = {
    "steel": (30e3, 30e6, 12e6, 0.1047, 0.0481),
    "cast iron": (8e3, 14e6, 6e6, 0.0489, 0.0224),
    "aluminium": (5e3, 10e6, 4e6, 0.5235, 0.2405),
    "brass": (8e3, 16e6, 6e6, 0.5584, 0.2566),
}
_FORCE, _OVERHANG, _DEFLECTION = 6000.0, 14.0, 0.25  # lb, in, in


def welded_beam_cost(
    material: str, four_sides: bool, h: float, length: float, t: float, b: float
) -> tuple[float, Sequence[float]]:
    """Return the cost ($) of a welded beam, and by what shares it exceeds four limits (Deb and Goyal, 1996).

    The limits are those of stress in the weld and in the bar, of buckling, and of deflection.

    Parameters
    ----------
    material : str
        One of ``MATERIALS``.
    four_sides : bool
        Weld on four sides instead of two.
    h, length, t, b : float
        Thickness and length of the weld, width and thickness of the bar, in inches.
    """
    strength, elastic, shear, weld_price, bar_price = MATERIALS[material]
    if four_sides:
        area = np.sqrt(2) * h * (t + length)
        inertia = np.sqrt(2) * h * ((h + t + length) ** 3 / 12 - t**2 * length**2 / (length + t))
    else:
        area = np.sqrt(2) * h * length
        inertia = np.sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
    arm = np.sqrt(length**2 + (h + t) ** 2)
    direct = _FORCE / area
    bending = _FORCE * (_OVERHANG + length / 2) * arm / (2 * max(inertia, 1e-9))
    stress = np.sqrt(direct**2 + 2 * direct * bending * length / arm + bending**2)
    normal = 6 * _FORCE * _OVERHANG / (t**2 * b)
    slender = 1 - t / (4 * _OVERHANG) * np.sqrt(elastic / shear)
    buckling = 4.013 * t * b**3 * np.sqrt(elastic * shear) / (6 * _OVERHANG**2) * slender
    deflection = 4 * _FORCE * _OVERHANG**3 / (elastic * t**3 * b)
    used = (
        stress / (0.577 * strength),
        normal / strength,
        _FORCE / max(buckling, 1e-9),
        deflection / _DEFLECTION,
    )
    cost = (1 + weld_price) * (length + four_sides * t) * h**2 + bar_price * t * b * (_OVERHANG + length)
    return float(cost), [max(float(share) - 1.0, 0.0) for share in used]
