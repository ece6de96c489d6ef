"""One loop runs with scikit-optimize's or Nevergrad's own optimizer, and with ours in its place."""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from inspect import signature

import numpy as np
import pytest
from conftest import N_LETTERS, count, make_optimizer, words

from wrlso import DataError, LogExpectedImprovement, ParameterError, ParameterTypeError, PriorSampling
from wrlso.adapters import NevergradOptimizer, SkoptOptimizer


def loss(x):
    return N_LETTERS - count(x)


@cache
def first():
    X = words()
    return make_optimizer(direction="minimize", acquisition=PriorSampling()).fit(X, [loss(x) for x in X])


def fitted():
    return copy.deepcopy(first())


def skopt_loop(opt):
    """A loop as its users write it, with batches, results and the best point."""
    for _ in range(3):
        x = opt.ask()
        result = opt.tell(x, loss(x))
    X = opt.ask(n_points=2, strategy="cl_mean")
    result = opt.tell(X, [loss(x) for x in X])
    result = opt.run(loss, 2)
    assert len(result.x_iters) == len(result.func_vals) == len(opt.Xi) == len(opt.yi) == 7
    assert result.fun == min(opt.yi) == loss(result.x) == opt.get_result().fun
    assert np.array_equal(result.func_vals, [loss(x) for x in opt.Xi])
    return result


def nevergrad_loop(opt):
    """A loop as its users write it, with a suggestion, callbacks, and minimize for the rest."""
    seen = []
    opt.register_callback("tell", lambda opt, candidate, loss: seen.append((candidate.uid, loss)))
    opt.suggest(np.ones(N_LETTERS, dtype=np.uint8) * (np.arange(N_LETTERS) < 8))
    for _ in range(3):
        candidate = opt.ask()
        opt.tell(candidate, loss(*candidate.args, **candidate.kwargs))
    own = opt.parametrization.spawn_child(new_value=np.tri(N_LETTERS, dtype=np.uint8)[8])
    opt.tell(own, loss(own.value))
    assert (own.uid, own.loss) == (seen[-1][0], 3.0)
    with ThreadPoolExecutor(2) as executor:
        best = opt.minimize(loss, executor=executor)
    assert (opt.num_ask, opt.num_tell) == (8, 9)
    assert len(seen) == 9
    assert loss(best.value) <= 4
    return best


def test_scikit_optimize_runs_the_loop():
    skopt = pytest.importorskip("skopt")
    skopt_loop(skopt.Optimizer([(0, 1)] * N_LETTERS, n_initial_points=9, random_state=0))


def test_our_optimizer_runs_scikit_optimizes_loop():
    opt = fitted()
    result = skopt_loop(SkoptOptimizer(opt))
    assert result.fun == opt.best_y_
    assert [count(x) for x in opt.X_[40:]] == [count(x) for x in result.x_iters]


def test_nevergrad_runs_the_loop():
    ng = pytest.importorskip("nevergrad")
    space = ng.p.Array(shape=(N_LETTERS,), lower=0, upper=1).set_integer_casting()
    space.random_state.seed(0)
    nevergrad_loop(ng.optimizers.OnePlusOne(space, budget=8, num_workers=1))


def test_our_optimizer_runs_nevergrads_loop():
    opt = fitted()
    best = nevergrad_loop(NevergradOptimizer(opt, budget=8, num_workers=2))
    assert best.loss == opt.best_y_ == loss(best.value)
    assert len(opt.y_) == 40 + 9


@pytest.mark.parametrize("method", ["ask", "tell", "run", "get_result"])
def test_scikit_optimize_has_the_same_signatures(method):
    theirs = pytest.importorskip("skopt").Optimizer
    assert list(signature(getattr(SkoptOptimizer, method)).parameters) == list(
        signature(getattr(theirs, method)).parameters
    )


def test_scikit_optimize_draws_our_result():
    pytest.importorskip("matplotlib").use("Agg")
    plots = pytest.importorskip("skopt.plots")
    axes = plots.plot_convergence(SkoptOptimizer(fitted()).run(loss, 2))
    assert len(axes.lines) >= 1


def test_nevergrads_callbacks_watch_our_optimizer():
    callbacks = pytest.importorskip("nevergrad").callbacks
    opt = NevergradOptimizer(fitted(), budget=3)
    opt.register_callback("ask", callbacks.EarlyStopping(lambda opt: opt.num_ask > 1))
    error = pytest.importorskip("nevergrad").errors.NevergradEarlyStopping
    with pytest.raises(error):
        opt.minimize(loss)
    assert opt.num_tell == 2
    opt.remove_all_callbacks()
    opt.minimize(loss)
    assert opt.num_tell == 3


@pytest.mark.parametrize("drop_in", [SkoptOptimizer, NevergradOptimizer])
def test_the_search_is_the_optimizers_own(drop_in):
    """The same points in the same order as without the drop-in."""
    direct, wrapped = fitted(), drop_in(fitted())
    for _ in range(7):
        x = direct.ask()
        direct.tell(x, loss(x))
        candidate = wrapped.ask()
        wrapped.tell(candidate, loss(getattr(candidate, "value", candidate)))
    assert all(np.array_equal(a, b) for a, b in zip(direct.X_, wrapped.opt.X_, strict=True))


def test_a_failed_experiment_is_nan_in_the_result():
    loop = SkoptOptimizer(fitted())
    assert np.isnan(loop.tell(loop.ask(), None).fun)
    assert loop.get_result().x is None
    X = loop.ask(2)
    result = loop.tell(X, [float("nan"), 4.0])
    assert np.isnan(result.func_vals).tolist() == [True, True, False]
    assert result.x is X[1]
    assert [record.status for record in loop.opt.history_][-3:] == ["failed", "failed", "observed"]


def test_a_value_that_is_refused_is_not_counted():
    loop, other = SkoptOptimizer(fitted()), NevergradOptimizer(fitted())
    with pytest.raises(DataError, match="y must be finite"):
        loop.tell(loop.ask(), float("inf"))
    candidate = other.ask()
    with pytest.raises(DataError, match="y must be finite"):
        other.tell(candidate, float("inf"))
    assert (loop.yi, other.num_tell, candidate.loss) == ([], 0, None)


def test_wrong_arguments():
    with pytest.raises(ParameterError, match="scikit-optimize minimises, and opt has direction='maximize'"):
        SkoptOptimizer(make_optimizer())
    with pytest.raises(ParameterError, match="Nevergrad minimises, and opt has direction='maximize'"):
        NevergradOptimizer(make_optimizer())
    with pytest.raises(ParameterTypeError, match="must be a WeightedRetrainingOptimizer, got .* Log"):
        SkoptOptimizer(LogExpectedImprovement())
    with pytest.raises(ParameterError, match="budget must be an integer of at least 1"):
        NevergradOptimizer(fitted(), budget=0)
    with pytest.raises(ParameterTypeError, match="num_workers must be an integer"):
        NevergradOptimizer(fitted(), num_workers=1.5)
    with pytest.raises(ParameterError, match="budget must be given for minimize"):
        NevergradOptimizer(fitted()).minimize(loss)
    with pytest.raises(ParameterError, match="'ask', 'tell', got 'stop'"):
        NevergradOptimizer(fitted()).register_callback("stop", print)
