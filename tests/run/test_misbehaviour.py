"""Objectives, callbacks and executors that misbehave: nothing told is lost, and nothing stays pending."""

import asyncio
import functools
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest
from conftest import make_optimizer, words
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import (
    DataError,
    DataTypeError,
    ExecutorError,
    ParameterTypeError,
    PriorSampling,
    StorageError,
    Trainer,
    maximize,
)
from wrlso.run import engines
from wrlso.run.call import Outcome, Task

X0 = words()
LOOPS = ["serial", "threads", "rounds"]


def drawing(**options):
    quick = {"acquisition": PriorSampling(), "trainer": Trainer(initial_epochs=2, retrain_epochs=1, lr=0.01)}
    return make_optimizer(**(quick | options)).fit(X0, X0.sum(axis=1).astype(float))


def run(opt, objective, loop, n_calls=8, **options):
    if loop == "serial":
        return maximize(objective, opt, n_calls, verbose=0, **options)
    if loop == "jobs":
        return maximize(objective, opt, n_calls, n_jobs=2, verbose=0, **options)
    batch = {"batch_size": 3} if loop == "rounds" else {}
    with ThreadPoolExecutor(3) as executor:
        return maximize(objective, opt, n_calls, executor=executor, verbose=0, **batch, **options)


def told(opt):
    """The values told in the loop, by x."""
    return {tuple(r.x): r.values for r in opt.history_.records[opt.history_.n_start :] if r.values}


def assert_settled(opt, returned=(), loop="serial"):
    """Nothing is pending, and what came back is told (on workers some calls end after the loop has)."""
    assert not opt.pending_
    found = told(opt)
    for x, value in returned:
        assert found.get(x, [value] if loop != "serial" else None) == [value]
    opt.release(opt.ask())


def mute():
    # nested, so that it travels by value: importing this module takes a worker seconds and memory
    class Mute(Exception):
        """Has no text and cannot travel."""

        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

        def __str__(self):
            raise ValueError("no text")

        __repr__ = __str__

    return Mute


class Unprintable:
    def __repr__(self):
        raise ValueError("no text")


class BadNumber(float):
    def __float__(self):
        raise RuntimeError("no number")


async def coroutine():
    return 1.0


@pytest.mark.parametrize("loop", [*LOOPS, "jobs"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "5,2", "got '5,2' of type str"),
        (lambda: (x for x in "ab"), "generator"),
        (threading.Lock, "lock"),
        (lambda: b"x" * 2_000_000, "b'xxx"),
        (lambda: {1, 2}, r"\{1, 2\}"),
    ],
    ids=["text", "generator", "lock", "huge", "set"],
)
def test_what_is_no_number_ends_the_loop_at_once(loop, make, message):
    opt = drawing()
    with pytest.raises(DataTypeError, match=message):
        run(opt, lambda x: make(), loop)
    assert told(opt) == {}
    assert_settled(opt)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("make", [coroutine, Unprintable], ids=["coroutine", "unprintable"])
def test_objects_that_cannot_be_shown_or_must_be_awaited_are_named(loop, make):
    opt = drawing()
    with pytest.raises(DataTypeError, match=r"call asyncio.run in the objective|what cannot be printed"):
        run(opt, lambda x: make(), loop)
    assert_settled(opt)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("value", [10**400, 10**5000, np.inf, BadNumber(1)], ids=lambda v: type(v).__name__)
def test_a_bad_value_costs_only_its_own_point(loop, value):
    opt, returned = drawing(), []

    def objective(x):
        if len(returned) == 4:
            return value
        time.sleep(0.01)
        returned.append((tuple(x), float(x.sum())))
        return returned[-1][1]

    try:
        result = run(opt, objective, loop)
    except (DataError, RuntimeError):
        pass
    else:
        assert result.nfev == 8
    assert_settled(opt, returned, loop)
    assert len(told(opt)) >= 2


@pytest.mark.parametrize("loop", [*LOOPS, "jobs"])
@pytest.mark.parametrize("error", [mute(), SystemExit], ids=["mute", "exit"])
def test_strange_exceptions_of_the_objective(loop, error):
    def objective(x):
        raise error

    opt = drawing()
    if loop == "serial":
        with pytest.raises(error):
            run(opt, objective, loop)
    else:
        assert run(opt, objective, loop).nfev == 8
        reasons = {r.data for r in opt.history_.events if r.kind == "tell" and r.data}
        assert {reason.partition(":")[0].partition(" ")[0] for reason in reasons} == {error.__name__}
    assert_settled(opt)


@pytest.mark.parametrize("loop", ["threads", "rounds"])
def test_an_interrupt_in_a_worker_ends_the_loop_as_ctrl_c_does(loop):
    opt, returned, lock = drawing(), [], threading.Lock()

    def objective(x):
        with lock:
            if len(returned) == 4:
                raise KeyboardInterrupt
            returned.append((tuple(x), float(x.sum())))
            return returned[-1][1]

    with pytest.raises(KeyboardInterrupt):
        run(opt, objective, loop)
    assert_settled(opt, returned, loop)
    assert len(told(opt)) >= 2


async def waiting(x):
    return 1.0


def yielding(x):
    yield 1.0


class Caller:
    async def __call__(self, x):
        return 1.0


@pytest.mark.parametrize("objective", [waiting, functools.partial(waiting), Caller(), yielding])
def test_functions_that_return_no_value_are_refused_before_anything_is_asked(objective):
    opt = drawing()
    with pytest.raises(ParameterTypeError, match=r"async function .*asyncio.run|generator function .*return"):
        maximize(objective, opt, 3, verbose=0)
    assert len(opt.history_) == len(X0)
    assert maximize(lambda x: asyncio.run(waiting(x)), opt, 1, verbose=0).nfev == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_an_objective_may_change_its_argument(loop):
    opt, seen = drawing(), []

    def objective(x):
        seen.append((tuple(x), float(x.sum())))
        x[:] = 1 - x
        return seen[-1][1]

    result = run(opt, objective, loop)
    assert sorted(map(tuple, result.x_iters)) == sorted(x for x, _ in seen)
    assert_settled(opt, seen)


@settings(max_examples=15)
@given(st.sampled_from(LOOPS), st.sampled_from(["on_tell", "on_ask", "callback"]), st.integers(1, 4))
def test_a_callback_that_raises_loses_nothing(loop, place, when):
    opt, returned, calls = drawing(), [], []

    def objective(x):
        returned.append((tuple(x), float(x.sum())))
        return returned[-1][1]

    def raising(*arguments):
        calls.append(1)
        if len(calls) >= when:
            raise ZeroDivisionError(place)

    class Callback:
        pass

    if place == "callback":
        options = {"callbacks": [raising]}
    else:
        setattr(Callback, place, staticmethod(raising))
        opt.callbacks, options = [Callback()], {}
    raised = False
    try:
        run(opt, objective, loop, n_calls=12, **options)
    except ZeroDivisionError:
        raised = True
    if loop != "threads" or place != "on_ask":  # there the number of asks depends on the time that they take
        assert raised
    opt.callbacks = ()
    assert_settled(opt, returned, loop)


def test_points_whose_ask_ends_in_an_error_of_a_callback_are_not_pending():
    class Callback:
        def on_ask(self, opt, X):
            raise ZeroDivisionError

    opt = drawing(callbacks=[Callback()])
    with pytest.raises(ZeroDivisionError):
        opt.ask(3)
    assert [record.status for record in opt.history_][-3:] == ["released"] * 3


@pytest.mark.parametrize("loop", LOOPS)
def test_a_value_that_cannot_be_recorded_is_in_the_error(loop, monkeypatch):
    opt = drawing()
    tell, calls = opt.tell, []

    def full(x, y, **options):
        calls.append(x)
        if len(calls) in (3, 4):
            raise StorageError("the disk is full")
        return tell(x, y, **options)

    monkeypatch.setattr(opt, "tell", full)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        run(opt, lambda x: 7.25, loop)
    assert any("not recorded" in note and "7.25" in note for note in caught.value.__notes__)
    assert_settled(opt)


@pytest.mark.parametrize("loop", ["threads", "rounds"])
def test_an_error_at_the_end_of_a_loop_is_raised(loop, monkeypatch):
    opt, release = drawing(), []

    def full(x, y, **options):
        raise StorageError("the disk is full")

    def slow(x):
        time.sleep(0.05)
        return 1.0

    def stop(result):
        release.append(result)
        time.sleep(0.3)  # the others end meanwhile
        monkeypatch.setattr(opt, "tell", full)
        return True

    with pytest.raises(StorageError, match="the disk is full"):
        run(opt, slow, loop, callbacks=[stop])
    assert_settled(opt)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_an_executor_that_is_shut_down_is_named(batch_size):
    opt, executor, calls = drawing(), ThreadPoolExecutor(2), []

    def objective(x):
        calls.append((tuple(x), 1.0))
        if len(calls) == 3:
            executor.shutdown(wait=False)
        return 1.0

    with pytest.raises(ExecutorError, match="takes no evaluations: RuntimeError: .* must not be shut down"):
        maximize(objective, opt, 20, executor=executor, batch_size=batch_size, verbose=0)
    assert_settled(opt, calls, "threads")
    n = len(opt.history_)
    with pytest.raises(ExecutorError, match="takes no evaluations"):
        maximize(objective, opt, 4, executor=executor, batch_size=batch_size, verbose=0)
    assert len(calls) <= n
    assert_settled(opt)


def test_an_executor_whose_futures_break_loses_no_other_result(monkeypatch):
    """The engine itself raises in the middle of taking results."""
    opt, returned = drawing(), []
    began = engines.Pool.began

    def broken(self, token, job):
        if len(returned) >= 3:
            raise OSError("the scheduler is gone")
        return began(self, token, job)

    monkeypatch.setattr(engines.Pool, "began", broken)

    def objective(x):
        if len(returned) >= 3:
            time.sleep(0.5)
        returned.append((tuple(x), 1.0))
        return 1.0

    with pytest.raises(OSError, match="scheduler is gone"):
        run(opt, objective, "threads", timeout=0.2)
    assert_settled(opt)
    assert len(told(opt)) >= 3


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda v: st.lists(v, max_size=3)))
def test_what_travels_is_what_was_returned(value):
    call = pickle.loads(cloudpickle.dumps(Task(lambda x: value)._call))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.getpid", lambda: -1)  # as in another process
        assert repr(Outcome(*call(0, "token")).value) == repr(value)
