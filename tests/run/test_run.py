"""The loop: what it returns, when it stops, and what is left after an error."""

import inspect
import math
import pickle
import pydoc
import re
import time

import numpy as np
import pytest
from conftest import count, make_optimizer, words
from scipy.optimize import OptimizeResult

from wrlso import NotFittedError, ParameterError, ParameterTypeError, PriorSampling, maximize, minimize

X0 = words()
Y0 = X0.sum(axis=1).astype(float)


def fitted(**options):
    return make_optimizer(**options).fit(X0, Y0 if options.get("direction") != "minimize" else -Y0)


def drawing(**options):
    return fitted(acquisition=PriorSampling(), **options)


def test_it_is_the_loop_that_a_user_would_write():
    opt, by_hand = fitted(), fitted()
    result = maximize(count, opt, n_calls=7, verbose=0)
    for _ in range(7):
        x = by_hand.ask()
        by_hand.tell(x, count(x))
    assert isinstance(result, OptimizeResult)
    assert [x.tolist() for x in result.x_iters] == [x.tolist() for x in by_hand.X_[40:]]
    np.testing.assert_array_equal(result.func_vals, by_hand.y_[40:])
    assert result.fun == by_hand.best_y_ == count(result.x)
    assert (result.nfev, result.success, result.opt) == (7, True, opt)
    assert result.message == "the budget of 7 calls is used up"


def test_minimize_returns_values_in_the_users_sign():
    result = minimize(lambda x: -count(x), fitted(direction="minimize"), n_calls=6, verbose=0)
    assert result.fun == min(result.func_vals.min(), (-Y0).min())
    assert (result.func_vals <= 0).all()


def test_both_directions_have_one_signature_and_one_documentation():
    assert inspect.signature(maximize) == inspect.signature(minimize)
    names = list(inspect.signature(minimize).parameters)
    for loop, direction, other in ((maximize, "maximize", "minimize"), (minimize, "minimize", "maximize")):
        documentation = inspect.getdoc(loop)
        assert documentation.startswith(f"{direction.capitalize()} an objective: ")
        assert f'``direction="{direction}"``' in documentation
        assert other not in documentation.lower()
        parameters = documentation.partition("Parameters\n----------\n")[2].partition("\n\nReturns\n")[0]
        assert re.findall(r"^(\w+) : ", parameters, re.MULTILINE) == names
        assert f"{direction}(objective: " in pydoc.plain(pydoc.render_doc(loop))
        assert pickle.loads(pickle.dumps(loop)) is loop
    assert inspect.getdoc(maximize).replace("aximize", "inimize") == inspect.getdoc(minimize)


def test_batches_spend_exactly_the_budget_and_leave_nothing_pending():
    opt = drawing()
    result = maximize(count, opt, n_calls=7, batch_size=3, verbose=0)
    assert result.nfev == len(result.x_iters) == 7
    assert len(opt.history_.asks) == 3
    assert opt.pending_ == []


def test_a_second_call_goes_on():
    opt = drawing()
    maximize(count, opt, n_calls=3, verbose=0)
    assert maximize(count, opt, n_calls=2, verbose=0).nfev == 2
    assert len(opt.X_) == 45


def test_it_stops_at_the_target():
    result = maximize(count, fitted(), n_calls=200, target=7, verbose=0)
    assert result.message == "the target 7 is reached"
    assert result.fun >= 7
    assert result.nfev < 200
    assert (result.func_vals[:-1] < 7).all()
    result = minimize(lambda x: -count(x), fitted(direction="minimize"), n_calls=200, target=-7, verbose=0)
    assert result.message == "the target -7 is reached"


def test_it_stops_without_improvement():
    result = maximize(lambda x: 0.0, drawing(), n_calls=50, patience=4, verbose=0)
    assert (result.nfev, result.message) == (4, "no better value in 4 calls")


def test_it_stops_when_the_time_is_used_up():
    def slow(x):
        time.sleep(0.05)
        return count(x)

    result = maximize(slow, drawing(), n_calls=100, max_seconds=0.2, verbose=0)
    assert result.message == "the time is used up"
    assert 1 <= result.nfev < 100


def test_callbacks_see_each_result_and_can_stop():
    seen = []

    def third(result):
        seen.append((result.nfev, result.func_vals[-1]))
        return result.nfev == 3

    result = maximize(count, drawing(), n_calls=50, callbacks=[third], verbose=0)
    assert [nfev for nfev, _ in seen] == [1, 2, 3]
    assert [y for _, y in seen] == result.func_vals.tolist()
    assert result.message == "a callback asked to stop"


def test_on_stop_is_called_with_the_result():
    stopped = []

    class Watch:
        def on_stop(self, opt, result):
            stopped.append(result.nfev)

    maximize(count, drawing(callbacks=[Watch()]), n_calls=2, verbose=0)
    assert stopped == [2]


@pytest.mark.parametrize("failure", [None, math.nan, "raise"])
def test_failed_evaluations_count_and_are_recorded(failure):
    def objective(x):
        if x[0]:
            if failure == "raise":
                raise RuntimeError("the assay broke")
            return failure
        return count(x)

    opt = drawing()
    result = maximize(objective, opt, n_calls=20, catch=(RuntimeError,), verbose=0)
    failed = [bool(x[0]) for x in result.x_iters]
    assert any(failed)
    np.testing.assert_array_equal(np.isnan(result.func_vals), failed)
    assert len(opt.X_) == 40 + 20 - sum(failed)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_errors_and_interrupts_propagate_and_leave_a_state_that_continues(error):
    calls = []

    def objective(x):
        calls.append(x)
        if len(calls) == 5:
            raise error
        return count(x)

    opt = drawing()
    with pytest.raises(error):
        maximize(objective, opt, n_calls=9, batch_size=3, verbose=0)
    assert len(opt.X_) == 44
    assert opt.pending_ == []
    assert maximize(count, opt, n_calls=2, verbose=0).nfev == 2


def test_an_objective_that_returns_nonsense_is_named():
    opt = drawing()
    with pytest.raises(TypeError, match="the objective's value must be a real number.*'high'"):
        maximize(lambda x: "high", opt, n_calls=3, verbose=0)
    assert len(opt.X_) == 40
    assert opt.pending_ == []


def test_it_ends_when_no_candidate_is_left():
    opt = drawing(feasible=lambda x: False)
    result = maximize(count, opt, n_calls=5, verbose=0)
    assert result.nfev == 0
    assert result.message.startswith("no candidate left")
    assert "infeasible" in result.message


def test_nothing_but_failures():
    result = maximize(lambda x: None, make_optimizer().fit(X0), n_calls=3, verbose=0)
    assert (result.x, result.success) == (None, False)
    assert math.isnan(result.fun)


def test_a_progress_bar_shows_the_best_value(capfd):
    maximize(count, drawing(), n_calls=3)
    shown = capfd.readouterr().err
    assert "maximize: 100%" in shown
    assert "best=" in shown


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objective": 3}, ParameterTypeError, "objective must be callable, got 3"),
        ({"n_calls": 0}, ParameterError, "n_calls must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, ParameterError, "batch_size must be an integer of at least 1"),
        ({"target": math.nan}, ParameterError, "target must be a finite number, or None"),
        ({"patience": 0}, ParameterError, "patience must be an integer of at least 1, or None"),
        ({"max_seconds": 0}, ParameterError, "max_seconds must be a finite number > 0, or None"),
    ],
)
def test_arguments_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        maximize(**({"objective": count, "opt": drawing(), "verbose": 0} | arguments))


def test_the_direction_must_agree():
    with pytest.raises(ParameterError, match=r"direction='maximize': call maximize\(\), or build it with"):
        minimize(count, drawing(), verbose=0)


def test_an_optimizer_without_data():
    with pytest.raises(NotFittedError, match="no x is known yet"):
        maximize(count, make_optimizer(), verbose=0)
