"""What the x of the panel's problems are, and how methods without a model change them.

Glossary: x one object, X list of them, D the number of a table's columns, values (D,) the columns of one x.
"""

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.expressions.peers import GrammarTask
from wrlso.models.context_free import ContextFreeGrammar
from wrlso.models.derivations import DerivationMoves

__all__ = ["Columns", "Derived", "Molecular", "Space", "bits", "categories", "reals"]

Values = NDArray[np.float64]

_STEP = 0.15  # most of a real column's range by which a change usually moves it
_SHARE = 0.01  # of a table's columns that a mutation changes beside the first


class Space(Protocol):
    """Small changes of x, and joins of two."""

    def key(self, x: Any) -> Hashable:
        """Return the identity of x."""

    def mutate(self, x: Any, rng: np.random.Generator) -> Any:
        """Return a copy of x with a small change; None for an invalid one."""

    def cross(self, x: Any, other: Any, rng: np.random.Generator) -> Any:
        """Return an x made of parts of both; None for an invalid one."""


@dataclass(frozen=True)
class Columns:
    """Objects that are rows of a table with D columns: numbers with bounds, or categories.

    Attributes
    ----------
    low, high : ndarray (D,)
        Bounds of the numbers; of a category 0 and the number of categories less one.
    is_category : ndarray (D,) bool
    values : callable x → (D,)
    build : callable (D,) → x
    """

    low: Values
    high: Values
    is_category: NDArray[np.bool_]
    values: Callable[[Any], Values]
    build: Callable[[Values], Any]

    def key(self, x: Any) -> bytes:
        """Return the bytes of the columns."""
        return (self.values(x) + 0.0).tobytes()

    def mutate(self, x: Any, rng: np.random.Generator) -> Any:
        """Change one column, and of the others one in a hundred."""
        found = self.values(x).copy()
        changed = rng.random(len(found)) < _SHARE
        changed[rng.integers(len(found))] = True
        for i in np.flatnonzero(changed).tolist():
            found[i] = self._changed(i, found[i], rng)
        return self.build(found)

    def cross(self, x: Any, other: Any, rng: np.random.Generator) -> Any:
        """Take each column from either, or all columns between two places from the other."""
        found, second = self.values(x).copy(), self.values(other)
        if rng.random() < 0.5:
            taken = rng.random(len(found)) < 0.5
        else:
            first, end = np.sort(rng.integers(len(found) + 1, size=2))
            taken = (np.arange(len(found)) >= first) & (np.arange(len(found)) < end)
        found[taken] = second[taken]
        return self.build(found)

    def flat(self, X: Sequence[Any]) -> Values:
        """Return the numbers in units of their ranges, and categories one-hot (two of them: one column)."""
        rows = np.stack([self.values(x) for x in X])
        parts = []
        for i, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if self.is_category[i] and high > 1:
                parts.append(rows[:, i, None] == np.arange(high + 1))
            else:
                parts.append((rows[:, i, None] - low) / (high - low))
        return np.concatenate(parts, axis=1).astype(np.float64)

    def _changed(self, i: int, value: float, rng: np.random.Generator) -> float:
        if self.is_category[i]:
            shift = rng.integers(1, int(self.high[i]) + 1)
            return float((int(value) + shift) % (int(self.high[i]) + 1))
        # steps of many sizes: the best one shrinks while a search comes closer
        step = rng.normal() * _STEP * rng.random() ** 2 * (self.high[i] - self.low[i])
        return float(np.clip(value + step, self.low[i], self.high[i]))


def bits(*shape: int) -> Columns:
    """Return the space of arrays of zeros and ones, uint8 of this shape."""
    n = int(np.prod(shape))
    return Columns(
        np.zeros(n),
        np.ones(n),
        np.ones(n, dtype=bool),
        lambda x: np.asarray(x, dtype=np.float64).ravel(),
        lambda values: values.astype(np.uint8).reshape(shape),
    )


def categories(length: int, classes: int, *, one_hot: bool = False) -> Columns:
    """Return the space of ``length`` categories: int64 (length,), or one-hot uint8 (length, classes)."""

    def values(x: Any) -> Values:
        return np.asarray(np.argmax(x, axis=1) if one_hot else x).astype(np.float64)

    def build(values: Values) -> Any:
        numbers = values.astype(np.int64)
        return np.eye(classes, dtype=np.uint8)[numbers] if one_hot else numbers

    high = np.full(length, classes - 1.0)
    return Columns(np.zeros(length), high, np.ones(length, dtype=bool), values, build)


def reals(low: Sequence[float], high: Sequence[float]) -> Columns:
    """Return the space of float64 vectors (D,) within bounds."""
    return Columns(
        np.array(low, dtype=np.float64),
        np.array(high, dtype=np.float64),
        np.zeros(len(low), dtype=bool),
        lambda x: np.clip(np.asarray(x, dtype=np.float64), low, high),
        lambda values: values.copy(),
    )


class Derived:
    """The strings of a grammar, changed and crossed in their derivation trees."""

    def __init__(self, task: GrammarTask) -> None:
        self.task = task
        grammar = ContextFreeGrammar(task.grammar)
        self._trees = DerivationMoves(grammar, task.max_rules, np.random.default_rng(0))

    def key(self, x: str) -> Hashable:
        """Return the task's identity of x."""
        found: Hashable = self.task.keys([x])[0]
        return found

    def mutate(self, x: str, rng: np.random.Generator) -> str:
        """Change one subtree."""
        self._trees.rng = rng
        return self._text(self._trees.mutate(self._parse(x)))

    def cross(self, x: str, other: str, rng: np.random.Generator) -> str:
        """Replace a subtree by one of the other."""
        self._trees.rng = rng
        return self._text(self._trees.cross(self._parse(x), self._parse(other)))

    def _parse(self, x: str) -> tuple[int, ...]:
        return self._trees.grammar.parse(x)

    def _text(self, derivation: tuple[int, ...]) -> str:
        return self._trees.grammar.text(derivation)


class Molecular:
    """Molecules as SMILES, with the operators of Graph GA (Jensen, Chem. Sci. 10, 2019) from ``mol_ga``."""

    def key(self, x: str) -> Hashable:
        """Return the canonical SMILES without stereochemistry."""
        return canonical(x, False) or x

    def mutate(self, x: str, rng: np.random.Generator) -> str | None:
        """Change an atom or a bond, or add or remove one."""
        from mol_ga.graph_ga.gen_candidates import mutate

        found: str | None = mutate(x, random.Random(int(rng.integers(2**63))))
        return found

    def cross(self, x: str, other: str, rng: np.random.Generator) -> str | None:
        """Join a part of each at a cut bond or ring."""
        from mol_ga.graph_ga.gen_candidates import reproduce

        found: str | None = reproduce(x, other, 0.01, random.Random(int(rng.integers(2**63))))
        return found
