"""Evaluations on workers: nothing lost, nothing twice, the same bits in rounds, no wait for the slowest."""

import contextlib
import importlib
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import joblib
import numpy as np
import pytest
from conftest import make_optimizer, words
from hypothesis import given, settings
from hypothesis import strategies as st
from loky import get_reusable_executor

from wrlso import (
    ExecutorError,
    ParameterError,
    ParameterTypeError,
    PriorSampling,
    Trainer,
    maximize,
    minimize,
)
from wrlso.benchmarks.speed.parallel import faults, loop_overhead
from wrlso.run import engines
from wrlso.run.call import Outcome, Task
from wrlso.run.engines import OwnProcesses, Pool, make_engine
from wrlso.timeline import Attempt, Evaluation, Timeline, utilization_chart

X0 = words()
Y0 = X0.sum(axis=1).astype(float)
ROOT = Path(__file__).parents[2]


def fitted(**options):
    return make_optimizer(**options).fit(X0, Y0)


def drawing(**options):
    quick = {"acquisition": PriorSampling(), "trainer": Trainer(initial_epochs=2, retrain_epochs=1, lr=0.01)}
    return fitted(**(quick | options))


def counting():
    def count(x):
        return float(x.sum())

    return count


count = counting()  # a nested function travels by value: workers need not import this module and torch


def processes(n):
    # not forked: a fork of a program with threads may hang
    return ProcessPoolExecutor(n, mp_context=get_context("forkserver"))


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def key(x):
    return tuple(np.asarray(x).tolist())


class ByHand:
    """An executor whose futures can no more than ``done`` and ``result``; each ends when it is told to."""

    class Handle:
        def __init__(self, call):
            self.call, self.ended = call, False

        def done(self):
            return self.ended

        def result(self):
            return self.call()

    def __init__(self, rng):
        self.rng, self.handles = rng, []

    def submit(self, function, *arguments):
        handle = self.Handle(lambda: function(*arguments))
        self.handles.append(handle)
        for other in self.handles:
            other.ended = other.ended or self.rng.random() < 0.5
        threading.Timer(0.01, lambda: setattr(handle, "ended", True)).start()
        return handle


def script(code, *arguments, **options):
    """Run a file, or the code that a string holds."""
    program = [code] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# ---------------------------------------------------------------- engines


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster) as client:
        yield client


ENGINES = {
    "threads": lambda: {"executor": ThreadPoolExecutor(3)},
    "class": lambda: {"executor": ThreadPoolExecutor, "max_pending": 3},
    "processes": lambda: {"executor": lambda: processes(3)},
    "jobs": lambda: {"n_jobs": 3},
    "loky": lambda: {"executor": get_reusable_executor(3)},
    "by hand": lambda: {"executor": ByHand(np.random.default_rng(0)), "max_pending": 3},
}


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_evaluates_each_point_once(name, batch_size):
    opt = drawing(retrain_every=8)
    start = {key(x) for x in X0}
    bonus = 0.5  # a closure, which the standard pickle refuses
    result = maximize(
        lambda x: count(x) + bonus, opt, 20, batch_size=batch_size, verbose=0, **ENGINES[name]()
    )
    assert result.nfev == 20
    assert result.message == "the budget of 20 calls is used up"
    evaluated = [key(x) for x in result.x_iters]
    assert len(set(evaluated)) == 20
    assert not start & set(evaluated)
    np.testing.assert_array_equal(result.func_vals, [sum(x) + bonus for x in evaluated])
    assert opt.pending_ == []
    assert len(opt.X_) == 60
    assert 0 < result.timeline.utilization <= 1


def test_a_dask_client_its_executor_and_a_pure_one(client):
    for executor in (client, client.get_executor(), client.get_executor(pure=True)):
        opt = drawing()
        result = maximize(count, opt, n_calls=6, executor=executor, verbose=0)
        assert result.timeline.n_workers == 2
        np.testing.assert_array_equal(result.func_vals, [count(x) for x in result.x_iters])
    # a second loop has the same points: a pure executor must not answer from the first
    files = []
    for _ in range(2):
        result = maximize(lambda x: time.time(), drawing(), 4, executor=client.get_executor(), verbose=0)
        files.append(result.func_vals)
    assert not set(files[0]) & set(files[1])


def test_an_evaluation_whose_dask_worker_dies_is_not_begun_again(client, tmp_path):
    def objective(x):
        with open(tmp_path / "calls", "a") as file:
            file.write(f"{x.tolist()}\n")
        # two workers begin at the same time, and only one of them may be the first
        with contextlib.suppress(FileExistsError):
            (tmp_path / "died").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x.sum())

    result = maximize(objective, drawing(), n_calls=6, executor=client, verbose=0)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(calls) == sorted(str(x.tolist()) for x in result.x_iters)
    assert np.isnan(result.func_vals).sum() == 1
    (reason,) = [e.reason for e in result.timeline.evaluations if e.reason]
    assert reason.startswith("the worker died")


@pytest.mark.parametrize("options", [{"backend": "threading"}, {"inner_max_num_threads": 1}])
def test_a_backend_of_joblib_is_refused_and_the_message_names_what_is_supported(options):
    opt = drawing()
    supported = r"executor of concurrent\.futures, loky\.get_reusable_executor\(\), a Dask client"
    with (
        joblib.parallel_config(**{"backend": "loky"} | options),
        pytest.raises(ParameterError, match=rf"n_jobs .* joblib\.parallel_config, .*Backend.*{supported}"),
    ):
        maximize(count, opt, n_calls=4, n_jobs=2, verbose=0)
    backend = joblib.parallel.ThreadingBackend()
    for executor in (backend, joblib.Parallel(2)):
        with pytest.raises(
            ParameterTypeError, match=rf"{supported}.*, not joblib's {type(executor).__name__}"
        ):
            maximize(count, opt, n_calls=4, executor=executor, verbose=0)
    assert opt.pending_ == []
    with joblib.parallel_config("loky"):
        assert maximize(count, opt, n_calls=2, n_jobs=1, verbose=0).nfev == 2
    call = joblib.delayed(maximize)(count, opt, 2, n_jobs=1, verbose=0)
    (nested,) = joblib.Parallel(2, backend="threading")([call])
    assert nested.nfev == 2


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr(engines, "cpu_count", lambda: 6)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for n_jobs, n_workers, threads in ((2, 2, "3"), (-1, 6, "1"), (20, 20, "1")):
        engine = make_engine(None, n_jobs)
        assert engine.n_workers == n_workers
        task = Task(lambda x: [os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")])
        assert Outcome(*engine.submit(task, 0, "token").result()).value == [threads, "5"]
        engine.close(kill=False)


def test_programs_of_a_worker_that_is_killed_end_with_it(tmp_path):
    def objective(x):
        program = subprocess.Popen(["sleep", "1000"])
        (tmp_path / "pid").write_text(str(program.pid))
        return program.wait()

    opt = drawing()
    result = maximize(objective, opt, n_calls=1, n_jobs=1, timeout=3, verbose=0)
    assert np.isnan(result.func_vals).all()
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 30
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs(pid)


def test_the_timeout_leaves_out_what_a_process_imports_to_begin(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import time\ntime.sleep(3)\ndef value(x): return float(x.sum())"
    )
    monkeypatch.syspath_prepend(tmp_path)
    slow_to_import = importlib.import_module("slow_to_import")
    result = maximize(slow_to_import.value, drawing(), n_calls=2, n_jobs=1, timeout=2, verbose=0)
    assert not np.isnan(result.func_vals).any()


def test_a_script_needs_no_guard_for_processes(tmp_path):
    code = """
        from conftest import make_optimizer, words
        from wrlso import PriorSampling, maximize

        X = words()
        opt = make_optimizer(acquisition=PriorSampling()).fit(X, X.sum(axis=1))
        bonus = 0.5
        result = maximize(lambda x: float(x.sum()) + bonus, opt, 4, n_jobs=2, verbose=0)
        print(result.nfev, sum(result.func_vals % 1))
    """
    (tmp_path / "search.py").write_text(textwrap.dedent(code))
    out, err = script(tmp_path / "search.py").communicate(timeout=120)
    assert out == "4 2.0\n", err


def test_workers_need_not_import_this_library():
    class Loaded(RuntimeError):
        pass

    def objective(x):
        import sys

        if "wrlso" in sys.modules or "torch" in sys.modules:
            raise Loaded
        return 1.0

    result = maximize(objective, drawing(), n_calls=3, n_jobs=2, verbose=0)
    assert not np.isnan(result.func_vals).any()


def test_an_objective_may_be_a_bound_method():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def objective(self, x):
            return np.array(self.factor * x.sum())

    result = maximize(Scale(2.0).objective, drawing(), n_calls=4, n_jobs=2, verbose=0)
    np.testing.assert_array_equal(result.func_vals, [2 * count(x) for x in result.x_iters])


# ---------------------------------------------------------------- rounds, and order


def test_rounds_are_the_same_to_the_bit_whatever_the_number_of_workers():
    def objective(x):
        time.sleep(0.003 * (x[0] + 2 * x[1]))  # later points of a round may end first
        return None if x[2] and x[3] else count(x)

    states = []
    for options in ({}, {"n_jobs": 1}, {"n_jobs": 3}, {"executor": ThreadPoolExecutor(5)}):
        opt = fitted()
        result = maximize(objective, opt, 12, batch_size=4, verbose=0, **options)
        weights = [tensor.numpy().tobytes() for tensor in opt.model_.state_dict().values()]
        states.append(([key(x) for x in result.x_iters], result.func_vals.tobytes(), weights))
    assert all(state == states[0] for state in states)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_workers=st.integers(1, 6))
def test_results_in_any_order_give_the_same_data(seed, n_workers):
    opt = drawing(retrain_every=None)
    executor = ByHand(np.random.default_rng(seed))
    result = maximize(count, opt, n_calls=10, executor=executor, max_pending=n_workers, verbose=0)
    assert {key(x): y for x, y in zip(opt.X_[40:], opt.y_[40:], strict=True)} == {
        key(x): y for x, y in zip(result.x_iters, result.func_vals, strict=True)
    }
    assert (len(opt.X_), opt.pending_, result.nfev) == (50, [], 10)


def test_a_slow_evaluation_holds_nobody_up():
    slow = threading.Event()
    seen = []

    def objective(x):
        seen.append(x)
        if len(seen) == 1:
            slow.wait(30)
        elif len(seen) == 9:
            slow.set()
        return count(x)

    result = maximize(objective, drawing(), n_calls=12, executor=ThreadPoolExecutor(2), verbose=0)
    assert slow.is_set()
    first = [key(x) for x in result.x_iters].index(key(seen[0]))
    assert first >= 7


def test_training_goes_on_beside_evaluations_and_asks(monkeypatch):
    """Otherwise a training that waits until four more points have been evaluated would never end."""
    opt = drawing(retrain_every=5)
    original = type(opt._session).train
    evaluated, trained = [], threading.Event()

    def train(self, core, history, *arguments):
        seen = len(evaluated)
        log = original(self, core, history, *arguments)
        until = time.monotonic() + 30
        while len(evaluated) < min(seen + 4, 12) and time.monotonic() < until:
            time.sleep(0.01)
        assert time.monotonic() < until
        if seen:
            trained.set()
        return log

    monkeypatch.setattr(type(opt._session), "train", train)

    def objective(x):
        evaluated.append(x)
        if len(evaluated) > 12:
            trained.wait(30)  # else the budget could be spent before the training ends, which gives it up
        return count(x)

    result = maximize(objective, opt, n_calls=20, executor=ThreadPoolExecutor(2), verbose=0)
    assert len(opt.history_.trainings) >= 2
    begin, end = result.timeline.trainings[0]
    assert any(begin < attempt.started < end for attempt in result.timeline.attempts)


def test_candidates_in_stock_are_pending_and_bounded():
    opt = drawing(retrain_every=None)
    most = []

    def objective(x):
        most.append(len(opt.pending_))
        time.sleep(0.01)
        return count(x)

    maximize(objective, opt, n_calls=30, executor=ThreadPoolExecutor(2), stock=3, verbose=0)
    assert max(most) == 5  # two that are out, and three
    assert opt.pending_ == []


# ---------------------------------------------------------------- faults


def failing():
    """An objective that every worker can read without this module."""

    def objective(x):
        kind = int(x[0]) + 2 * int(x[1]) + 4 * int(x[2])
        if kind == 1:
            raise ValueError("the assay broke")
        if kind == 2:
            return math.nan
        if kind == 3:
            os.kill(os.getpid(), 9)
        if kind == 4:
            time.sleep(1000)
        if kind == 5:
            sys.exit("no licence")
        return float(x.sum())

    return objective


REASONS = {
    1: "ValueError: the assay broke",
    2: "the objective returned nan",
    3: "the worker died",
    4: "no result within 3 s",
    5: "SystemExit: no licence",
}


@pytest.mark.parametrize("batch_size", [None, 6])
def test_whatever_befalls_a_point_is_its_own_affair(batch_size, tmp_path):
    opt = drawing(random_state=3).autosave(tmp_path / "campaign")
    result = maximize(failing(), opt, 24, n_jobs=3, batch_size=batch_size, timeout=3, verbose=0)
    assert result.nfev == 24
    assert opt.pending_ == []
    kinds = Counter()
    again = type(opt).load(tmp_path / "campaign", encoder=opt.encoder, decoder=opt.decoder)
    for evaluation in result.timeline.evaluations:
        x = evaluation.x
        kind = int(x[0]) + 2 * int(x[1]) + 4 * int(x[2])
        kinds[kind] += 1
        assert (evaluation.value is None) == (kind in REASONS)
        if kind in REASONS:
            assert evaluation.reason.startswith(REASONS[kind])
            for history in (opt.history_, again.history_):
                record = history.records[history.row(opt.model_.key(x))]
                assert (record.status, record.reason) == ("failed", evaluation.reason)
    assert set(REASONS) <= set(kinds)


def test_points_are_tried_again(tmp_path):
    def objective(x):
        with open(tmp_path / "".join(map(str, x)), "a+") as file:
            file.write("x")
            file.seek(0)
            if len(file.read()) <= 2:
                raise ValueError("not yet")
        return count(x)

    for options in ({"n_jobs": 2}, {"catch": (ValueError,)}):
        result = maximize(objective, drawing(), n_calls=4, retries=2, verbose=0, **options)
        assert [len(e.attempts) for e in result.timeline.evaluations] == [3] * 4
        assert not np.isnan(result.func_vals).any()
        for file in tmp_path.iterdir():
            file.unlink()
    result = maximize(objective, drawing(), n_calls=4, n_jobs=2, retries=1, verbose=0)
    assert {e.reason for e in result.timeline.evaluations} == {"ValueError: not yet (2 attempts)"}


def test_a_pool_that_breaks_is_made_anew_or_named(tmp_path):
    def objective(x):
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return count(x)

    result = maximize(objective, drawing(), 8, executor=lambda: processes(1), verbose=0)
    assert np.isnan(result.func_vals).sum() == 1
    (tmp_path / "died").unlink()
    opt = drawing()
    with (
        processes(1) as executor,
        pytest.raises(ExecutorError, match=r"pass a function that makes one, such as executor=lambda"),
    ):
        maximize(objective, opt, 8, executor=executor, verbose=0)
    assert opt.pending_ == []
    assert maximize(count, opt, 3, verbose=0).nfev == 3


def test_hanging_workers_of_others_stay_occupied_until_they_end():
    release = threading.Event()
    running, most = set(), []

    def objective(x):
        running.add(key(x))
        most.append(len(running))
        if len(most) <= 2:
            release.wait(30)
        else:
            time.sleep(0.02)
        running.remove(key(x))
        return count(x)

    with ThreadPoolExecutor(3) as executor:
        opt = drawing()
        result = maximize(objective, opt, n_calls=8, executor=executor, timeout=1.0, verbose=0)
        release.set()
    assert max(most) <= 3
    assert np.isnan(result.func_vals).sum() == 2


def test_when_all_workers_hang_there_is_an_error_or_new_ones():
    opt = drawing()
    release = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        with pytest.raises(
            ExecutorError, match="all 2 workers hang in evaluations that exceeded the timeout"
        ):
            maximize(lambda x: release.wait(30), opt, 8, executor=executor, timeout=0.2, verbose=0)
        release.set()
    assert opt.pending_ == []
    result = maximize(
        lambda x: time.sleep(1000), opt, 4, executor=lambda: processes(2), timeout=0.5, verbose=0
    )
    assert {e.reason for e in result.timeline.evaluations} == {"no result within 0.5 s"}
    result = maximize(
        lambda x: time.sleep(1000), opt, 4, executor=lambda: get_reusable_executor(2), timeout=0.5, verbose=0
    )
    assert {e.reason for e in result.timeline.evaluations} == {"no result within 0.5 s"}


def test_a_call_that_hangs_does_not_hold_up_the_end():
    def objective(x):
        if x[0]:
            time.sleep(1000)
        return float(x.sum())

    def ready():
        # the timeout of a pool's call begins when it is handed over: a worker that is still to start, beside
        # others and on a busy machine, would use it up
        executor = processes(4)
        list(executor.map(exec, ["import wrlso.run.call"] * 4))
        return executor

    # if it waited for the calls that hang, pytest's own timeout would end it long before they end
    result = maximize(objective, drawing(), 6, executor=ready, timeout=3, verbose=0)
    assert 0 < np.isnan(result.func_vals).sum() < 6


def test_an_objective_that_cannot_be_pickled_is_named():
    lock = threading.Lock()

    def objective(x):
        with lock:
            return count(x)

    opt = drawing()
    for options in ({"n_jobs": 2}, {"executor": lambda: processes(2)}):
        with pytest.raises(
            ParameterTypeError, match=r"objective.*cannot be sent to another process.*threads"
        ):
            maximize(objective, opt, 4, verbose=0, **options)
        assert opt.pending_ == []
    assert maximize(objective, opt, 4, executor=ThreadPoolExecutor(2), verbose=0).nfev == 4


@pytest.mark.parametrize("options", [lambda: {"n_jobs": 2}, lambda: {"executor": lambda: processes(2)}])
def test_no_process_is_left_of_a_loop_that_ends_early(options, tmp_path):
    def objective(x):
        with open(tmp_path / "pids", "a") as file:
            file.write(f"{os.getpid()}\n")
        return float(x.sum())

    for _ in range(5):  # the target is reached while the next calls have hardly been handed over
        result = maximize(objective, drawing(), n_calls=50, target=0, verbose=0, **options())
        assert result.message == "the target 0 is reached"
    pids = {int(pid) for pid in (tmp_path / "pids").read_text().split()}
    until = time.monotonic() + 60
    while any(map(runs, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(runs, pids))


def test_a_process_ends_though_its_call_is_given_up_at_once():
    engine, task = OwnProcesses(1, {}), Task(lambda x: os.getpid())
    pid = Outcome(*engine.submit(task, 0, "first").result()).value
    while not engine._idle:
        time.sleep(0.01)
    engine.cancel(engine.submit(task, 0, "second"))
    engine.close(kill=True)
    until = time.monotonic() + 30
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs(pid)


def test_a_pool_that_forks_is_warned_of(caplog):
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as executor:
        Pool(executor)
    assert "may hang for ever: pass n_jobs" in caplog.text
    caplog.clear()
    with processes(1) as executor:
        Pool(executor)
    assert not caplog.text


@pytest.mark.parametrize(
    "options", [{"n_jobs": 2}, {"executor": ThreadPoolExecutor(2)}, {"n_jobs": 2, "batch_size": 3}]
)
def test_errors_that_nobody_catches_propagate_with_the_workers_traceback(options):
    def objective(x):
        raise ZeroDivisionError("deep down")

    opt = drawing()
    with pytest.raises(ZeroDivisionError, match="deep down") as caught:
        maximize(objective, opt, n_calls=9, catch=(ValueError,), verbose=0, **options)
    if "n_jobs" in options:
        assert "in objective" in caught.value.__notes__[0]
    assert opt.pending_ == []
    assert maximize(count, opt, n_calls=2, verbose=0).nfev == 2


def test_an_error_of_the_search_propagates_and_leaves_a_state_that_continues():
    def feasible(x):
        if len(opt.X_) > 42:
            raise OSError("the filter is gone")
        return True

    opt = drawing(feasible=feasible)
    with pytest.raises(ParameterError, match="feasible must return.*raised OSError: the filter is gone"):
        maximize(count, opt, n_calls=30, executor=ThreadPoolExecutor(2), verbose=0)
    assert opt.pending_ == []


def test_it_ends_when_no_candidate_is_left():
    allowed = {key(x) for x in words(200, most=12, seed=5)} - {key(x) for x in X0}
    opt = drawing(feasible=lambda x: key(x) in allowed, retrain_every=None)
    result = maximize(count, opt, n_calls=500, executor=ThreadPoolExecutor(3), verbose=0)
    assert result.message.startswith("no candidate left: PriorSampling found 0 of 1")
    assert 0 < result.nfev <= len(allowed)
    assert opt.pending_ == []


# ---------------------------------------------------------------- stopping, interrupting, going on


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ({"target": 5}, "the target 5 is reached"),
        ({"patience": 6}, "no better value in 6 calls"),
        ({"max_seconds": 0.3}, "the time is used up"),
        ({"callbacks": [lambda result: result.nfev == 3]}, "a callback asked to stop"),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_reasons_to_stop(reason, message, batch_size):
    opt = drawing()
    with ThreadPoolExecutor(4) as executor:
        result = maximize(
            lambda x: (time.sleep(0.02), count(x))[1],
            opt,
            n_calls=1000,
            executor=executor,
            batch_size=batch_size,
            verbose=0,
            **reason,
        )
    assert result.message == message
    assert result.nfev < 1000
    assert opt.pending_ == []
    if batch_size and "max_seconds" not in reason:
        assert result.nfev % batch_size == 0  # a round that has begun is finished


INTERRUPTED = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins without
    from conftest import make_optimizer, words, count
    from wrlso import PriorSampling, maximize

    def slowly(x):
        time.sleep(0.05)
        return float(x.sum())

    if __name__ == "__main__":
        X = words()
        opt = make_optimizer(acquisition=PriorSampling()).fit(X, X.sum(axis=1)).autosave(sys.argv[1])
        options = eval(sys.argv[2])
        called = []
        def show(result):
            if result.nfev == 5:
                print("running", flush=True)
        try:
            maximize(slowly, opt, 10_000, verbose=0, callbacks=[show], **options)
        finally:
            print("pending", len(opt.pending_), flush=True)
"""


@pytest.mark.parametrize(
    ("number", "options"),
    [(signal.SIGTERM, {}), (signal.SIGINT, {"n_jobs": 2}), (signal.SIGTERM, {"n_jobs": 2, "batch_size": 4})],
)
def test_signals_leave_a_campaign_that_continues(number, options, tmp_path):
    process = script(INTERRUPTED, tmp_path / "campaign", options)
    assert process.stdout.readline() == "running\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert out == "pending 0\n"
    assert process.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)
    template = make_optimizer()
    opt = type(template).load(tmp_path / "campaign", encoder=template.encoder, decoder=template.decoder)
    assert len(opt.X_) >= 45
    assert opt.pending_ == []
    assert maximize(count, opt, 3, verbose=0).nfev == 3


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    maximize(count, drawing(), n_calls=3, executor=ThreadPoolExecutor(2), verbose=0)
    maximize(count, drawing(), n_calls=3, verbose=0)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_it_runs_outside_the_main_thread():
    with ThreadPoolExecutor(1) as outer:
        run = outer.submit(maximize, count, drawing(), 5, executor=ThreadPoolExecutor(2), verbose=0)
        assert run.result().nfev == 5


@pytest.mark.parametrize("options", [{}, {"executor": ThreadPoolExecutor(2)}])
def test_what_is_pending_from_before(options):
    opt = drawing()
    out = opt.ask(3)
    kept = maximize(count, opt, n_calls=4, verbose=0, **options)
    assert not {key(x) for x in out} & {key(x) for x in kept.x_iters}
    assert [key(x) for x in opt.pending_] == [key(x) for x in out]
    result = maximize(count, opt, n_calls=2, pending="evaluate", verbose=0, **options)
    assert {key(x) for x in result.x_iters} < {key(x) for x in out}
    result = maximize(count, opt, n_calls=5, pending="evaluate", verbose=0, **options)
    assert len({key(x) for x in result.x_iters} & {key(x) for x in out}) == 1
    opt.ask(3)
    maximize(count, opt, n_calls=1, pending="release", verbose=0, **options)
    assert opt.pending_ == []


# ---------------------------------------------------------------- arguments, records and pictures


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_jobs": 0}, ParameterError, "n_jobs must be an integer of at least 1"),
        ({"n_jobs": -3}, ParameterError, "n_jobs must be an integer of at least 1"),
        (
            {"n_jobs": 2, "executor": ThreadPoolExecutor(1)},
            ParameterError,
            "give executor or n_jobs, not both",
        ),
        ({"executor": 3}, ParameterTypeError, "executor must have a method submit.*got 3"),
        ({"executor": lambda: 3}, ParameterTypeError, "must return an executor with a method submit, got 3"),
        (
            {"executor": ByHand(None)},
            ParameterError,
            "number of workers of ByHand is not known: give max_pend",
        ),
        ({"max_pending": 3}, ParameterError, "max_pending needs workers"),
        ({"timeout": 3}, ParameterError, "timeout needs workers"),
        ({"stock": 3}, ParameterError, "stock needs workers"),
        ({"n_jobs": 1, "max_pending": 0}, ParameterError, "max_pending must be an integer of at least 1"),
        ({"n_jobs": 1, "stock": -1}, ParameterError, "stock must be an integer of at least 0"),
        ({"n_jobs": 1, "timeout": 0}, ParameterError, "timeout must be a finite number > 0"),
        ({"retries": -1}, ParameterError, "retries must be an integer of at least 0"),
        ({"pending": "forget"}, ParameterError, "pending must be one of 'keep', 'evaluate', 'release'"),
    ],
)
def test_arguments_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        maximize(count, drawing(), verbose=0, **arguments)


def test_minimize_on_workers():
    opt = make_optimizer(direction="minimize").fit(X0, -Y0)
    result = minimize(lambda x: -count(x), opt, 6, executor=ThreadPoolExecutor(2), verbose=0)
    assert result.fun == min(result.func_vals.min(), (-Y0).min())


def test_callbacks_are_called(caplog):
    seen = Counter()

    class Watch:
        def on_ask(self, opt, X):
            seen["asked"] += len(X)

        def on_tell(self, opt, X, values):
            seen["told"] += len(X)

        def on_retrain(self, opt, log):
            seen["trained"] += 1
            assert log["seconds"] > 0

        def on_stop(self, opt, result):
            seen["stopped"] += 1
            assert result.timeline.evaluations

    opt = drawing(callbacks=[Watch()], retrain_every=6)
    with caplog.at_level("DEBUG", logger="wrlso"):
        result = maximize(
            lambda x: None if x[0] else count(x), opt, 20, executor=ThreadPoolExecutor(2), verbose=0
        )
    assert seen["told"] == 20
    assert seen["asked"] >= 20
    assert seen["trained"] == len(opt.history_.trainings)
    assert seen["stopped"] == 1
    levels = Counter(record.levelname for record in caplog.records if record.name == "wrlso.run")
    assert levels["WARNING"] == np.isnan(result.func_vals).sum() > 0
    assert any("stopped after 20 calls" in record.getMessage() for record in caplog.records)
    assert any("asked for" in record.getMessage() for record in caplog.records)


def attempt(start, end, worker="", **options):
    return Attempt(worker, start, start, end, **options)


def test_utilization_is_busy_time_over_worker_time():
    attempts = [attempt(0, 4), attempt(0, 1), attempt(1, 3)]
    timeline = Timeline(2, [Evaluation(None, 1.0, None, (a,)) for a in attempts])
    assert timeline.span == (0, 4)
    assert timeline.utilization == pytest.approx(7 / 8)
    assert Timeline(2).utilization == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 10)), min_size=1, max_size=30))
def test_lanes_hold_every_attempt_once_and_none_overlap(spans):
    attempts = [attempt(start, start + length) for start, length in spans]
    timeline = Timeline(1, [Evaluation(None, 1.0, None, (a,)) for a in attempts])
    lanes = timeline.lanes()
    assert sorted(map(id, attempts)) == sorted(id(a) for lane in lanes for a in lane)
    for lane in lanes:
        assert all(a.ended <= b.started for a, b in pairwise(lane))
    most = max(sum(a.started <= b.started < a.ended for a in attempts) for b in attempts)
    assert len(lanes) == most


def test_the_chart_has_a_bar_for_every_attempt():
    pytest.importorskip("matplotlib")
    attempts = [attempt(0, 4), attempt(0, 1, reason="no"), attempt(1, 3, reason="died", lost=True)]
    timeline = Timeline(2, [Evaluation(None, None, None, (a,)) for a in attempts], trainings=[(1, 2)])
    (axes,) = utilization_chart(timeline).axes
    bars = [patch for container in axes.containers for patch in container]
    assert sorted((bar.get_x(), bar.get_width()) for bar in bars) == [(0, 1), (0, 4), (1, 2)]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        "training",
        "value",
        "failed",
        "lost",
    }
    assert utilization_chart(Timeline(1)).axes[0].containers == []


def test_a_task_is_called_here_as_it_is_there():
    task = Task(lambda x: np.float32(x + 1))
    here = Outcome(*task(1, "token"))
    there = Outcome(*pickle.loads(pickle.dumps(task))(1, "token"))
    assert here.value == there.value == 2.0
    assert type(there.value) is float
    assert here.worker.split(":")[1] == str(os.getpid())


def test_an_exception_that_cannot_travel_is_told_as_text():
    class Unreadable(Exception):
        def __reduce__(self):
            raise TypeError("no")

    def objective(x):
        raise Unreadable("a")

    with pytest.raises(RuntimeError, match=r"Unreadable: a"):
        maximize(objective, drawing(), n_calls=4, n_jobs=1, catch=(), verbose=0)
    result = maximize(objective, drawing(), n_calls=4, n_jobs=1, verbose=0)
    assert {e.reason for e in result.timeline.evaluations} == {"Unreadable: a"}


def test_cancelled_futures_are_lost_points():
    class Cancels:
        def submit(self, function, *arguments):
            future = Future()
            future.cancel()
            return future

    opt = drawing()
    with pytest.raises(ExecutorError, match="in a row were lost, the last with CancelledError"):
        maximize(count, opt, n_calls=30, executor=Cancels(), max_pending=2, verbose=0)
    assert opt.pending_ == []


def test_the_study_of_faults_accounts_for_every_point():
    record = faults(60, n_kills=2, timeout=1.0)
    assert record["accounted_for"] == sum(record["statuses"].values()) == sum(record["became"].values()) == 60
    assert record["workers_killed"] == 2
    for name in ("told_twice", "executed_twice", "executed_but_not_told", "pending"):
        assert record[name] == 0
    assert record["executions"] == 60 - record["told_but_not_executed"]


def test_the_study_of_overhead_has_its_peer():
    milliseconds = loop_overhead(5)["milliseconds_per_call"]
    assert milliseconds.keys() > {"by hand", "in process", "threads"}
    assert all(value > 0 for value in milliseconds.values())
