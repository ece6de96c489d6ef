"""Where rows lie: like a dictionary of rows, but for whole arrays and without changing in place."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso._state.encodings import Encodings

ROWS = st.lists(st.integers(0, 30), max_size=12)


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(ROWS, max_size=5), wanted=ROWS)
def test_it_is_a_dictionary_of_rows(groups, wanted):
    known, expected = Encodings.none(2), {}
    for number, group in enumerate(groups):
        points = torch.tensor([[row, number] for row in group], dtype=torch.float32).reshape(-1, 2)
        known = known.with_rows(np.array(group, dtype=np.int64), points)
        expected |= {row: (float(row), float(number)) for row in group}
    rows = np.array(wanted, dtype=np.int64)
    assert known.missing(rows).tolist() == [row for row in wanted if row not in expected]
    there = rows[np.isin(rows, list(expected))]
    assert known[there].dtype == torch.float64
    assert [tuple(z) for z in known[there].tolist()] == [expected[row] for row in there.tolist()]
    assert known.rows.tolist() == sorted(expected)


def test_what_was_there_stays_as_it_was():
    first = Encodings.none(1).with_rows(np.array([3, 1]), torch.tensor([[3.0], [1.0]]))
    second = first.with_rows(np.array([1]), torch.tensor([[9.0]]))
    assert first[np.array([1, 3])].ravel().tolist() == [1.0, 3.0]
    assert second[np.array([1, 3])].ravel().tolist() == [9.0, 3.0]
