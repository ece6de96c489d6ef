"""Outcomes reach their processes: one for each, with replicates, errors and limits, and as stored."""

import numpy as np
import pytest
import torch
from conftest import make_optimizer, networks, words

from wrlso import (
    AtLeast,
    Maximize,
    Minimize,
    Reading,
    Record,
    SparseGP,
    WeightedRetrainingOptimizer,
    above,
    below,
)
from wrlso._state.observed import modelled, values_of
from wrlso._state.processes import at_data, completed, processes
from wrlso.acquisition import LogExpectedImprovement
from wrlso.outcomes import aims_of
from wrlso.surrogate import AutoSurrogate

OUTCOMES = [Maximize("ones"), Minimize("ends"), AtLeast("middle", 1.0), Record("batch")]


def readings(x, i=0):
    """What a lab says of a word: noisy, in part with an error or beyond a limit, in part not at all."""
    ones, ends, middle = float(x.sum()), float(x[0] + x[-1]), float(x[4:8].sum())
    told = {"ones": Reading(ones, sd=0.5) if i % 5 == 0 else ones, "batch": float(i)}
    if i % 2:
        told["ends"] = ends
    if i % 3:
        told["middle"] = above(2.0) if middle > 2 else middle
    return told


SEEN = []


class Watching(LogExpectedImprovement):
    """Keeps what it was shown."""

    def propose(self, state, n, rng):
        SEEN.append(state)
        return super().propose(state, n, rng)


def campaign(**options):
    X = words()
    opt = make_optimizer(**({"outcomes": OUTCOMES, "surrogate": AutoSurrogate(100, 50)} | options))
    return opt.fit(X, [readings(x, i) for i, x in enumerate(X)])


def parts(opt):
    return opt._session.learned, opt.history_, aims_of(opt.outcomes, opt.direction)


def steps(opt, n=3, first=0):
    asked = []
    for i in range(first, first + n):
        x = opt.ask()
        opt.tell(x, readings(x, i))
        asked.append(x)
    return asked


def predictions(opt):
    learned, history, aims = parts(opt)
    found = at_data(learned, history, aims, history.observed_rows)
    return {name: np.stack(moments) for name, moments in found.items()}


def test_goals_and_limits_get_a_process_of_larger_is_better():
    assert modelled(aims_of(OUTCOMES)) == {"ones": 1.0, "ends": -1.0, "middle": 1.0}
    both = [Minimize("a"), AtLeast("a", 1.0), Maximize("b")]
    assert modelled(aims_of(both)) == {"a": -1.0, "b": 1.0}
    assert modelled(aims_of(None, "minimize")) == {"": -1.0}


def test_a_process_sees_the_rows_on_which_its_outcome_was_measured_with_their_noise():
    opt = campaign()
    history = opt.history_
    opt.tell(words()[1], {"ones": 3.0})
    opt.tell(words()[2], {"ones": 9.0})
    values = values_of(history, "ones", 1.0)
    assert values.known.n.tolist()[:4] == [1, 2, 2, 1]
    mean = (words()[1].sum() + 3.0) / 2
    assert values.known.y[1] == mean
    assert values.known.squares[1] == pytest.approx(2 * (3.0 - mean) ** 2)
    assert values.known.sd[0] == 0.5
    assert np.isnan(values.known.sd[1])
    opt.tell(words()[3], {"middle": Reading(2.0, n=4)})
    middle = values_of(history, "middle", 1.0)
    place = middle.rows.tolist().index(history.row(opt.model_.key(words()[3])))
    assert np.isnan(values_of(history, "middle", 1.0).known.squares[place]) or middle.known.n[place] == 1
    turned = values_of(history, "middle", -1.0)
    assert (turned.known.bound == -middle.known.bound).all()
    assert values_of(history, "ends", -1.0).rows.tolist() == history.measured_rows("ends").tolist()
    assert len(history.measured_rows("ends")) == 20


def test_every_outcome_is_shown_to_the_search_with_its_own_process():
    SEEN.clear()
    opt = campaign(acquisition=Watching(make_optimizer().acquisition.search))
    steps(opt, 2)
    state = SEEN[-1]
    assert set(state.outcomes) == {"ones", "ends", "middle"}
    assert state.outcomes["ends"].sign == -1.0
    learned, history, aims = parts(opt)
    for process in state.outcomes.values():
        points = learned.points(process.surrogate, history, history.observed_rows)
        mean, variance = process.moments(points)
        joint, covariance = process.joint(points)
        torch.testing.assert_close(joint, mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(covariance.diagonal(), variance, rtol=1e-5, atol=1e-7)
    truth = np.array([history.records[row].x.sum() for row in history.observed_rows])
    mean, variance = at_data(learned, history, aims, history.observed_rows)["ones"]
    assert np.corrcoef(mean, truth)[0, 1] > 0.9
    assert (variance > 0).all()


def test_what_was_not_measured_is_expected_by_its_process():
    opt = campaign()
    steps(opt, 2)
    learned, history, aims = parts(opt)
    rows = history.observed_rows
    goals = np.stack([sign * history.observations(name, rows).y for name, sign in aims.goals], axis=1)
    whole = completed(goals, learned, history, aims, rows)
    measured = ~np.isnan(goals)
    assert (whole[measured] == goals[measured]).all()
    assert not np.isnan(whole).any()
    ends = -np.array([float(history.records[row].x[[0, -1]].sum()) for row in rows])
    missing = ~measured[:, 1]
    assert (
        np.abs(whole[missing, 1] - ends[missing]).mean()
        < np.abs(ends[missing] - np.median(ends)).mean() + 0.2
    )
    assert completed(goals[measured.all(1)], learned, history, aims, rows).shape[1] == 2


def test_one_goal_by_name_is_asked_for_like_one_number():
    """Names change nothing: the same points, bit for bit."""
    X = words()
    y = X.sum(axis=1).astype(float)
    asked = []
    for outcomes in (None, [Maximize("ones")]):
        told = y if outcomes is None else [{"ones": value} for value in y]
        opt = make_optimizer(outcomes=outcomes).fit(X, told)
        for _ in range(7):
            x = opt.ask()
            opt.tell(x, float(x.sum()) if outcomes is None else {"ones": float(x.sum())})
            asked.append(x.tolist())
    assert asked[:7] == asked[7:]


def test_partial_rows_count_where_they_were_measured_and_other_outcomes_are_not_fitted_again():
    opt = campaign()
    opt.ask()
    learned, history, _ = parts(opt)
    before = dict(learned.others)
    opt.tell(words()[0], {"ends": 1.0})
    opt.ask()
    learned = parts(opt)[0]
    assert learned.others["middle"].fit is before["middle"].fit
    assert learned.others["middle"].n_seen == before["middle"].n_seen
    assert learned.others["ends"].n_seen == before["ends"].n_seen + 1
    assert history.revision_of("middle") == 0
    opt.tell(words()[1], {"ends": 1.0})  # a replicate
    opt.ask()
    assert parts(opt)[0].others["ends"].n_corrected == 1
    assert parts(opt)[0].others["middle"].n_corrected == 0


def test_stored_processes_go_on_bit_for_bit(tmp_path):
    """Saved after every step, loaded in the middle, or never: the same points and predictions."""
    never = campaign(retrain_every=4)
    expected = steps(never, 6)
    opt = campaign(retrain_every=4).autosave(tmp_path / "campaign")
    asked = steps(opt, 3)
    encoder, decoder = networks()
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", encoder=encoder, decoder=decoder)
    for name, values in predictions(opt).items():
        assert (predictions(again)[name] == values).all()
    asked += steps(again, 3, first=3)
    assert [x.tolist() for x in asked] == [x.tolist() for x in expected]
    for name, values in predictions(never).items():
        assert (predictions(again)[name] == values).all()
    learned = parts(again)[0]
    assert set(learned.others) == {"ones", "ends", "middle"}
    assert learned.others["ones"].n_seen == 46 - 1  # the last one is taken in by the next ask


def test_a_training_moves_the_points_of_all_processes():
    opt = campaign(retrain_every=None)
    steps(opt, 1)
    opt.retrain()
    learned = parts(opt)[0]
    assert all(fitted.rows is None for fitted in learned.others.values())
    steps(opt, 1)
    assert all(fitted.rows is not None for fitted in parts(opt)[0].others.values())


def test_an_outcome_that_was_hardly_measured_has_no_process_yet():
    X = words()
    opt = make_optimizer(outcomes=[Maximize("ones"), AtLeast("rare", 1.0)])
    opt.fit(X, [{"ones": float(x.sum())} | ({"rare": 1.0} if i < 4 else {}) for i, x in enumerate(X)])
    opt.ask()
    learned, _, aims = parts(opt)
    assert set(processes(learned, aims)) == {"ones"}
    opt.tell(X[7], {"rare": below(3.0)})
    opt.ask()
    assert set(processes(parts(opt)[0], aims)) == {"ones", "rare"}


def test_replicates_and_errors_of_one_number_reach_the_surrogate():
    X = words()
    opt = make_optimizer(surrogate=SparseGP(max_iter=10), retrain_every=None).fit(X, X.sum(axis=1))
    opt.tell(X[0], 40.0, sd=1e3)
    opt.tell(X[1], above(20.0))
    opt.ask()
    learned, history, aims = parts(opt)
    mean, _ = at_data(learned, history, aims, history.observed_rows[:2])[""]
    assert processes(learned, aims) == {}
    assert mean[0] < 12.0
    assert history.observations("").bound[1] == 0  # an exact value counts more than a limit
