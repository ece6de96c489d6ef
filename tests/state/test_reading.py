"""Values that users tell: missing is missing, numbers are numbers, all else is refused by its index."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso import DataError, DataTypeError, maximize
from wrlso._state.reading import read_returned, read_value
from wrlso.outcomes import aims_of

pd = pytest.importorskip("pandas")

X0 = words()[:6]
MISSING = [
    None, float("nan"), np.nan, np.float32("nan"), np.ma.masked, np.ma.array(1.0, mask=True), pd.NA, pd.NaT,
    Decimal("NaN"), Decimal("sNaN"), np.array(np.nan), np.array(None), torch.tensor(float("nan")),
]  # fmt: skip
NUMBERS = [
    2, 2.0, np.int8(2), np.float32(2), Decimal("2"), Decimal("2.0"), Fraction(4, 2), np.array(2),
    np.array(2, dtype=object), torch.tensor(2), torch.tensor(2.0, dtype=torch.float16), np.ma.array(2.0),
]  # fmt: skip
REFUSED = [
    "2",
    b"2",
    True,
    np.True_,
    2j,
    [2.0],
    (2.0, "info"),
    {"y": 2.0},
    {2.0},
    object(),
    np.datetime64("NaT"),
    float,
]
INFINITE = [
    float("inf"),
    -np.inf,
    10**400,
    -(10**400),
    Decimal("1e400"),
    Fraction(10**400),
    Decimal("-Infinity"),
]


@pytest.mark.parametrize("y", MISSING, ids=lambda y: type(y).__name__)
def test_what_marks_a_missing_value(y):
    assert read_value(y) is None
    assert read_returned(y, aims_of(None)) is None


@pytest.mark.parametrize("y", NUMBERS, ids=lambda y: type(y).__name__)
def test_numbers(y):
    assert read_value(y) == 2.0
    assert type(read_value(y)) is float
    assert read_returned(y, aims_of(None)) == 2.0


@pytest.mark.parametrize("y", REFUSED, ids=lambda y: type(y).__name__)
def test_all_else_is_refused(y):
    with pytest.raises(DataTypeError, match=r"^y must be a real number, or None or NaN"):
        read_value(y)


@pytest.mark.parametrize("y", INFINITE, ids=lambda y: type(y).__name__)
def test_infinite_values_are_refused(y, opt):
    with pytest.raises(DataError, match="must be finite in float64"):
        read_value(y)
    before = len(opt.history_.events)
    with pytest.raises(DataError, match="must be finite in float64"):
        opt.tell(X0[0], y)
    assert len(opt.history_.events) == before


@pytest.mark.parametrize(
    "y", [np.array([2.0]), np.array([[2]]), torch.tensor([2.0]), np.ma.array([2.0])], ids=repr
)
def test_what_an_objective_returns_may_be_an_array_of_size_one(y):
    assert read_returned(y, aims_of(None)) == 2.0
    with pytest.raises(DataTypeError):
        read_value(y)


def test_a_masked_entry_of_an_array_of_size_one_is_missing():
    assert read_returned(np.ma.array([2.0], mask=[True]), aims_of(None)) is None
    with pytest.raises(DataTypeError, match="objective's value"):
        read_returned(np.array([2.0, 3.0]), aims_of(None))


@given(st.lists(st.none() | st.integers(-9, 9), min_size=6, max_size=6))
def test_every_container_says_the_same(values):
    """A list, an object array, a masked array, a nullable column, a tensor: one meaning."""
    numbers = [0 if value is None else value for value in values]
    mask = [value is None for value in values]
    containers = [
        values,
        tuple(values),
        np.array(values, dtype=object),
        np.ma.masked_array(np.array(numbers, dtype=float), mask=mask),
        np.ma.masked_array(np.array(numbers), mask=mask),
        pd.Series(values, dtype="Int64"),
        pd.Series(values, dtype="Float64").array,
        pd.Series([np.nan if value is None else value for value in values], index=range(5, 11)),
        [None if value is None else Decimal(value) for value in values],
        torch.tensor([float("nan") if value is None else value for value in values]),
    ]
    for container in containers:
        assert [read_value(value) for value in container] == values, type(container)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_masked_value_is_not_measured(direction):
    y = np.ma.masked_array([1.0, 2, 3, 4, 5, 6], mask=[0, 0, 0, 0, 0, 1])
    opt = make_optimizer(direction=direction).fit(X0, y)
    assert opt.y_.tolist() == [1, 2, 3, 4, 5]
    assert len(opt.history_.rows_with("unlabelled")) == 1
    x = opt.ask()
    opt.tell(x, np.ma.masked)
    assert opt.history_.status(opt.model_.key(x)) == "failed"
    assert opt.best_y_ in (1.0, 5.0)


def test_wrong_values_are_named_by_their_index(opt):
    with pytest.raises(DataTypeError, match=r"^y\[2\] must be a real number.*got 'high' of type str"):
        opt.tell(list(X0[:4]), [1.0, None, "high", 2.0])
    with pytest.raises(DataError, match=r"^y\[1\] must be finite"):
        opt.tell(list(X0[:2]), np.array([1.0, np.inf]))


def test_a_table_is_no_list_of_objects(opt):
    table = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    with pytest.raises(
        DataTypeError, match=r"X must be a list.*got a table \(DataFrame\): give one of its col"
    ):
        make_optimizer().fit(table, [1.0, 2.0])
    with pytest.raises(DataError, match="masked"):
        make_optimizer().fit(np.ma.masked_array(X0, mask=X0 == 0), np.arange(6.0))


@pytest.fixture(params=[None, 2], ids=["serial", "workers"])
def executor(request):
    if request.param is None:
        yield None
        return
    with ThreadPoolExecutor(request.param) as pool:
        yield pool


@pytest.mark.parametrize(
    "wrap",
    [lambda v: np.array([v]), lambda v: torch.tensor([v]), np.array, Decimal],
    ids=["array", "tensor", "0-d", "Decimal"],
)
def test_objectives_that_return_arrays_of_size_one(executor, wrap):
    opt = make_optimizer().fit(X0, X0.sum(axis=1))
    result = maximize(lambda x: wrap(float(x.sum())), opt, n_calls=4, executor=executor)
    assert len(result.func_vals) == 4
    assert not np.isnan(result.func_vals).any()


@pytest.mark.parametrize("wrong", [[2.0], (2.0, "info"), "2", True], ids=lambda y: type(y).__name__)
def test_an_objective_that_returns_no_number_stops_the_run(executor, wrong):
    calls = []
    opt = make_optimizer().fit(X0, X0.sum(axis=1))
    with pytest.raises(DataTypeError, match="the objective's value must be a real number"):
        maximize(lambda x: calls.append(x) or wrong, opt, n_calls=50, executor=executor)
    assert len(calls) <= 6  # what was out when the first came back
    assert opt.pending_ == []


def test_one_value_that_is_too_large_ends_nothing():
    opt = make_optimizer().fit(X0, X0.sum(axis=1))
    calls = []

    def objective(x):
        calls.append(x)
        return 10**400 if len(calls) == 2 else float(x.sum())

    with ThreadPoolExecutor(2) as pool:
        result = maximize(objective, opt, n_calls=6, executor=pool)
    assert int(np.isnan(result.func_vals).sum()) == 1
    assert opt.pending_ == []
