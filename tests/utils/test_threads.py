"""Threads of the linear algebra are bounded inside, and as they were afterwards, whoever was inside."""

import threading

import pytest
import torch
from conftest import count, make_optimizer, words
from threadpoolctl import ThreadpoolController, threadpool_limits

from wrlso import LogExpectedImprovement
from wrlso._state.asking import has_small_networks
from wrlso._utils import threads
from wrlso._utils.threads import bounded_threads

SMALL = 1e3


def blas():
    """Return the numbers of threads of all loaded linear algebra."""
    return [lib["num_threads"] for lib in ThreadpoolController().info() if lib["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_small_problems_run_on_one_thread(two_threads):
    with bounded_threads(SMALL):
        assert set(blas()) == {1}
        with bounded_threads(SMALL):
            assert set(blas()) == {1}
        assert set(blas()) == {1}  # until the outermost has left
    assert set(blas()) == {2}


def test_large_problems_keep_the_threads_that_were_set(two_threads):
    with bounded_threads(threads.ENOUGH_WORK):
        assert set(blas()) == {2}
    with threadpool_limits(1, user_api="blas"), bounded_threads(threads.ENOUGH_WORK):
        assert set(blas()) == {1}  # the user's setting


def test_an_error_gives_the_threads_back(two_threads):
    with pytest.raises(ZeroDivisionError), bounded_threads(SMALL):
        raise ZeroDivisionError
    assert set(blas()) == {2}


def test_several_threads_leave_what_they_found():
    """Also where the first that came in is not the last that leaves."""
    before = blas()
    both, leave = threading.Barrier(2), threading.Event()

    def work(last):
        with bounded_threads(SMALL):
            both.wait(10)
            if last:
                leave.wait(10)

    workers = [threading.Thread(target=work, args=(last,)) for last in (False, True)]
    for worker in workers:
        worker.start()
    workers[0].join(10)
    leave.set()
    workers[1].join(10)
    assert blas() == before
    with bounded_threads(SMALL):
        assert set(blas()) == {1}  # and it can be set again


class Watching(LogExpectedImprovement):
    """Notes how many threads the linear algebra has while a search goes on."""

    def propose(self, state, n, rng):
        """Propose as its parent does."""
        SEEN.append(set(blas()))
        return super().propose(state, n, rng)


SEEN: list = []


def test_an_ask_of_a_small_problem_is_bounded(two_threads):
    X = words()
    opt = make_optimizer(acquisition=Watching()).fit(X, X.sum(axis=1))
    x = opt.ask()
    opt.tell(x, count(x))
    opt.ask(3)
    assert [{1}, {1}] == SEEN
    assert set(blas()) == {2}


def test_networks_are_bounded_where_they_are_small(two_threads, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with bounded_threads(SMALL):
            assert torch.get_num_threads() == 2
        with bounded_threads(SMALL, networks=True):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    model = torch.nn.Linear(10, 10)
    assert has_small_networks(model)
    monkeypatch.setattr("wrlso._state.asking._SMALL_MODEL", 110)
    assert not has_small_networks(model)
