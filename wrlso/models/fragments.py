"""Strings of a context-free grammar as counts of the fragments of their derivation trees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count
from wrlso.models.context_free import ContextFreeGrammar, shared_grammar

__all__ = ["DerivationFragments"]

_CACHE = 100_000  # strings whose fragments are kept in memory
_MASK = (1 << 64) - 1
_WIDEST = 1 << 16  # above the number of nonterminals on the right of any rule


class DerivationFragments(BaseEstimator):
    r"""Map strings to square roots of the counts of tree fragments, for :class:`wrlso.FeatureGP`.

    Each rule of a derivation tree gives four fragments: the rule alone, the rule with its place below its
    parent, the same with the parent's place below the grandparent, and the whole subtree. Distances between
    square roots of counts are Hellinger distances up to normalisation. A hash, the same on every machine,
    maps fragments to ``n_features`` columns.

    Parameters
    ----------
    grammar : str
        Text of a :class:`wrlso.models.ContextFreeGrammar`.
    n_features : int, default=1024
        Number D of columns.
    separator : str, default=" "
        See :class:`wrlso.models.ContextFreeGrammar`.

    Examples
    --------
    >>> fragments = DerivationFragments("S -> S '+' T | T \n T -> 'x' | '1'")
    >>> features = fragments(["x + 1", "1 + x", "x"])
    >>> tuple(features.shape)
    (3, 1024)
    >>> bool((features[0] - features[1]).norm() < (features[0] - features[2]).norm())
    True
    """

    def __init__(self, grammar: str, n_features: int = 1024, *, separator: str = " ") -> None:
        self.grammar = grammar
        self.n_features = n_features
        self.separator = separator

    def __call__(self, X: Sequence[str]) -> Tensor:
        """Return the features (n, D) float64 of n strings.

        Raises DataError or DataTypeError for an x outside the language.
        """
        check_count("n_features", self.n_features)
        grammar = shared_grammar(self.grammar, self.separator)
        known: dict[str, tuple[np.ndarray, np.ndarray]] = self.__dict__.setdefault("_known", {})
        features = np.zeros((len(X), self.n_features))
        for row, x in zip(features, X, strict=True):
            entry = known.get(x)
            if entry is None:
                if len(known) >= _CACHE:
                    known.clear()
                entry = known[x] = self._columns(fragments(grammar, grammar.parse(x)))
            row[entry[0]] = entry[1]
        return torch.from_numpy(features)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the cache and the grammar."""
        return {k: v for k, v in super().__getstate__().items() if k != "_known"}

    def _columns(self, hashes: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return columns (m,) and square roots of counts (m,)."""
        columns, counts = np.unique(np.array(hashes) % self.n_features, return_counts=True)
        return columns, np.sqrt(counts)


def fragments(grammar: ContextFreeGrammar, derivation: Sequence[int]) -> list[int]:
    """Return a hash for every fragment of a derivation tree: four for each rule."""
    children = grammar.children
    hashes: list[int] = []
    places = [(0, 0)]  # of the next nonterminals: own place below the parent, parent's place
    for rule in derivation:
        place, above = places.pop()
        hashes += (_mix((1, rule)), _mix((2, rule, place)), _mix((3, rule, place, above)))
        width = len(children[rule])
        places += [(1 + rule * _WIDEST + column, place) for column in range(width - 1, -1, -1)]
    subtrees: list[int] = []  # roots of the subtrees to the right, the leftmost last
    for rule in reversed(derivation):
        below = [subtrees.pop() for _ in children[rule]]
        subtrees.append(_mix((4, rule, *below)))
        hashes.append(subtrees[-1])
    return hashes


def _mix(parts: tuple[int, ...]) -> int:
    """Return a 63-bit hash of integers, the same in every process (FNV-1a with a final shuffle)."""
    value = 0xCBF29CE484222325
    for part in parts:
        value = ((value ^ part) * 0x100000001B3) & _MASK
        value ^= value >> 29
    return ((value * 0xBF58476D1CE4E5B9) & _MASK) >> 1
