"""The problems of the panel: an objective and starting data, and what a user brings to it, nothing more.

Half of the problems are for development. The other half are run once, when the defaults are frozen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wrlso._utils.random import isolated_torch_rng, stream
from wrlso._utils.validation import check_choice
from wrlso.benchmarks.panel.functions import (
    BOREHOLE_HIGH,
    BOREHOLE_LOW,
    MATERIALS,
    NK,
    Colouring,
    Diabetes,
    DigitScore,
    MaxSAT,
    borehole,
    digit_images,
    ehrlich,
    welded_beam_cost,
)
from wrlso.benchmarks.panel.spaces import Columns, Derived, Molecular, Space, bits, categories, reals
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.models.protocol import Objects
from wrlso.molecules import molecule_search
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.tasks.expressions.data import reference_expressions
from wrlso.tasks.expressions.task import Expressions
from wrlso.tasks.molecules.tasks import GuacaMol
from wrlso.tasks.sequences.ehrlich import EhrlichFunction
from wrlso.tasks.shapes import Shapes

__all__ = ["HALVES", "STARTS", "BeamCodec", "Problem", "networks", "problem"]

STARTS = ("poor", "rich", "tiny")
_TINY = 10
_N_MOLECULES = 100
_POOL, _TAKE = 0, 1  # random streams of a seed

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One problem of the panel.

    Attributes
    ----------
    name, kind : str
    direction : {"maximize", "minimize"}
    reference : float
        The best value, or the best known one.
    n_start : int
        Number of points of the poor and of the rich start.
    objective : callable x → float, or None for a failed experiment
    pool : callable (n, rng) → n random x
    space : Space
        How methods without a model change x.
    parts : callable seed → dict
        What a user gives the optimizer: two networks and their likelihood, or a model. Nothing else is set.
        An empty dict stands for :func:`wrlso.molecules.molecule_search`.
    """

    name: str
    kind: str
    direction: str
    reference: float
    n_start: int
    objective: Callable[[Any], float | None]
    pool: Callable[[int, np.random.Generator], Objects]
    space: Space
    parts: Callable[[int], dict[str, Any]]

    @property
    def half(self) -> str:
        """The half of the panel, "development" or "confirmation"."""
        return next(half for half, names in HALVES.items() if self.name in names)

    @property
    def sign(self) -> float:
        """The factor that makes larger values better."""
        return -1.0 if self.direction == "minimize" else 1.0

    def start(self, start: str, seed: int) -> tuple[Any, Values]:
        """Return starting points and their values, the same for all methods.

        Twice ``n_start`` random points are evaluated. The poor start is the worse half of them, the rich one
        the better half, and the tiny one ten of them.
        """
        check_choice("start", start, STARTS)
        X = self._distinct(self.pool(2 * self.n_start, stream(seed, _POOL)))
        found = [self.objective(x) for x in X]
        rows = np.array([i for i, value in enumerate(found) if value is not None])
        y = np.array([found[i] for i in rows], dtype=np.float64)
        if start == "tiny":
            taken = stream(seed, _TAKE).choice(len(y), _TINY, replace=False)
        else:
            order = np.argsort(self.sign * y, kind="stable")
            taken = order[: len(y) // 2] if start == "poor" else order[-(len(y) // 2) :]
        taken = np.sort(taken)
        chosen = [X[i] for i in rows[taken]]
        return np.stack(chosen) if isinstance(chosen[0], np.ndarray) else chosen, y[taken]

    def optimizer(self, X: Any, y: Values, seed: int, **settings: Any) -> WeightedRetrainingOptimizer:
        """Return an optimizer fitted to a start; ``settings`` are none, but where a study is about them."""
        options: dict[str, Any] = {"direction": self.direction, "random_state": seed} | settings
        parts = self.parts(seed)
        if not parts:
            return molecule_search(X, y, **options)
        return WeightedRetrainingOptimizer(**parts, **options).fit(X, y)

    def _distinct(self, X: Objects) -> list[Any]:
        return list({self.space.key(x): x for x in X}.values())


@cache
def problem(name: str) -> Problem:
    """Return a problem of the panel by name; see ``HALVES``."""
    check_choice("problem", name, _PROBLEMS)
    return _PROBLEMS[name]()


def networks(
    seed: int, shape: tuple[int, ...], latent_dim: int, *, classes: int = 0, width: int = 128
) -> tuple[nn.Module, nn.Module]:
    """Return a user's plain networks, an encoder and a decoder with one hidden layer each.

    Parameters
    ----------
    seed : int
        Of their weights.
    shape : tuple of int
        Of one x.
    latent_dim : int
    classes : int, default=0
        Number of classes, where x are class indices; 0: x are numbers or one-hot.
    width : int, default=128
        Of the hidden layers.
    """
    with isolated_torch_rng(seed):
        n = int(np.prod(shape))
        first = [nn.Embedding(classes, 8)] if classes else []
        encoder = nn.Sequential(
            *first,
            nn.Flatten(),
            nn.Linear(n * (8 if classes else 1), width),
            nn.ReLU(),
            nn.Linear(width, 2 * latent_dim),
        )
        out = (*shape, classes) if classes else shape
        decoder = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.ReLU(),
            nn.Linear(width, int(np.prod(out))),
            nn.Unflatten(1, out),
        )
    return encoder, decoder


def _own(likelihood: str, *size: Any, **options: Any) -> Callable[[int], dict[str, Any]]:
    def parts(seed: int) -> dict[str, Any]:
        encoder, decoder = networks(seed, *size, **options)
        return {"encoder": encoder, "decoder": decoder, "likelihood": likelihood}

    return parts


def _binary(*shape: int) -> Callable[[int, np.random.Generator], NDArray[np.uint8]]:
    return lambda n, rng: rng.integers(2, size=(n, *shape)).astype(np.uint8)


def _uniform(low: Sequence[float], high: Sequence[float]) -> Callable[[int, np.random.Generator], Values]:
    return lambda n, rng: rng.uniform(low, high, (n, len(low)))


def _ehrlich(name: str, function: EhrlichFunction, latent_dim: int) -> Problem:
    space = categories(function.length, function.n_classes)
    parts = _own("categorical", (function.length,), latent_dim, classes=function.n_classes)
    return Problem(name, "categories", "maximize", 1.0, 750, function, function.sample, space, parts)


def _ehrlich_small() -> Problem:
    return _ehrlich("ehrlich-small", ehrlich(12, 24, 3, 4, 4, seed=11), 12)


def _ehrlich_large() -> Problem:
    return _ehrlich("ehrlich-large", ehrlich(20, 40, 4, 4, 4, seed=12), 16)


def _nk() -> Problem:
    function = NK(48, 4, seed=13)
    parts = _own("bernoulli", (48,), 12)
    return Problem("nk", "bits", "maximize", function.best, 750, function, _binary(48), bits(48), parts)


def _maxsat() -> Problem:
    function = MaxSAT(60, 260, seed=14)
    return Problem(
        "maxsat", "bits", "maximize", 1.0, 750, function, _binary(60), bits(60),
        _own("bernoulli", (60,), 12),
    )  # fmt: skip


def _colouring() -> Problem:
    function = Colouring(30, 4, 120, seed=15)

    def pool(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        return np.eye(4, dtype=np.uint8)[rng.integers(4, size=(n, 30))]

    space = categories(30, 4, one_hot=True)
    parts = _own("categorical", (30, 4), 12)
    return Problem("colouring", "categories", "maximize", 1.0, 750, function, pool, space, parts)


def _digits() -> Problem:
    def pool(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        images, _ = digit_images()
        return images[rng.choice(len(images), n, replace=False)]

    return Problem(
        "digits", "images", "maximize", _BEST_DIGIT, 750, DigitScore(3), pool, bits(8, 8),
        _own("bernoulli", (8, 8), 10),
    )  # fmt: skip


def _shapes() -> Problem:
    task = Shapes()

    def pool(n: int, rng: np.random.Generator) -> NDArray[Any]:
        X, _ = task.initial_data()
        return np.asarray(X[rng.choice(len(X), n, replace=False)])

    return Problem(
        "shapes", "images", "maximize", task.optimum, 200, task.objective, pool, bits(64, 64),
        lambda seed: {"model": task.model(seed)},
    )  # fmt: skip


def _borehole() -> Problem:
    low, high = BOREHOLE_LOW, BOREHOLE_HIGH
    # the flow is monotone in each number, so its largest value lies in a corner
    corners = np.where(np.indices((2,) * 8).reshape(8, -1).T == 1, high, low)
    best = max(borehole(corner) for corner in corners)
    return Problem(
        "borehole", "reals", "maximize", best, 750, borehole, _uniform(low, high), reals(low, high),
        _own("gaussian", (8,), 6),
    )  # fmt: skip


def _diabetes() -> Problem:
    function = Diabetes()

    def pool(n: int, rng: np.random.Generator) -> Values:
        return np.asarray(function.X[rng.choice(len(function.X), n, replace=False)])

    return Problem(
        "diabetes", "reals", "minimize", _BEST_DIABETES, 200, function, pool,
        reals(function.low, function.high), _own("gaussian", (10,), 6),
    )  # fmt: skip


_NUMBERS = {"weld": (0.1, 2.0), "length": (0.1, 10.0), "width": (0.5, 10.0), "bar": (0.1, 5.0)}


class BeamCodec:
    """A user's translation between a table's rows, dicts, and arrays (n, 9)."""

    def transform(self, X: Sequence[dict[str, Any]]) -> Values:
        """Return the numbers, the flag and the one-hot material of each row."""
        names = list(MATERIALS)
        return np.array(
            [
                [
                    *(x[name] for name in _NUMBERS),
                    x["four_sides"],
                    *np.eye(len(names))[names.index(x["material"])],
                ]
                for x in X
            ],
            dtype=np.float64,
        ).reshape(len(X), len(_NUMBERS) + 1 + len(names))

    def inverse_transform(self, array: Values) -> list[dict[str, Any]]:
        """Return the rows nearest to arrays, with thousandths of an inch."""
        rows = []
        for numbers in np.asarray(array, dtype=np.float64):
            row: dict[str, Any] = {
                name: round(float(np.clip(number, *bounds)), 3)
                for number, (name, bounds) in zip(numbers, _NUMBERS.items(), strict=False)
            }
            row["four_sides"] = bool(numbers[4] >= 0.5)
            row["material"] = list(MATERIALS)[int(np.argmax(numbers[5:]))]
            rows.append(row)
        return rows


def _beam_value(x: dict[str, Any]) -> float:
    """Return the cost, and for a beam that breaks limits a penalty."""
    cost, excess = welded_beam_cost(
        x["material"], x["four_sides"], x["weld"], x["length"], x["width"], x["bar"]
    )
    return cost + 20.0 * float(np.log1p(excess).sum())


def _beam() -> Problem:
    codec, names = BeamCodec(), list(MATERIALS)
    low, high = (list(ends) for ends in zip(*_NUMBERS.values(), strict=True))

    def values(x: dict[str, Any]) -> Values:
        return np.array([*(x[name] for name in _NUMBERS), x["four_sides"], names.index(x["material"])])

    def build(row: Values) -> dict[str, Any]:
        return codec.inverse_transform(np.array([[*row[:5], *np.eye(len(names))[int(row[5])]]]))[0]

    space = Columns(
        np.array([*low, 0.0, 0.0]), np.array([*high, 1.0, len(names) - 1.0]), np.arange(6) >= 4, values, build
    )

    def pool(n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        numbers = rng.uniform(low, high, (n, 4))
        categories = np.stack([rng.integers(2, size=n), rng.integers(len(names), size=n)], axis=1)
        return [build(row) for row in np.concatenate([numbers, categories], axis=1)]

    def parts(seed: int) -> dict[str, Any]:
        return _own("gaussian", (9,), 6)(seed) | {"codec": codec}

    return Problem("beam", "table", "minimize", _BEST_BEAM, 750, _beam_value, pool, space, parts)


def _formula(name: str, target: str) -> Problem:
    task = Expressions(target)

    def pool(n: int, rng: np.random.Generator) -> list[str]:
        texts = reference_expressions()
        return [texts[i] for i in rng.choice(len(texts), n, replace=False)]

    return Problem(
        name, "formulas", "maximize", 0.0, 750, task.objective, pool, Derived(task),
        lambda seed: {"model": task.model(seed)},
    )  # fmt: skip


def _molecules(name: str, reference: float) -> Problem:
    task = GuacaMol(f"{name}_mpo")

    def objective(x: str) -> float | None:
        value = task.objective(x)
        return value if np.isfinite(value) else None

    def pool(n: int, rng: np.random.Generator) -> list[str]:
        texts = fetch_zinc250k()
        some = canonical_smiles([texts[i] for i in rng.choice(len(texts), n, replace=False)], stereo=False)
        return [x for x in some if x is not None]

    return Problem(
        name, "molecules", "maximize", reference, _N_MOLECULES, objective, pool, Molecular(), lambda seed: {}
    )


# The best values that long searches in x have found (genetic algorithms, differential evolution)
_BEST_DIGIT, _BEST_DIABETES, _BEST_BEAM = 2.99659, 19.97033, 2.0086

_PROBLEMS: dict[str, Callable[[], Problem]] = {
    "nk": _nk,
    "colouring": _colouring,
    "ehrlich-small": _ehrlich_small,
    "digits": _digits,
    "borehole": _borehole,
    "formula-reference": lambda: _formula("formula-reference", "reference"),
    "perindopril": lambda: _molecules("perindopril", 0.792),
    "maxsat": _maxsat,
    "ehrlich-large": _ehrlich_large,
    "shapes": _shapes,
    "diabetes": _diabetes,
    "beam": _beam,
    "formula-paper": lambda: _formula("formula-paper", "paper"),
    "zaleplon": lambda: _molecules("zaleplon", 0.754),
}

HALVES: dict[str, tuple[str, ...]] = {
    "development": tuple(_PROBLEMS)[:7],
    "confirmation": tuple(_PROBLEMS)[7:],
}
