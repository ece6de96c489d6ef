"""The bookkeeping: rows of tensors against a plain concatenation, values against a plain dictionary."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wrlso.history import Event, History, RowSubset, TensorRows


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.data())
def test_rows_equal_a_concatenation(sizes, data):
    blocks = [torch.arange(3 * n).reshape(n, 3).to(torch.uint8) + 7 * i for i, n in enumerate(sizes)]
    rows = TensorRows()
    for block in blocks:
        rows.append(block)
    everything = torch.cat(blocks)
    assert len(rows) == len(everything)
    index = torch.tensor(
        data.draw(st.lists(st.integers(0, len(everything) - 1), max_size=20)), dtype=torch.int64
    )
    assert torch.equal(rows[index], everything[index])
    assert rows[index].dtype == torch.uint8
    subset = RowSubset(rows, index)
    assert len(subset) == len(index)
    assert torch.equal(subset[torch.arange(len(index))], everything[index])


def test_the_first_block_is_not_copied():
    block = torch.zeros(4, 2)
    rows = TensorRows()
    rows.append(block)
    rows.append(torch.ones(1, 2))
    block[0] = 5
    assert rows[torch.tensor([0])].tolist() == [[5, 5]]


def test_a_wider_type_widens_all_rows():
    rows = TensorRows()
    rows.append(torch.ones(2, 1, dtype=torch.uint8))
    rows.append(torch.ones(1, 1, dtype=torch.uint8))
    rows.append(torch.full((1, 1), 0.5))
    assert rows[torch.tensor([0, 2, 3])].tolist() == [[1.0], [1.0], [0.5]]


def test_no_rows_yet():
    with pytest.raises(IndexError, match="no rows yet"):
        TensorRows()[torch.tensor([0])]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["observe", "fail", "correct", "unvalue"]), st.integers(0, 9), st.floats(-5, 5)
        ),
        max_size=60,
    )
)
def test_values_equal_a_dictionary(events):
    history = History()
    history.add([str(i) for i in range(10)], list(range(10)), torch.zeros(10, 1))
    values: dict[int, list[float]] = {}
    for event, row, value in events:
        if event == "observe":
            history.apply(Event("tell", row, value, 0))
            values.setdefault(row, []).append(value)
        elif event == "fail":
            history.apply(Event("tell", row, None, 0))
        elif event == "correct":
            history.apply(Event("update", row, value, 0))
            values[row] = [value]
        else:
            history.apply(Event("update", row, None, 0))
            values.pop(row, None)
        assert history.n_observed == len(values)
        known = dict(zip(history.observed_rows.tolist(), history.y.tolist(), strict=True))
        assert known == pytest.approx({row: float(np.mean(v)) for row, v in values.items()})
        assert set(history.rows_with("observed")) == set(values)


def test_many_values_grow_the_array():
    history = History()
    history.add(list(range(200)), list(range(200)), torch.zeros(200, 1))
    for row in range(200):
        history.apply(Event("tell", row, row / 2, 0))
    np.testing.assert_array_equal(history.y, np.arange(200) / 2)
    assert history.revision == 0
    history.apply(Event("tell", 5, 0.0, 0))
    assert history.revision == 1
