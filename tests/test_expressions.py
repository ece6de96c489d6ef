"""The expressions task: arithmetic, identity by values, data, scores."""

import hashlib

import numpy as np
import pytest

from wrlso.tasks import Expressions
from wrlso.tasks.expressions import evaluate, reference_expressions


def test_reference_expressions_are_those_of_the_released_experiments():
    text = "".join(f"{x}\n" for x in reference_expressions())
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "ae9850311e884f888491f56dca57ef3c2f9880899e63d26b5da3b71840591ca2"


@pytest.mark.parametrize(
    "text", ["1 + 2 * 3", "(1+2)*3", "3 / 2 / 2 * x", "exp(sin(v) + 1)/(v + 2)", "2*-x - 1"]
)
def test_precedence_is_that_of_python(text):
    v = np.linspace(-1.0, 1.0, 7)
    expected = eval(text, {"sin": np.sin, "exp": np.exp, "x": v, "v": v}) * np.ones(7)
    np.testing.assert_array_equal(evaluate([text], v)[0], expected)


@pytest.mark.parametrize(
    ("target", "expression", "score"),
    [
        ("reference", "1 / 3 + x + sin( x * x )", 0.0),
        ("reference", "1 / 2 + x + sin( x * x )", -0.027399),
        ("paper", "1 / 3 * x * sin( x * x )", 0.0),
        ("paper", "0 * x", -1.052537),
    ],
)
def test_golden_scores(target, expression, score):
    assert Expressions(target).objective(expression) == pytest.approx(score, abs=1e-6)
