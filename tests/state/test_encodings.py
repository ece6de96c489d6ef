"""Where rows lie in Z: what is new since an earlier moment, put on top of it, gives what there is now."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from wrlso._state.encodings import Encodings

D = 2
some_rows = st.lists(st.integers(0, 9), unique=True).map(lambda rows: np.array(sorted(rows), dtype=np.int64))


@st.composite
def encodings(draw):
    found = Encodings.none(D)
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(some_rows)
        Z = draw(st.lists(st.integers(0, 2), min_size=D * len(rows), max_size=D * len(rows)))
        found = found.with_rows(rows, torch.tensor(Z, dtype=torch.float64).reshape(-1, D))
    return found


@given(encodings(), encodings())
def test_what_is_new_on_top_of_the_earlier_gives_the_present(earlier, later):
    now = earlier.with_rows(later.rows, later.Z)
    new = now.since(earlier)
    again = earlier.with_rows(new, now[new])
    np.testing.assert_array_equal(again.rows, now.rows)
    torch.testing.assert_close(again.Z, now.Z, rtol=0, atol=0)


@given(encodings(), encodings())
def test_only_rows_that_are_new_or_have_moved_are_new(earlier, later):
    now = earlier.with_rows(later.rows, later.Z)
    known = set(earlier.rows.tolist())
    moved = {row for row in known if not torch.equal(now[np.array([row])], earlier[np.array([row])])}
    assert set(now.since(earlier).tolist()) == (set(now.rows.tolist()) - known) | moved
    assert len(now.since(now)) == 0
    assert set(now.since(Encodings.none(D)).tolist()) == set(now.rows.tolist())
