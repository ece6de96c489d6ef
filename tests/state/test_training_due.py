"""After how many new values the next ask trains: properties, and that the optimizer agrees."""

from conftest import make_optimizer, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso._state.training_due import training_due_in

COUNTS = st.integers(0, 1000)


@given(every=st.integers(1, 100), n=COUNTS, n_at=COUNTS, n_trainings=st.integers(1, 9))
def test_it_is_due_after_that_many_values_and_not_before(every, n, n_at, n_trainings):
    left = training_due_in(every, n, n_at, n_trainings)
    assert left >= 0
    assert training_due_in(every, n + left, n_at, n_trainings) == 0
    if left:
        assert training_due_in(every, n + left - 1, n_at, n_trainings) == 1
    assert training_due_in(every, n_at, n_at, n_trainings) == every


@given(every=st.none() | st.integers(1, 100), n=COUNTS)
def test_the_first_training_is_due_at_once(every, n):
    assert training_due_in(every, n, 0, 0) == 0


@given(n=COUNTS, n_at=COUNTS, n_trainings=st.integers(1, 9))
def test_it_is_never_due_without_a_rhythm(n, n_at, n_trainings):
    assert training_due_in(None, n, n_at, n_trainings) is None


def test_the_optimizer_agrees():
    opt = make_optimizer(retrain_every=2)
    X = words()
    opt.fit(X[:8], X[:8].sum(axis=1))
    for i in range(8, 12):
        history = opt.history_
        left = training_due_in(2, history.n_observed, history.n_at_training, len(history.trainings))
        assert (left == 0) == opt.training_due_ == (i >= 10)
        opt.tell(X[i], float(X[i].sum()))
