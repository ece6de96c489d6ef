"""Under noise the best measurement is a lucky one: what is recommended, and on what a search improves."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import count, make_optimizer, words

from wrlso import AtLeast, Maximize, Minimize, NotFittedError, ParameterError, PriorSampling
from wrlso.acquisition.belief import Belief
from wrlso.testing.grid import grid_state


def lucky(**options):
    """Words with a poor one that was measured far too high, with its error."""
    X = words()
    y, sd = np.array([count(x) for x in X]), np.full(len(X), 0.1)
    poor = int(y.argmin())
    y[poor], sd[poor] = 12.0, 6.0
    return make_optimizer(**options).fit(X, y, sd=sd)


def test_a_lucky_point_is_not_recommended():
    opt = lucky()
    opt.ask()
    assert count(opt.best_x_) < count(opt.recommended_x_)
    assert any(np.array_equal(opt.recommended_x_, x) for x in opt.X_)


def test_looking_changes_nothing():
    one, other = lucky(), lucky()
    assert one.recommended_x_ is not None
    assert np.array_equal(one.ask(), other.ask())


def test_without_a_process_it_is_the_best():
    X = words(8)
    opt = make_optimizer(acquisition=PriorSampling()).fit(X, [count(x) for x in X])
    assert np.array_equal(opt.recommended_x_, opt.best_x_)


def test_limits_are_kept():
    X = words()
    told = [{"ones": count(x), "third": float(x[2])} for x in X]
    opt = make_optimizer(outcomes=[Maximize("ones"), AtLeast("third", 0.5)]).fit(X, told)
    assert opt.recommended_x_[2] == 1


def test_it_needs_a_value_and_one_goal():
    with pytest.raises(NotFittedError, match="no best point yet"):
        _ = make_optimizer().fit(words(6)).recommended_x_
    told = [{"a": count(x), "b": float(x[0])} for x in words()]
    with pytest.raises(ParameterError, match="need one goal"):
        _ = make_optimizer(outcomes=[Maximize("a"), Minimize("b")]).fit(words(), told).recommended_x_


def test_the_incumbent_under_noise_is_the_best_mean():
    state = grid_state()
    y = state.y.clone()
    y[3] += 30.0  # a lucky value that the process has not seen
    plain, noisy = (Belief.of(replace(state, y=y, noisy=noisy)) for noisy in (False, True))
    assert noisy.best < plain.best - 5.0
    exact = Belief.of(replace(state, noisy=True))
    assert exact.best == pytest.approx(Belief.of(state).best, abs=0.2)
    assert exact.best <= Belief.of(state).best
