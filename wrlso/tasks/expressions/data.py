"""The grammar of the expressions task, the reference data's 100,000 expressions, and random others."""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import numpy as np

from wrlso.exceptions import DataError
from wrlso.tasks.expressions.arithmetic import postfix, tokens

__all__ = [
    "EXPRESSION_GRAMMAR",
    "MAX_PRODUCTIONS",
    "generated_expressions",
    "production_count",
    "reference_expressions",
]

#: The task's grammar (paper, section 6.2), its terminals spelled as in the reference data.
EXPRESSION_GRAMMAR = """\
S -> S '+' T | S '*' T | S '/' T | T
T -> '(' S ')' | 'sin(' S ')' | 'exp(' S ')' | 'x' | '1' | '2' | '3'
"""
MAX_PRODUCTIONS = 15

_OPERATORS = ("+", "*", "/")
_OPENING = ("(", "sin(", "exp(")
_LEAVES = ("x", "1", "2", "3")
_TERMINALS = {*_OPERATORS, *_OPENING, *_LEAVES, ")"}

_REFERENCE_SIZE = 100_000
_REFERENCE_DEPTH = 5


def production_count(text: Any) -> int | None:
    """Return the number of productions that derive an expression, None outside the grammar.

    The grammar is unambiguous: every term takes one production of S and one of T.

    Examples
    --------
    >>> production_count("x + sin(2)"), production_count("x + 4")
    (6, None)
    """
    try:
        postfix(text)
    except DataError:
        return None
    found = tokens(text)
    if not _TERMINALS.issuperset(found):
        return None
    return 2 * sum(token in _LEAVES or token in _OPENING for token in found)


def _sums(depth: int) -> Iterator[str]:
    """Derive S with trees of at most this depth, in the order of the productions, the last symbol fastest."""
    if depth > 1:
        for operator in _OPERATORS:
            for left in _sums(depth - 1):
                for right in _terms(depth - 1):
                    yield f"{left} {operator} {right}"
        yield from _terms(depth - 1)


@cache
def _terms(depth: int) -> tuple[str, ...]:
    """Derive T in the same way."""
    bracketed = [f"{opening} {inner} )" for opening in _OPENING for inner in _sums(depth - 1)]
    return (*bracketed, *_LEAVES)


@lru_cache(maxsize=1)
def reference_expressions() -> tuple[str, ...]:
    """Return the 100,000 expressions of the released experiments, in the order of their file.

    That file holds the start of a complete enumeration of trees up to depth 5. All expressions are sums
    ``A + B + C``: A has two operands, B is an operand or a function of one, C is an operand or a function of
    up to two.
    """
    return tuple(islice(_sums(_REFERENCE_DEPTH), _REFERENCE_SIZE))


@cache
def _count_sums(terms: int) -> int:
    """Count the expressions with this many terms, which take 2 × terms productions."""
    return sum(_counts_by_left(terms))


@cache
def _counts_by_left(terms: int) -> list[int]:
    """Count these expressions by the number of terms left of the last operator (0: no operator)."""
    counts = [_count_terms(terms)]
    counts += [len(_OPERATORS) * _count_sums(left) * _count_terms(terms - left) for left in range(1, terms)]
    return counts


def _count_terms(terms: int) -> int:
    return len(_LEAVES) if terms == 1 else len(_OPENING) * _count_sums(terms - 1)


def _sum(terms: int, rank: int) -> str:
    """Return the expression with this many terms and this rank, from 0 to their number - 1."""
    left = 0
    while rank >= (count := _counts_by_left(terms)[left]):
        rank -= count
        left += 1
    if left == 0:
        return _term(terms, rank)
    rank, right_rank = divmod(rank, _count_terms(terms - left))
    left_rank, operator = divmod(rank, len(_OPERATORS))
    return f"{_sum(left, left_rank)} {_OPERATORS[operator]} {_term(terms - left, right_rank)}"


@lru_cache(maxsize=2**15)
def _term(terms: int, rank: int) -> str:
    if terms == 1:
        return _LEAVES[rank]
    inner, opening = divmod(rank, len(_OPENING))
    return f"{_OPENING[opening]} {_sum(terms - 1, inner)} )"


def generated_expressions(n: int, rng: np.random.Generator) -> list[str]:
    """Sample n distinct expressions with at most 15 productions.

    Half of them have the greatest length, 14 productions, a quarter 12, and so on, as far as enough
    expressions of a length exist. Within a length all derivations have the same probability. (In the
    reference data 68 % have 14 productions, 28 % 12, 4 % 10, and none fewer than 8.)

    Parameters
    ----------
    n : int
        At most 10 million, a twentieth of all expressions.
    rng : numpy.random.Generator

    Returns
    -------
    list of n str
        In random order.

    Examples
    --------
    >>> len(set(generated_expressions(1000, np.random.default_rng(0))))
    1000
    """
    most = MAX_PRODUCTIONS // 2
    sizes = {terms: min(n >> (most + 1 - terms), _count_sums(terms)) for terms in range(1, most)}
    sizes[most] = n - sum(sizes.values())
    texts = [
        _sum(terms, int(rank))
        for terms, size in sizes.items()
        for rank in rng.choice(_count_sums(terms), size, replace=False)
    ]
    return [texts[i] for i in rng.permutation(n)]
