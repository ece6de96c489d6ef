"""The expressions task: find an arithmetic expression with a target's values (paper, section 6.2).

The starting data are the worse half of 100,000 expressions, so a search must extrapolate to find the target
and expressions close to it.

Glossary: x an expression (text), X list of them, v (p,) the variable's values, y (n,) scores, at most 0.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import as_random_state, draw_seed, isolated_torch_rng
from wrlso._utils.validation import check_choice, check_count
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.fragments import DerivationFragments
from wrlso.models.grammar import GrammarVAE
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.tasks.expressions.arithmetic import canonical, evaluate, score
from wrlso.tasks.expressions.behaviour import Behaviour, check_vector
from wrlso.tasks.expressions.data import (
    EXPRESSION_GRAMMAR,
    MAX_PRODUCTIONS,
    generated_expressions,
    production_count,
    reference_expressions,
)

__all__ = [
    "EXPRESSION_GRAMMAR",
    "Expressions",
    "canonical",
    "evaluate",
    "fingerprints",
    "generated_expressions",
    "production_count",
    "reference_expressions",
    "score",
]

TARGETS = {"reference": "1 / 3 + x + sin( x * x )", "paper": "1 / 3 * x * sin( x * x )"}
N_GENERATED = 100_000
GENERATED_SEED = 0
CHUNK = 2048  # expressions evaluated at once: 16 MB of values at 1000 points

# Values are compared on a few points, neither near zero nor far out, where functions magnify rounding.
N_KEY_POINTS = 24
KEY_RANGE = (0.1, 0.3)  # from 1 to 3 for points evenly spread to 10
KEY_BITS = 30

Values = NDArray[np.float64]


def fingerprints(expressions: Sequence[str], v: ArrayLike) -> list[bytes]:
    """Return an identity of each expression's values: equal functions have the same, in any spelling.

    Values on 24 of the points (1 <= abs(v) <= 3 for the task's own) are rounded to 30 binary digits, about 9
    decimal ones. Evaluation rounds in the last of 53 digits. Of 30,000 pairs of spellings of one function
    29,993 agree; the others magnify rounding without bound, like ``sin( exp( exp( 3 ) ) )``. All nan are
    equal, and so are both zeros.

    Parameters
    ----------
    expressions : sequence of n str
    v : array_like of shape (p,)
        The variable's values; the comparison uses some of these points.

    Returns
    -------
    list of n bytes
        16 bytes each.

    Raises
    ------
    DataError
        If a text is no expression.

    Examples
    --------
    >>> a, b, c = fingerprints(["x + 1 / 2", "2 / 2 / 2 + (x)", "x + 1 / 3"], [0.0, 1.0, 2.0])
    >>> a == b, a == c
    (True, False)
    """
    values = evaluate(expressions, _key_points(check_vector("v", v).tobytes()))
    with np.errstate(all="ignore"):
        mantissa, exponent = np.frexp(values)
        rounded = np.ldexp(np.rint(mantissa * 2.0**KEY_BITS) / 2.0**KEY_BITS, exponent)
    # subnormal numbers have lost digits
    rounded[np.abs(rounded) < np.finfo(np.float64).tiny] = 0.0
    rounded[np.isnan(rounded)] = np.nan
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in rounded]


@lru_cache(maxsize=2**17)
def _fingerprint(expression: str, points: bytes) -> bytes:
    return fingerprints([expression], np.frombuffer(points))[0]


@lru_cache(maxsize=8)
def _key_points(points: bytes) -> Values:
    v = np.frombuffer(points)
    near = v[np.argsort(np.abs(v), kind="stable")]
    first, end = (round(share * len(v)) for share in KEY_RANGE)
    if end - first < N_KEY_POINTS:
        first, end = 0, len(v)
    return near[np.linspace(first, end - 1, min(len(v), N_KEY_POINTS)).round().astype(np.int64)]


@lru_cache(maxsize=1)
def _standard_points() -> Values:
    points = np.linspace(-10.0, 10.0, 1000)
    points.setflags(write=False)
    return points


@lru_cache(maxsize=1)
def _generated() -> tuple[str, ...]:
    return tuple(generated_expressions(N_GENERATED, np.random.default_rng(GENERATED_SEED)))


def _data(name: str) -> tuple[str, ...]:
    return reference_expressions() if name == "reference" else _generated()


def _scores(expressions: Sequence[str], v: Values, target: Values) -> Values:
    parts = [
        score(evaluate(expressions[start : start + CHUNK], v), target)
        for start in range(0, len(expressions), CHUNK)
    ]
    return np.concatenate([np.empty(0), *parts])


@lru_cache(maxsize=8)
def _worse_half(data: str, points: bytes, target: bytes) -> tuple[tuple[str, ...], Values]:
    """Return the worse half of a data set and its scores; callers must not change these."""
    texts = _data(data)
    y = _scores(texts, np.frombuffer(points), np.frombuffer(target))
    kept = np.sort(np.argsort(y, kind="stable")[: len(y) // 2])
    scores = y[kept]
    scores.setflags(write=False)
    return tuple(texts[i] for i in kept), scores


@lru_cache(maxsize=4)
def _known_keys(data: str, points: bytes, target: bytes, identity: str) -> frozenset[Any]:
    texts, _ = _worse_half(data, points, target)
    if identity == "text":
        return frozenset(texts)
    v = np.frombuffer(points)
    return frozenset(
        key for i in range(0, len(texts), CHUNK) for key in fingerprints(texts[i : i + CHUNK], v)
    )


class Expressions(BaseEstimator):
    """Find an expression with the target's values, starting from the worse half of 100,000 expressions.

    Candidates are expressions of ``EXPRESSION_GRAMMAR`` with at most 15 productions. Their score is
    -log(1 + MSE) to the target, between -7 and 0.

    Parameters
    ----------
    target : {"reference", "paper"}, other str, or array_like of shape (p,), default="reference"
        ``"reference"``: 1/3 + x + sin(x*x), the target of the released code and all published results;
        ``"paper"``: 1/3 * x * sin(x*x), as the paper prints it. Any other text: an expression, also one
        outside the grammar. An array: measured values at ``points``.
    data : {"reference", "generated"}, default="reference"
        ``"reference"``: the expressions of the released experiments. They are not a random sample of the
        grammar: all are sums of three parts, so none resembles the paper's target.
        ``"generated"``: 100,000 random ones, see :func:`generated_expressions`; always the same.
    identity : {"values", "text"}, default="values"
        Two expressions are the same point when they have the same values (see :func:`fingerprints`) or,
        as in the published results, the same text without spaces.
    n_start : int, optional, default=5000
        Number of starting points, sampled without replacement from the worse half (50,000): 5000 in the
        released code. None: the whole worse half (preprint).
    points : array_like of shape (p,), optional
        The variable's values; 1000 evenly spaced ones in [-10, 10] when None.

    Attributes
    ----------
    grammar : str
        ``EXPRESSION_GRAMMAR``.
    max_rules : int
        15, the length of the longest derivation.
    optimum : float or None
        0 if the target belongs to the grammar, else None.

    Examples
    --------
    >>> task = Expressions()
    >>> X, y = task.initial_data(0)
    >>> len(X), float(y.max().round(2))
    (5000, -4.74)
    >>> task.objective("1/3 + x + sin(x * x)")
    0.0
    """

    name: str = "expressions"
    grammar: str = EXPRESSION_GRAMMAR
    max_rules: int = MAX_PRODUCTIONS

    def __init__(
        self,
        target: Any = "reference",
        *,
        data: Literal["reference", "generated"] = "reference",
        identity: Literal["values", "text"] = "values",
        n_start: int | None = 5000,
        points: ArrayLike | None = None,
    ) -> None:
        self.target = target
        self.data = data
        self.identity = identity
        self.n_start = n_start
        self.points = points

    @property
    def optimum(self) -> float | None:
        """The largest score of an expression of the grammar, if known."""
        if not isinstance(self.target, str):
            return None
        count = production_count(TARGETS.get(self.target, self.target))
        return 0.0 if count is not None and count <= MAX_PRODUCTIONS else None

    def objective(self, x: str) -> float:
        """Return the score of one expression, also of one outside the grammar.

        Raises
        ------
        DataError
            For an invalid expression.
        """
        return float(self.objectives([x])[0])

    def objectives(self, X: Sequence[str]) -> Values:
        """Return the scores (n,) of n expressions, faster than one by one."""
        return _scores(X, *self._points_and_target())

    def key(self, x: str) -> Any:
        """Return the identity of an expression, see ``identity``.

        Raises
        ------
        DataError
            For an invalid expression.
        """
        return self.keys([x])[0]

    def keys(self, X: Sequence[str]) -> list[Any]:
        """Return the identities of n expressions, faster than one by one."""
        check_choice("identity", self.identity, ("values", "text"))
        if self.identity == "text":
            return [canonical(x) for x in X]
        points = self._points().tobytes()
        if len(X) == 1:  # a search asks again and again for the same expressions
            return [_fingerprint(X[0], points)]
        return fingerprints(X, np.frombuffer(points))

    def initial_data(self, random_state: Any = None) -> tuple[list[str], Values]:
        """Return starting expressions from the worse half of the data, and their scores.

        Parameters
        ----------
        random_state : int, RandomState or None
            Samples the ``n_start`` expressions.

        Returns
        -------
        X : list of n str
        y : ndarray of shape (n,), float64
        """
        check_count("n_start", self.n_start, none="the whole worse half")
        texts, y = _worse_half(*self._pool())
        if self.n_start is None:
            return list(texts), y.copy()
        if self.n_start > len(texts):
            raise ParameterError(
                f"n_start must be at most {len(texts)}, the worse half of the data, got {self.n_start}"
            )
        chosen = np.sort(as_random_state(random_state).choice(len(texts), self.n_start, replace=False))
        return [texts[i] for i in chosen], y[chosen]

    def model(self, random_state: Any = None, **options: Any) -> GrammarVAE:
        """Return an untrained :class:`wrlso.GrammarVAE` of the grammar, with its ``options``.

        Its identity of strings is this task's :meth:`key`.
        """
        with isolated_torch_rng(draw_seed(random_state)):
            return GrammarVAE(self.grammar, max_rules=self.max_rules, identity=self.key, **options)

    def search_options(self, random_state: Any = None) -> dict[str, Any]:
        """Return parameters of :class:`wrlso.WeightedRetrainingOptimizer` that find formulas.

        Parameters
        ----------
        random_state : int, RandomState or None
            Of the model's weights.

        Returns
        -------
        dict
            ``model``: :meth:`model`; ``surrogate``: :meth:`surrogate`, of what expressions do.

        Examples
        --------
        >>> from wrlso import WeightedRetrainingOptimizer
        >>> task = Expressions(n_start=200)
        >>> opt = WeightedRetrainingOptimizer(**task.search_options(0), random_state=0)
        >>> batch = opt.fit(*task.initial_data(0)).ask(2)
        """
        return {"model": self.model(random_state), "surrogate": self.surrogate(behaviour=True)}

    def surrogate(self, *, behaviour: bool = False) -> FeatureGP:
        """Return an unfitted Gaussian process over what expressions are made of, or over what they do.

        Parameters
        ----------
        behaviour : bool, default=False
            Whether the features are values at the points, see :class:`wrlso.tasks.expressions.Behaviour`,
            instead of fragments of derivation trees.
        """
        if not behaviour:
            return FeatureGP(DerivationFragments(self.grammar))
        return FeatureGP(Behaviour(self._points()))

    def is_novel_and_valid(self, x: Any) -> bool:
        """Return whether x has at most 15 productions of the grammar and is not in the worse half.

        The whole worse half counts as known, also when ``n_start`` takes only a part of it.
        """
        check_choice("identity", self.identity, ("values", "text"))
        count = production_count(x)
        if count is None or count > MAX_PRODUCTIONS:
            return False
        return self.key(x) not in _known_keys(*self._pool(), self.identity)

    def _pool(self) -> tuple[str, bytes, bytes]:
        check_choice("data", self.data, ("reference", "generated"))
        points, target = self._points_and_target()
        return self.data, points.tobytes(), target.tobytes()

    def _points(self) -> Values:
        return _standard_points() if self.points is None else check_vector("points", self.points)

    def _points_and_target(self) -> tuple[Values, Values]:
        points = self._points()
        if not isinstance(self.target, str):
            target = check_vector("target", self.target)
            if len(target) != len(points):
                raise ParameterError(
                    f"target must have a value for each of the {len(points)} points, got {len(target)}"
                )
            return points, target
        values: Values = _target_values(TARGETS.get(self.target, self.target), points.tobytes())
        return points, values


@lru_cache(maxsize=8)
def _target_values(text: str, points: bytes) -> Values:
    try:
        values: Values = evaluate([text], np.frombuffer(points))[0]
    except DataError as error:
        raise ParameterError(
            f"target must be 'reference', 'paper', an expression or values at the points: {error}"
        ) from error
    if not np.isfinite(values).all():
        raise ParameterError(f"target must be finite at all points, {text!r} is not")
    values.setflags(write=False)
    return values
