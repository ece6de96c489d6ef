"""Readings and what several say together; goals and limits, and what does not go together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrlso import (
    AtLeast,
    AtMost,
    DataError,
    Maximize,
    Minimize,
    ParameterError,
    ParameterTypeError,
    Reading,
    Record,
    above,
    below,
)
from wrlso.outcomes import aims_of, combined

VALUES = st.floats(-1e6, 1e6)
ERRORS = st.floats(1e-3, 1e3)
EXACT = st.builds(Reading, VALUES, st.none(), st.just(""), st.integers(1, 5))
WITH_ERROR = st.builds(Reading, VALUES, ERRORS)
BOUNDS = st.one_of(st.builds(above, VALUES), st.builds(below, VALUES))


@given(st.lists(EXACT, min_size=1), st.lists(BOUNDS))
def test_bounds_beside_exact_readings_count_for_nothing(exact, bounds):
    expected = combined(exact)
    assert combined([*bounds, *exact]) == pytest.approx(expected, nan_ok=True)
    every = [reading.value for reading in exact for _ in range(reading.n)]
    assert expected == pytest.approx((np.mean(every), len(every), math.nan, 0), nan_ok=True, abs=1e-9)


@given(st.lists(WITH_ERROR, min_size=1), st.randoms(use_true_random=False))
def test_known_errors_give_the_least_uncertain_mean(readings, random):
    y, n, sd, bound = combined(readings)
    assert (n, bound) == (len(readings), 0)
    assert sd <= min(reading.sd for reading in readings) * (1 + 1e-12)
    values = [reading.value for reading in readings]
    assert min(values) - 1e-9 <= y <= max(values) + 1e-9
    random.shuffle(readings)
    assert combined(readings) == pytest.approx((y, n, sd, bound), rel=1e-9, abs=1e-6)


@given(WITH_ERROR, st.integers(2, 9))
def test_equal_replicates_shrink_the_error_by_the_root_of_their_number(reading, n):
    y, number, sd, _ = combined([reading] * n)
    assert (y, number, sd) == pytest.approx((reading.value, n, reading.sd / math.sqrt(n)))


@given(st.lists(VALUES, min_size=1))
def test_the_tightest_bound_counts(values):
    assert combined([above(v) for v in values]) == pytest.approx((max(values), 1, math.nan, 1), nan_ok=True)
    assert combined([below(v) for v in values]) == pytest.approx((min(values), 1, math.nan, -1), nan_ok=True)


def test_bounds_from_both_sides_are_a_value_with_an_error():
    assert combined([above(2.0), below(8.0), below(5.0)]) == (3.5, 1, pytest.approx(3 / math.sqrt(12)), 0)
    assert combined([above(2.0), below(2.0)])[0] == 2.0


def test_one_error_without_the_other_is_not_known():
    y, n, sd, _ = combined([Reading(1.0, 0.1), Reading(2.0)])
    assert (y, n, math.isnan(sd)) == (1.5, 2, True)


def test_aims():
    outcomes = [Maximize("a"), Minimize("b", "nM"), AtLeast("b", 1), AtMost("b", 9), Record("c")]
    aims = aims_of(outcomes)
    assert aims.names == ("a", "b", "c")
    assert aims.goals == (("a", 1.0), ("b", -1.0))
    assert aims.limits == (("b", 1.0, 1.0), ("b", -1.0, 9.0))
    assert aims.units == {"a": "", "b": "nM", "c": ""}
    assert aims.are_named
    assert not aims.is_one_number
    assert aims_of(None, "minimize").goals == (("", -1.0),)
    assert aims_of([Maximize("a")]).is_one_number
    assert not aims_of([Maximize("a"), AtMost("a", 3)]).is_one_number


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([], "must have at least one goal"),
        ([AtLeast("a", 1.0)], r"at least one goal.*got AtLeast\(name='a'"),
        ([Maximize("a"), Maximize("a")], "at most one goal and one limit of each kind, but 'a' has"),
        ([Maximize("a"), Minimize("a")], "at most one goal"),
        ([Maximize("a"), AtLeast("a", 1), AtLeast("a", 2)], "one limit of each kind"),
        (
            [Maximize("a"), AtLeast("b", 5.0), AtMost("b", 3.0)],
            "no value of 'b' can be at least 5 and at most 3",
        ),
        ([Maximize("a"), Record("a")], "Record is for an outcome without goal and limit"),
        ([Maximize("a", "nM"), AtLeast("a", 5.0, "µM")], "must have one unit, but 'a' has"),
        ([Maximize("")], "must be a text on one line that is not empty"),
        ([Maximize(" a")], "without spaces around it"),
        ([Maximize("a\nb")], "on one line"),
        (
            [Maximize("a"), AtLeast("b", math.inf)],
            r"the limit of outcomes\[1\], 'b', must be a finite number",
        ),
        (
            [Maximize("a", reference=math.nan)],
            r"the reference of outcomes\[0\], 'a', must be a finite number",
        ),
        ([Maximize("a"), Minimize("a sd")], "the column with the standard errors of 'a'"),
        ([Maximize("a"), Record("a n")], "the column with the numbers of replicates of 'a'"),
    ],
)
def test_outcomes_that_do_not_go_together(outcomes, message):
    with pytest.raises(ParameterError, match=message):
        aims_of(outcomes)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ("pIC50", "outcomes must be None or a list such as"),
        (Maximize("a"), "outcomes must be None or a list"),
        ({"a": "max"}, "outcomes must be None or a list"),
        (["a"], r"outcomes\[0\] must be a Maximize, Minimize, AtLeast, AtMost or Record, got 'a'"),
        ([Maximize], r"got <class .*: make one, as Maximize\(name\)"),
        ([Maximize(3)], r"the name of outcomes\[0\] must be a text, got 3"),
        ([Maximize("a", 3)], r"the unit of outcomes\[0\] must be a text, got 3"),
        ([Maximize("a"), AtLeast("b", "5")], "must be a finite number, got '5'"),
    ],
)
def test_outcomes_of_the_wrong_type(outcomes, message):
    with pytest.raises(ParameterTypeError, match=message):
        aims_of(outcomes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: above(math.inf), r"the value of above\(\) must be finite, got inf"),
        (lambda: below("3"), r"the value of below\(\) must be a finite number, got '3'"),
        (lambda: Reading(math.nan), "the value of a reading must be finite"),
        (
            lambda: Reading(1.0, sd=0.0),
            "the standard error of a reading must be a finite number > 0, got 0.0",
        ),
        (lambda: Reading(1.0, sd=-1.0), "> 0, got -1.0"),
        (lambda: Reading(1.0, sd=True), "must be a number > 0, got True"),
        (lambda: Reading(1.0, bound="over"), "must be '', 'above' or 'below', got 'over'"),
        (lambda: Reading(1.0, 0.2, "above"), "has neither a standard error nor replicates"),
        (lambda: Reading(1.0, n=0), "must be an integer of at least 1, got 0"),
        (lambda: Reading(1.0, n=1.5), "must be an integer of at least 1, got 1.5"),
    ],
)
def test_what_is_no_reading(make, message):
    with pytest.raises(DataError, match=message):
        make()
