"""Several outcomes by name: what is told, what stands on the front, and that one of them is one number."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import make_optimizer, networks, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso import (
    AtLeast,
    AtMost,
    DataError,
    DataTypeError,
    Maximize,
    Minimize,
    NotFittedError,
    ParameterError,
    Reading,
    Record,
    UnknownPointError,
    WeightedRetrainingOptimizer,
    above,
    below,
    maximize,
    minimize,
    rank_weights,
)  # fmt: skip
from wrlso._state.merits import hypervolumes, standing
from wrlso.history import Event, History
from wrlso.outcomes import aims_of

OUTCOMES = [Maximize("left", unit="nM"), Minimize("right"), AtMost("odd", 2.0), Record("note")]
X = words()


def measure(x):
    left, right, odd = x[:6], x[6:], x[::2]
    return {"left": float(left.sum()), "right": float(right.sum()), "odd": float(odd.sum())}


def fitted(n=20, outcomes=OUTCOMES, **options):
    opt = make_optimizer(outcomes=outcomes, **options)
    return opt.fit(X[:n], [measure(x) for x in X[:n]])


def state(opt):
    """All that a refused call must leave as it is."""
    history = opt.history_
    records = [(r.status, r.values, r.readings, r.revisions, r.n_failures) for r in history]
    return records, [event[:4] for event in history.events], history.units, opt.weights_.tolist()


# ------------------------------------------------------------------ one number is a special case


@pytest.mark.parametrize("goal", [Maximize("y"), Minimize("y")])
def test_one_goal_by_name_is_the_number_without_a_name(goal):
    direction = "maximize" if isinstance(goal, Maximize) else "minimize"
    one, other = make_optimizer(direction=direction), make_optimizer(outcomes=[goal])
    y = X.sum(axis=1)
    one.fit(X[:20], y[:20])
    other.fit(X[:20], pd.DataFrame({"y": y[:20]}))
    for _ in range(7):  # over a retraining
        x, same = one.ask(), other.ask()
        np.testing.assert_array_equal(x, same)
        one.tell(x, x.sum())
        other.tell(same, {"y": x.sum()})
    np.testing.assert_array_equal(one.y_, other.y_[:, 0])
    np.testing.assert_array_equal(one.weights_, other.weights_)
    assert one.best_y_ == other.best_y_
    np.testing.assert_array_equal(one.best_x_, other.best_x_)
    np.testing.assert_array_equal(one.pareto_Y_, other.pareto_Y_)
    assert one.hypervolume_ == other.hypervolume_


# ------------------------------------------------------------------ what is told


@pytest.mark.parametrize(
    "form",
    [
        pd.DataFrame,
        lambda rows: rows,
        lambda rows: pd.DataFrame(rows, columns=["left", "right", "odd", "note"]).to_numpy(),
        lambda rows: [[*list(row.values()), None] for row in rows],
        lambda rows: [{name: Reading(v) for name, v in row.items() if v is not None} for row in rows],
    ],
)
@pytest.mark.parametrize("call", ["fit", "tell"])
def test_every_form_tells_the_same(form, call):
    rows = [measure(x) for x in X[:6]]
    rows[2]["odd"] = None
    opt = make_optimizer(outcomes=OUTCOMES)
    getattr(opt, call)(X[:6], form(rows))
    expected = [[row["left"], row["right"], row["odd"], np.nan] for row in rows]
    np.testing.assert_array_equal(opt.y_, np.array(expected, dtype=float))
    assert opt.history_.units == {"left": "nM", "right": "", "odd": "", "note": ""}


def test_a_row_is_completed_later():
    opt = fitted()
    x = X[25]
    opt.tell(x, {"left": 6.0}).tell(x, {"right": 0.0}).tell(x, {"odd": 1.0, "note": 3.0})
    record = opt.history_.records[-1]
    assert record.readings == {k: [Reading(v)] for k, v in zip(measure(x), (6.0, 0.0, 1.0), strict=True)} | {
        "note": [Reading(3.0)]
    }
    assert opt.pareto_Y_.tolist() == [[6.0, 0.0]]
    opt.tell(x, {"left": 4.0})
    assert opt.y_[-1].tolist() == [5.0, 0.0, 1.0, 3.0]


def test_what_is_not_there_was_not_measured_and_none_is_a_failure():
    opt = fitted()
    opt.tell([X[21], X[22]], pd.DataFrame({"left": [np.nan, 1.0], "right": [np.nan, np.nan]}))
    opt.tell(X[23], None, reason="exploded")
    opt.tell(X[24], {"left": None, "right": np.nan})
    opt.tell(X[25:27], np.array([[np.nan] * 4, [1.0, np.nan, np.nan, np.nan]]))
    records = opt.history_.records[20:]
    assert [record.status for record in records] == [
        "unlabelled", "observed", "failed", "unlabelled", "failed", "observed",
    ]  # fmt: skip
    assert records[2].reason == "exploded"
    assert [record.not_measured for record in records] == [(), (), (), ("left", "right"), (), ()]
    x = opt.ask()
    opt.tell(x, {"left": np.nan, "right": None})
    assert opt.history_.records[-1].status == "pending"
    assert opt.tell(x, {"left": 1.0}).history_.records[-1].lacks(opt.history_.units) == ["odd", "note"]


def test_a_correction_takes_back_what_it_names():
    opt = fitted()
    before = opt.history_.records[3].readings
    opt.update(X[3], {"left": np.nan})
    record = opt.history_.records[3]
    assert record.readings == {name: told for name, told in before.items() if name != "left"}
    assert record.revisions == [before]
    assert np.isnan(opt.y_[3]).tolist() == [True, False, False, True]
    opt.update(X[3], {"right": None, "odd": None})
    assert (record.status, record.readings) == ("unlabelled", {})
    assert len(opt.X_) == 19
    assert opt.tell(X[3], {"left": 2.0}).history_.records[3].status == "observed"
    with pytest.raises(DataError, match="y must name what was not measured, as {'left': None}"):
        opt.update(X[4], np.nan)


def test_one_number_is_taken_back_by_nan_and_failed_by_none():
    opt = make_optimizer().fit(X[:10], X[:10].sum(axis=1))
    for missing in (np.nan, np.float32("nan"), pd.NA, np.ma.masked):
        opt.tell(X[3], 1.0).update(X[3], missing)
        assert (opt.history_.records[3].status, opt.history_.n_observed) == ("unlabelled", 9)
    opt.update(X[4], None)
    assert (opt.history_.records[4].status, opt.history_.n_observed) == ("failed", 8)
    assert opt.ask() is not None


def test_standard_errors_replicates_and_bounds():
    opt = fitted()
    frame = pd.DataFrame(
        {"left": [3.0, 4.0], "left sd": [0.4, np.nan], "left n": [4, np.nan], "right": [1, 2]}
    )
    opt.tell(X[21:23], frame)
    opt.tell(X[23], {"left": above(5.0), "right": Reading(2.0, 0.1)}, sd=None)
    opt.tell(X[24], {"left": 2.0, "right": 1.0}, sd={"left": 0.5})
    opt.tell(X[25:27], [{"left": 2.0, "right": 1.0}, {"left": below(1.0)}], sd={"left": 0.25})
    observed = opt.history_.observations("left", np.arange(20, 26))
    np.testing.assert_array_equal(observed.y, [3, 4, 5, 2, 2, 1])
    np.testing.assert_array_equal(observed.n, [4, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(observed.sd, [0.2, np.nan, np.nan, 0.5, 0.25, np.nan])
    np.testing.assert_array_equal(observed.bound, [0, 0, 1, 0, 0, -1])
    assert opt.history_.observations("right", np.arange(22, 23)).sd == [0.1]


def test_one_number_with_standard_errors_and_bounds():
    opt = make_optimizer().fit(X[:10], [above(3.0), *X[1:10].sum(axis=1)], sd=0.3)
    opt.tell(X[11], 5.0, sd=0.2).tell(X[11], 6.0).tell(X[12], below(4.0))
    observed = opt.history_.observations()
    np.testing.assert_array_equal(observed.sd, [np.nan] + [0.3] * 9 + [np.nan] * 2)
    np.testing.assert_array_equal(observed.bound, [1] + [0] * 10 + [-1])
    assert opt.history_.y[-2:].tolist() == [5.5, 4.0]
    assert opt.history_.records[10].values == [5.0, 6.0]
    opt.update(X[11], 7.0, sd=0.1).update(X[12], 2.0)
    assert opt.history_.y[-2:].tolist() == [7.0, 2.0]
    assert opt.history_.records[10].revisions == [{"": [Reading(5.0, 0.2), Reading(6.0)]}]
    assert opt.history_.records[11].revisions == [{"": [below(4.0)]}]


def test_a_correction_replaces_the_outcomes_that_it_names():
    opt = fitted()
    x = X[3]
    opt.tell(x, {"left": 9.0}).update(x, {"left": 1.5}, sd={"left": 0.1})
    record = opt.history_.records[3]
    assert record.readings["left"] == [Reading(1.5, 0.1)]
    assert record.readings["odd"] == [Reading(measure(x)["odd"])]
    assert [r.value for r in record.revisions[0]["left"]] == [measure(x)["left"], 9.0]
    opt.update(x, None)
    assert (record.status, record.readings) == ("failed", {})
    assert len(opt.X_) == 19


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["tell", "update", "fail", "withdraw"]), st.integers(0, 4),
            st.dictionaries(st.sampled_from("abc"), st.none() | st.floats(-5, 5), min_size=1),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_the_history_of_outcomes_equals_dictionaries(events):
    history = History()
    history.add(list("vwxyz"), list("vwxyz"), None)
    told: dict[int, dict[str, list[float]]] = {}
    order: dict[str, list[int]] = {name: [] for name in "abc"}
    for kind, row, values in events:
        fields = {name: None if value is None else [value, None, "", 1] for name, value in values.items()}
        if kind in ("tell", "update"):
            data = fields if kind == "tell" else {"now": fields, "before": {}}
            history.apply(Event(kind, row, None, 0, data))
            for name, value in values.items():
                known = told.setdefault(row, {})
                if value is not None:
                    known[name] = [*known.get(name, []), value] if kind == "tell" else [value]
                    order[name] += [row] * (row not in order[name])
                elif kind == "update" and known.pop(name, None):
                    order[name].remove(row)
            if not told[row]:
                del told[row]
        else:
            data = "reason" if kind == "fail" else {"before": {}}
            history.apply(Event("tell" if kind == "fail" else "update", row, None, 0, data))
            if kind == "withdraw":
                told.pop(row, None)
                order = {name: [other for other in rows if other != row] for name, rows in order.items()}
    assert sorted(history.observed_rows) == sorted(told)
    for name in "abc":
        rows = history.measured_rows(name)
        assert rows.tolist() == order[name]
        np.testing.assert_allclose(history.observations(name, rows).y, [np.mean(told[r][name]) for r in rows])
        missing = np.setdiff1d(np.arange(5), rows)
        assert np.isnan(history.observations(name, missing).y).all()
        assert (history.observations(name, missing).n == 0).all()


# ------------------------------------------------------------------ merits


VALUES = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30)


def standing_of(values, outcomes):
    history = History()
    history.add(list(range(len(values))), list(range(len(values))), None)
    for row, each in enumerate(values):
        fields = {name: [float(v), None, "", 1] for name, v in zip("abc", each, strict=True) if v is not None}
        history.apply(Event("start", row, None, 0, fields))
    return standing(history, aims_of(outcomes))


TWO = [Maximize("a"), Minimize("b"), AtLeast("c", 2.0)]
LIMITS = [Maximize("a"), AtLeast("b", 2.0), AtMost("c", 2.0)]


@given(VALUES, st.sampled_from([TWO, LIMITS]))
def test_what_dominates_never_weighs_less(values, outcomes):
    found = standing_of(values, outcomes)
    weights = rank_weights(found.merit, k=0.1)
    for i in range(len(values)):
        for j in range(len(values)):
            if found.satisfies[i] != found.satisfies[j]:
                better = found.satisfies[i]
            elif not found.satisfies[i]:
                better = found.violation[i] < found.violation[j]
            else:
                a, b = found.goals[i], found.goals[j]
                better = (a >= b).all() and (a > b).any()
            if better:
                assert weights[i] > weights[j]
            if values[i] == values[j]:
                assert weights[i] == weights[j]


@given(VALUES, st.sampled_from([TWO, LIMITS]))
def test_increasing_transformations_of_outcomes_change_no_merit(values, outcomes):
    def bend(v):
        return np.exp(v / 3) - 1

    bent = [o if not hasattr(o, "limit") else type(o)(o.name, float(bend(o.limit))) for o in outcomes]
    moved = [tuple(float(bend(v)) for v in each) for each in values]
    np.testing.assert_array_equal(standing_of(values, outcomes).merit, standing_of(moved, bent).merit)


@given(VALUES)
def test_one_goal_ranks_as_its_values_do(values):
    """Eq. 3: one goal without limits; a limit that all satisfy changes no weight."""
    y = np.array([a for a, _, _ in values], dtype=float)
    expected = rank_weights(y, k=0.1)
    for limit in ([], [AtLeast("b", 0.0)]):
        merit = standing_of(values, [Maximize("a"), *limit]).merit
        np.testing.assert_array_equal(rank_weights(merit, k=0.1), expected)


def test_what_was_not_measured_is_in_the_middle():
    found = standing_of([(4, 0, 2), (3, 1, 2), (2, 2, 2), (None, 0, 2), (9, 9, None), (4, 0, 0)], TWO)
    assert found.merit.tolist() == [0, -1, -2, -1, -0, -3]
    assert found.satisfies.tolist() == [True, True, True, False, False, False]
    one = standing_of([(1, 0, 0), (None, 0, 0), (5, 0, 0), (9, 0, 0)], [Maximize("a")])
    assert one.merit.tolist() == [1.0, 5.0, 5.0, 9.0]


def test_the_front_and_its_volume():
    outcomes = [Maximize("left", reference=0.0), Minimize("right", reference=4.0), AtMost("odd", 2.0)]
    opt = make_optimizer(outcomes=outcomes)
    opt.fit(X[:4], [
        {"left": 3, "right": 2, "odd": 2}, {"left": 1, "right": 1, "odd": 0},
        {"left": 9, "right": 0, "odd": 3}, {"left": 2, "right": 3, "odd": 0},
    ])  # fmt: skip
    assert opt.pareto_Y_.tolist() == [[3.0, 2.0], [1.0, 1.0]]
    np.testing.assert_array_equal(opt.pareto_X_, X[:2])
    assert opt.hypervolume_ == 3 * 2 + 1 * 1
    assert hypervolumes(opt.history_, aims_of(outcomes)).tolist() == [6.0, 7.0, 7.0, 7.0]
    with pytest.raises(
        ParameterError, match="need one goal, but there are 'left' and 'right': see pareto_X_"
    ):
        opt.best_x_  # noqa: B018


def test_the_volume_goes_on_from_one_reference():
    opt = fitted()
    aims = aims_of(OUTCOMES)
    before = hypervolumes(opt.history_, aims)
    for x in X[20:40]:
        opt.tell(x, measure(x))
    after = hypervolumes(opt.history_, aims)
    np.testing.assert_array_equal(after[:20], before)
    assert (np.diff(after) >= 0).all()
    assert after[-1] == pytest.approx(opt.hypervolume_)


def test_the_best_satisfies_the_limits():
    opt = make_optimizer(outcomes=[Minimize("right"), AtLeast("left", 3.0)])
    opt.tell(X[0], {"right": 1.0, "left": 2.0}).tell(X[1], {"right": 0.0})
    with pytest.raises(NotFittedError, match="no point is known to satisfy the limits"):
        opt.best_y_  # noqa: B018
    opt.tell(X[2], {"right": 5.0, "left": 3.0}).tell(X[3], {"right": 4.0, "left": 4.0})
    assert opt.best_y_ == 4.0
    np.testing.assert_array_equal(opt.best_x_, X[3])


# ------------------------------------------------------------------ storage


def test_everything_survives_save_and_load(tmp_path):
    opt = fitted()
    opt.autosave(tmp_path / "camp")
    opt.tell(X[30], {"left": above(6.0), "right": 1.0}, sd={"right": 0.3}).update(X[30], {"left": 5.0})
    opt.tell(X[31], {"left": Reading(2.0, 0.1, n=3)}).tell(X[32], None, reason="lost")
    for _ in range(6):  # a retraining, too
        x = opt.ask()
        opt.tell(x, measure(x))
        encoder, decoder = networks()
        again = WeightedRetrainingOptimizer.load(tmp_path / "camp", encoder=encoder, decoder=decoder)
        assert state(again) == state(opt)
        assert again.outcomes == OUTCOMES
        assert again.hypervolume_ == opt.hypervolume_
        opt = again
    copied = pickle.loads(pickle.dumps(opt))
    np.testing.assert_array_equal(copied.ask(), opt.ask())


# ------------------------------------------------------------------ what is refused


class Point:
    """What is no value."""


FRAME = pd.DataFrame({"left": [1.0, 2.0], "right": [1.0, 2.0]})
WRONG = [
    (lambda o: o.tell(X[30], 7.2), "y must be a mapping such as {'left': 1.5}, because values have names"),
    (lambda o: o.tell(X[30], "7.2"), "y must be a mapping"),
    (lambda o: o.tell(X[30], above(7.2)), "y must be a mapping"),
    (lambda o: o.tell(X[30], Point()), "y must be a mapping"),
    (lambda o: o.tell(X[30], {}), "y must name at least one outcome, or be None"),
    (lambda o: o.tell(X[30], {"lefft": 1.0}), r"outcomes of this optimizer \('left', .*got 'lefft'"),
    (lambda o: o.tell(X[30], {"left": 1.0, 3: 1.0}), "got 3"),
    (lambda o: o.tell(X[30], {"left": "1"}), r"y\['left'\] must be a real number.*got '1' of type str"),
    (lambda o: o.tell(X[30], {"left": np.inf}), r"y\['left'\] must be finite"),
    (lambda o: o.tell(X[30], {"left": True}), r"y\['left'\] must be a real number"),
    (lambda o: o.tell(X[30], {"left": 1j}), r"y\['left'\] must be a real number"),
    (lambda o: o.tell(X[30], {"left": [1.0]}), r"y\['left'\] must be a real number"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd=0.3), "sd must be a mapping of outcome to standard error"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd={"left": 0.0}), r"sd\['left'\] must be a finite number > 0"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd={"left": -1.0}), "> 0, got -1.0"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd={"left": np.inf}), "> 0, got inf"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd={"left": "a"}), "must be a number > 0, got 'a'"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd={"lefft": 1.0}), "got 'lefft'"),
    (lambda o: o.tell(X[30], {"left": 1.0}, sd=[0.1]), "sd must be a number for one x, or a mapping"),
    (lambda o: o.tell(X[30], {"left": above(1.0)}, sd={"left": 0.1}), "must be a number where sd is given"),
    (lambda o: o.tell(X[30], {"left": Reading(1.0, 0.1)}, sd={"left": 0.1}), "a number where sd is given"),
    (lambda o: o.tell(X[30:32], [1.0, 2.0]), r"y\[0\] must be a mapping"),
    (lambda o: o.tell(X[30:32], [{"left": 1.0}]), "must have the same length, got 2 x and 1 y"),
    (lambda o: o.tell(X[30:32], np.ones((2, 3))), r"one column for each of the 4 outcomes.*\(2, 3\)"),
    (lambda o: o.tell(X[30:32], np.ones((3, 4))), "must have the same length, got 2 x and 3 y"),
    (
        lambda o: o.tell(X[30:32], [[1.0, 2.0], [1.0, 2.0]]),
        "a value for each of the 4 outcomes.*got 2 values",
    ),
    (lambda o: o.tell(X[30:32], FRAME[["left"]]), "a column for each goal, but 'right' is not among 'left'"),
    (lambda o: o.tell(X[30:32], FRAME.assign(SMILES="C")), "the columns of y must be outcomes.*got 'SMILES'"),
    (lambda o: o.tell(X[30:32], pd.concat([FRAME, FRAME], axis=1)), "each once"),
    (lambda o: o.tell(X[30:33], FRAME), "must have the same length, got 3 x and 2 y"),
    (lambda o: o.tell(X[30:32], FRAME.assign(left="a")), r"row 0 of y\['left'\] must be a real number"),
    (
        lambda o: o.tell(X[30:32], FRAME.assign(**{"left sd": -1.0})),
        "row 0 of y, 'left': sd must be a finite",
    ),
    (lambda o: o.tell(X[30:32], FRAME.assign(**{"left n": 0})), "n must be a whole number from 1 on, got 0"),
    (lambda o: o.tell(X[30:32], FRAME.assign(**{"left n": 1.5})), "n must be a whole number from 1 on"),
    (lambda o: o.tell(X[30:32], FRAME.assign(**{"left sd": 0.1}), sd={"left": 0.1}), "not both"),
    (lambda o: o.tell(X[30:32], FRAME, sd=[{"left": 0.1}]), "same length, got 1 sd and 2 y"),
    (lambda o: o.tell(X[30:32], FRAME, sd=np.ones((2, 3))), r"sd\[0\] must have 4 values, got 3"),
    (lambda o: o.tell(X[30:32], FRAME, sd=FRAME.rename(columns={"left": "l"})), "got 'l'"),
    (lambda o: o.tell("abc", {"left": 1.0}), "."),
    (lambda o: o.fit(X[:3], {"left": [1, 2, 3]}), "y must be a sequence with one value for each x"),
    (lambda o: o.fit(X[:3], [1.0, 2.0, 3.0]), r"y\[0\] must be a mapping"),
    (lambda o: o.fit(X[:3], None, sd=0.1), "sd must be None without y"),
    (lambda o: o.fit(X[:2], FRAME[["right"]]), "a column for each goal"),
    (lambda o: o.update(X[30], {"left": 1.0}), "x must be observed or failed, but it is unknown"),
    (lambda o: o.update(X[3], {"lefft": 1.0}), "got 'lefft'"),
    (lambda o: o.update(X[3], 3.0), "y must be a mapping"),
    (lambda o: o.update(X[3:5], FRAME), "update corrects one point, got 2 values"),
    (lambda o: o.update(X[3], {"left": 1.0}, sd={"left": 0.0}), "> 0, got 0.0"),
]


@pytest.fixture(scope="module")
def known():
    return fitted()


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_refused_changes_nothing(known, number):
    call, message = WRONG[number]
    before = state(known)
    with pytest.raises((DataError, DataTypeError, UnknownPointError), match=message):
        call(known)
    assert state(known) == before


OTHER = [
    ([Maximize("left", "µM"), Minimize("right")], "the unit of 'left' must be 'nM'.*got 'µM'"),
    (None, "outcomes must name 'left', 'right', 'odd', because values of these were told, got None"),
    ([Record("left")], "at least one goal"),
    ([Maximize("left", "nM"), AtLeast("odd", 3.0), AtMost("odd", 2.0)], "at least 3 and at most 2"),
]


@pytest.mark.parametrize("number", range(len(OTHER)))
@pytest.mark.parametrize(
    "call",
    [
        lambda o: o.tell(X[30], None), lambda o: o.update(X[3], None), lambda o: o.ask(),
        lambda o: o.retrain(), lambda o: o.weights_,
    ],
)  # fmt: skip
def test_outcomes_that_do_not_fit_what_was_told_are_refused(known, call, number):
    outcomes, message = OTHER[number]
    before = state(known)
    known.set_params(outcomes=outcomes)
    try:
        with pytest.raises(ParameterError, match=message):
            call(known)
    finally:
        known.set_params(outcomes=OUTCOMES)
    assert state(known) == before


def test_a_name_for_numbers_without_one_is_refused():
    opt = make_optimizer().fit(X[:8], X[:8].sum(axis=1))
    opt.set_params(outcomes=[Maximize("y")])
    with pytest.raises(ParameterError, match="outcomes must be None, because the values told so far have no"):
        opt.tell(X[9], {"y": 1.0})
    opt.set_params(outcomes=None)
    assert len(opt.X_) == 8


def test_a_direction_beside_outcomes_is_refused():
    opt = make_optimizer(outcomes=[Maximize("y")], direction="minimize")
    with pytest.raises(ParameterError, match="direction must be 'maximize', the default, with outcomes"):
        opt.fit(X[:3], [{"y": 1.0}] * 3)


def test_an_outcome_may_join_later():
    opt = make_optimizer(outcomes=OUTCOMES[:2]).fit(X[:9], [[1.0, 2.0]] * 9)
    opt.set_params(outcomes=[*OUTCOMES[:2], AtLeast("new", 1.0, unit="mg")])
    opt.tell(X[30], {"left": 1.0, "right": 2.0, "new": 3.0})
    assert opt.history_.units == {"left": "nM", "right": "", "new": "mg"}
    assert len(opt.pareto_X_) == 1


# ------------------------------------------------------------------ loops


def test_an_objective_returns_a_mapping():
    opt = fitted()
    result = maximize(lambda x: None if x[0] and x[1] else measure(x), opt, n_calls=6)
    assert result.func_vals.shape == (6, 4)
    for x, values in zip(result.x_iters, result.func_vals, strict=True):
        expected = [np.nan] * 4 if x[0] and x[1] else [*measure(x).values(), np.nan]
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(result.fun, opt.pareto_Y_)
    np.testing.assert_array_equal(result.x, opt.pareto_X_)
    stopped = maximize(measure, opt, n_calls=6, target=opt.hypervolume_)
    assert stopped.nfev == 1
    assert "is reached" in stopped.message


def test_an_objective_returns_a_bound():
    opt = make_optimizer().fit(X[:10], X[:10].sum(axis=1))
    result = maximize(lambda x: above(2.0), opt, n_calls=2)
    assert result.func_vals.tolist() == [2.0, 2.0]
    assert opt.history_.observations().bound[-2:].tolist() == [1, 1]


def test_outcomes_are_for_maximize():
    with pytest.raises(ParameterError, match=r"outcomes say what is to be minimized: call maximize\(\)"):
        minimize(measure, fitted(), n_calls=1)


def test_an_objective_without_names_is_refused():
    with pytest.raises(DataTypeError, match="the objective's value must be a mapping such as {'left': 1.5}"):
        maximize(lambda x: 1.0, fitted(), n_calls=1)
