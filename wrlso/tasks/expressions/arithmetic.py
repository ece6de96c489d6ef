"""Arithmetic expressions in x as text: parsing, canonical spelling, evaluation and score.

Precedence and associativity are the usual ones, so ``1 + 2 * 3`` is 7. The task's grammar would group it from
the left, but the published scores use the usual precedence.
"""

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso.exceptions import DataError, DataTypeError

__all__ = ["canonical", "evaluate", "postfix", "score", "tokens"]

Values = NDArray[np.float64]
Term = tuple[int, Any]  # (number of the sub-expression, its values: an array or, for a constant, a scalar)

# Text outside the language becomes a token of one word or one character, which the parser refuses.
_TOKEN = re.compile(
    r"(?:sin|exp)\s*\(|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[A-Za-z_][A-Za-z_0-9]*|\S"
)
_NUMBER = re.compile(r"\.?[0-9]")
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "negate": 3}
_OPENING = {"(", "sin(", "exp("}
_OPERATIONS: dict[str, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "negate": np.negative,
    "sin(": np.sin,
    "exp(": np.exp,
}
_OPERAND = "a number, x, '(', 'sin(' or 'exp('"
_OPERATOR = "'+', '-', '*', '/'"

_MEMORY = 2**22  # float64 values of sub-expressions in memory: 32 MB
_CLIP = -7.0


def tokens(text: Any) -> list[str]:
    """Split an expression into tokens in the spelling of the reference data, without checks."""
    if not isinstance(text, str):
        raise DataTypeError(f"an expression must be text, such as 'x + sin( 2 * x )', got {text!r}")
    found: list[str] = _TOKEN.findall(text.replace("v", "x"))
    return ["".join(token.split()) if len(token) > 4 else token for token in found]


def _fail(text: str, number: int, expected: str) -> NoReturn:
    """Raise the error for the token of this number, or for the end of the text."""
    found = list(_TOKEN.finditer(text))
    shown = text if len(text) <= 80 else text[:77] + "..."
    if number < len(found):
        place, got = f"position {found[number].start() + 1}", repr(found[number].group())
    else:
        place, got = "its end", "nothing more"
    raise DataError(f"cannot read the expression {shown!r}: at {place} expected {expected}, got {got}")


def postfix(text: Any) -> list[str]:
    """Parse an expression into postfix order: every operator follows its operands (shunting yard).

    Raises
    ------
    DataError
        For an invalid expression; the error names the position, the expected tokens and the given one.
    """
    output: list[str] = []
    waiting: list[str] = []
    complete = False  # whether the text could end here or continue with an operator
    number = -1
    for number, token in enumerate(tokens(text)):
        if not complete:
            if token == "x" or _NUMBER.match(token):
                output.append(token)
                complete = True
            elif token in _OPENING:
                waiting.append(token)
            elif token == "-":
                waiting.append("negate")
            else:
                _fail(text, number, _OPERAND)
        elif token in _PRECEDENCE:
            binds = _PRECEDENCE[token]
            while waiting and _PRECEDENCE.get(waiting[-1], 0) >= binds:
                output.append(waiting.pop())
            waiting.append(token)
            complete = False
        elif token == ")" and not _OPENING.isdisjoint(waiting):
            while (last := waiting.pop()) not in _OPENING:
                output.append(last)
            if last != "(":
                output.append(last)
        else:
            _fail(text, number, _OPERATOR + (" or the end" if _OPENING.isdisjoint(waiting) else " or ')'"))
    if not complete:
        _fail(text, number + 1, _OPERAND)
    while waiting:
        if (last := waiting.pop()) in _OPENING:
            _fail(text, number + 1, f"{_OPERATOR} or ')' to close {last!r}")
        output.append(last)
    return output


def canonical(text: Any) -> str:
    """Return an expression in the spelling of the reference data: ``sin(`` is one token, x instead of v.

    Raises
    ------
    DataError
        For an invalid expression.

    Examples
    --------
    >>> canonical("1/3+v+sin (v*v)")
    '1 / 3 + x + sin( x * x )'
    """
    postfix(text)
    return " ".join(tokens(text))


class _Evaluator:
    """Values of expressions on one set of points; sub-expressions in memory are not computed again.

    The value of a part without x is a number instead of an array.
    """

    def __init__(self, points: Values) -> None:
        self.points = points
        self.capacity = max(16, _MEMORY // max(1, len(points)))
        self.known: dict[Any, Term] = {}
        self.counter = 0

    def write(self, text: Any, row: Values) -> None:
        """Write the values of an expression into a row (p,)."""
        stack: list[Term] = []
        order = postfix(text)
        for left, token in zip(range(len(order) - 1, -1, -1), order, strict=True):
            operation = _OPERATIONS.get(token)
            operands = stack[-operation.nin :] if operation else []
            key = (token, *[term[0] for term in operands])
            term = self.known.get(key)
            if term is None:
                values = [term[1] for term in operands]
                if operation and not left:
                    # Most whole expressions are new: write them directly into the row, without a copy.
                    operation(*values, out=row)
                    return
                term = self._remember(key, operation(*values) if operation else self._leaf(token))
            if operands:
                del stack[-len(operands) :]
            stack.append(term)
        row[...] = stack[0][1]

    def _leaf(self, token: str) -> Any:
        return self.points if token == "x" else np.float64(token)

    def _remember(self, key: Any, values: Any) -> Term:
        if len(self.known) >= self.capacity:
            self.known.clear()  # numbers of sub-expressions are never reused, so terms in use stay distinct
        self.counter += 1
        self.known[key] = term = (self.counter, values)
        return term


def evaluate(expressions: Sequence[str], v: ArrayLike) -> Values:
    """Evaluate expressions on many points.

    Expressions consist of ``+ - * /``, ``sin``, ``exp``, parentheses, numbers and the variable (``x`` or
    ``v``), with the usual precedence. Overflow gives inf, an undefined operation nan, both without a warning.
    A batch is faster than single expressions: shared parts are computed once, in bounded memory.

    Parameters
    ----------
    expressions : sequence of n str
        Spaces between tokens do not matter.
    v : array_like of shape (p,)
        The variable's values.

    Returns
    -------
    ndarray of shape (n, p), float64

    Raises
    ------
    DataError
        For an invalid expression (the error names the position, the expected tokens and the given one), or
        if v is not one-dimensional.

    Examples
    --------
    >>> evaluate(["1 + 2 * 3", "x / 2", "1/v"], [4.0, 0.0])
    array([[7.  , 7.  ],
           [2.  , 0.  ],
           [0.25,  inf]])
    """
    if isinstance(expressions, str):
        raise DataTypeError(
            f"expected a sequence of expressions, got one: put it in a list, [{expressions!r}]"
        )
    points = np.asarray(v, dtype=np.float64)
    if points.ndim != 1:
        raise DataError(f"the variable's values must have shape (p,), got {points.shape}")
    values = np.empty((len(expressions), len(points)))
    evaluator = _Evaluator(points)
    with np.errstate(all="ignore"):
        for text, row in zip(expressions, values, strict=True):
            evaluator.write(text, row)
    return values


def score(values: ArrayLike, target: ArrayLike) -> Values:
    """Return -log(1 + MSE) to the target's values, at least -7; -7 also for a non-finite MSE.

    The bound is that of the released code.

    Parameters
    ----------
    values : array_like of shape (n, p)
        Values of n expressions.
    target : array_like of shape (p,)
        The target's values on the same points.

    Returns
    -------
    ndarray of shape (n,), float64
        In [-7, 0]; 0 for the target.

    Examples
    --------
    >>> score([[1.0, 2.0], [1.0, 4.0], [float("inf"), 0.0]], [1.0, 2.0])
    array([ 0.        , -1.09861229, -7.        ])
    """
    values, target = np.asarray(values, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if values.ndim != 2 or target.shape != values.shape[1:]:
        raise DataError(
            f"values and target must have shapes (n, p) and (p,), got {values.shape} and {target.shape}"
        )
    scores = np.empty(len(values))
    rows = max(1, 2**17 // max(1, len(target)))  # a megabyte of differences fits into the cache
    with np.errstate(all="ignore"):
        for start in range(0, len(values), rows):
            difference = values[start : start + rows] - target
            error = np.einsum("ij,ij->i", difference, difference) / len(target)
            scores[start : start + rows] = np.maximum(-np.log1p(error), _CLIP)
    return np.where(np.isnan(scores), _CLIP, scores) + 0.0  # no negative zero
