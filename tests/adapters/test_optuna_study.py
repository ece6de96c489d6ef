"""Objects as trials of an Optuna study: asked and told through it, and resumed from its storage."""

import copy
import json
from wsgiref.util import setup_testing_defaults

import numpy as np
import pytest
from conftest import N_LETTERS, count, make_optimizer, words
from hypothesis import given
from hypothesis import strategies as st

from wrlso import DataError, DataTypeError, NoCandidateError, ParameterError, WeightedRetrainingOptimizer
from wrlso.adapters import OptunaTrials

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install 'wrlso[adapters]'")
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def fitted():
    X = words()
    return make_optimizer().fit(X, X.sum(axis=1))


@pytest.fixture
def opt(fitted):
    return copy.deepcopy(fitted)


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def make_study(storage=None):
    return optuna.create_study(storage=storage, study_name="words", direction="maximize", load_if_exists=True)


def told(opt):
    """The letters and values of all that was told after the start."""
    return [(count(record.x), record.values) for record in list(opt.history_)[40:]]


def test_the_search_is_the_optimizers_own(opt):
    """Points, values and states are those of the same loop without Optuna."""
    direct = copy.deepcopy(opt)
    for i in range(7):
        x = direct.ask()
        direct.tell(x, None if i == 3 else count(x))
    trials = OptunaTrials(make_study(), opt)
    for i in range(7):
        trial = trials.ask()
        assert trial.user_attrs["x"] == direct.history_.records[40 + i].x.tolist()
        trials.tell(trial, None if i == 3 else sum(trial.user_attrs["x"]))
    assert told(opt) == told(direct)
    assert [trial.state.name for trial in trials.study.trials].count("FAIL") == 1
    assert trials.study.best_value == max(direct.y_[40:])


def test_optimize_with_a_callback(opt):
    study = make_study()
    trials = OptunaTrials(study, opt)

    def objective(trial):
        x = trials.suggest(trial)
        assert trials.suggest(trial) is not x  # a second call gives the same object again
        assert np.array_equal(trials.suggest(trial), x)
        assert x.dtype == np.uint8
        if trial.number == 1:
            trial.set_user_attr("reason", "the flask broke")
            raise OSError
        if trial.number == 2:
            trial.report(3.0, step=0)
            raise optuna.TrialPruned
        return count(x)

    study.optimize(objective, n_trials=5, callbacks=[trials], catch=(OSError,))
    records = list(opt.history_)[40:]
    statuses = ["observed", "failed", "failed", "observed", "observed"]
    assert [record.status for record in records] == statuses
    assert [record.reason for record in records[1:3]] == ["the flask broke", "trial 2 has state pruned"]
    assert opt.pending_ == []


def test_a_trial_says_where_its_object_came_from(opt):
    trial = OptunaTrials(make_study(), opt).ask()
    record = opt.history_.records[40]
    assert trial.user_attrs["source"] == record.source != ""
    assert (trial.user_attrs["predicted"], trial.user_attrs["deviation"]) == record.prediction
    assert json.loads(json.dumps(trial.user_attrs)) == trial.user_attrs


def test_resumed_from_the_storage(opt, storage):
    """A new process has the same starting data, and the storage; it knows what the first one knew."""
    first, second = copy.deepcopy(opt), opt
    trials = OptunaTrials(make_study(storage), first)
    for i in range(4):
        trial = trials.ask()
        trials.tell(trial, None if i == 1 else sum(trial.user_attrs["x"]))
    trials.ask()  # killed meanwhile
    again = OptunaTrials(make_study(storage), second)
    assert told(second) == told(first)[:4]
    assert again.pull() == 0
    trial = again.ask()
    assert trial.number == 5
    again.tell(trial, 3.0)
    assert first.history_.n_observed + 1 == second.history_.n_observed


def test_a_campaign_and_the_storage_know_the_same(opt, storage, tmp_path):
    """A trial that ended while no process ran is told; what the campaign knows is not told again."""
    opt.autosave(tmp_path / "campaign")
    trials = OptunaTrials(make_study(storage), opt)
    known, late = trials.ask(), trials.ask()
    trials.tell(known, 5.0)
    study = make_study(storage)
    study.tell(late.number, 7.0)
    networks = {"encoder": opt.encoder, "decoder": opt.decoder}
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks)
    again = OptunaTrials(study, loaded)
    assert [values for _, values in told(loaded)] == [[5.0], [7.0]]
    assert again.pull() == 0


def test_the_results_of_others_count(opt, storage):
    """Two processes, each with an optimizer of its own, on one study."""
    mine, theirs = (OptunaTrials(make_study(storage), one) for one in (opt, copy.deepcopy(opt)))
    theirs.tell(theirs.ask(), 4.0)
    trial = mine.ask()
    assert [values for _, values in told(mine.opt)] == [[4.0], []]
    assert trial.user_attrs["x"] != mine.study.trials[0].user_attrs["x"]


def test_threads_tell_each_result_once(opt):
    study = make_study()
    trials = OptunaTrials(study, opt)
    study.optimize(lambda trial: count(trials.suggest(trial)), n_trials=6, n_jobs=3, callbacks=[trials])
    assert sorted(len(record.values) for record in list(opt.history_)[40:]) == [1] * 6


def test_an_object_of_a_colleague(opt):
    """Enqueued with its x, evaluated twice: two replicates of one point, here and after a restart."""
    study, other = make_study(), copy.deepcopy(opt)
    trials = OptunaTrials(study, opt)
    own = np.ones(N_LETTERS, dtype=int).tolist()
    for value in (11.0, 13.0):
        study.enqueue_trial({}, user_attrs={"x": own})
        trial = trials.ask()
        assert trial.user_attrs["x"] == own
        trials.tell(trial, value)
    assert (opt.best_y_, opt.history_.records[40].values) == (12.0, [11.0, 13.0])
    OptunaTrials(study, other)
    assert other.history_.records[40].values == [11.0, 13.0]


def test_an_enqueued_object_that_no_model_reads_fails_alone(opt):
    study = make_study()
    study.enqueue_trial({}, user_attrs={"x": [1, 2]})
    trials = OptunaTrials(study, opt)
    with pytest.raises(DataError):
        trials.ask()
    assert study.trials[0].state.name == "FAIL"
    trials.tell(trials.ask(), 4.0)
    assert [values for _, values in told(opt)] == [[4.0]]


def test_values_without_end_are_failures(opt):
    study = make_study()
    trials = OptunaTrials(study, opt)
    trial = trials.ask()
    study.tell(trial, float("inf"))
    assert trials.pull() == 1
    assert opt.history_.records[40].reason == "trial 0 is inf"


def test_nothing_new_fails_the_trial(opt):
    trials = OptunaTrials(make_study(), opt.set_params(feasible=lambda x: False))
    with pytest.raises(NoCandidateError):
        trials.ask()
    assert trials.study.trials[0].state.name == "FAIL"
    assert opt.pending_ == []


def test_a_bad_value_changes_nothing(opt):
    trials = OptunaTrials(make_study(), opt)
    trial = trials.ask()
    with pytest.raises(DataError, match="y must be finite"):
        trials.tell(trial, float("inf"))
    with pytest.raises(DataTypeError, match="y must be a real number"):
        trials.tell(trial, "7")
    assert trials.study.trials[0].state.name == "RUNNING"
    assert len(opt.pending_) == 1


def test_an_object_that_json_does_not_hold(opt):
    trials = OptunaTrials(make_study(), opt, write=lambda x: 0 * x, read=lambda x: np.array(x, np.uint8))
    with pytest.raises(DataTypeError, match="x must come back the same from JSON"):
        trials.ask()
    assert opt.pending_ == []


def test_the_other_direction_is_refused(opt):
    with pytest.raises(ParameterError, match="the study has direction='minimize', and opt"):
        OptunaTrials(optuna.create_study(), opt)
    with pytest.raises(ParameterError, match="study must have one value, got one with 2"):
        OptunaTrials(optuna.create_study(directions=["maximize", "maximize"]), opt)


texts = st.recursive(
    st.text() | st.integers() | st.floats(allow_nan=False), lambda part: st.tuples(part, part) | st.just(())
)


@given(texts)
def test_texts_and_tuples_come_back(x):
    from wrlso.adapters.optuna_study import _alike, _written

    assert _alike(json.loads(json.dumps(_written(x))), x) == x


def test_what_json_cannot_hold_is_refused():
    from wrlso.adapters.optuna_study import _written

    with pytest.raises(DataTypeError, match="got set: give write= and read="):
        _written([{1}])


def test_the_dashboard_shows_objects_and_values(opt, storage):
    pytest.importorskip("optuna_dashboard", reason="needs optuna-dashboard")
    from bottle import tob
    from optuna_dashboard import wsgi

    study = make_study(storage)
    trials = OptunaTrials(study, opt)
    for _ in range(2):
        trial = trials.ask()
        trials.tell(trial, sum(trial.user_attrs["x"]))
    page = {"PATH_INFO": f"/api/studies/{study._study_id}", "QUERY_STRING": "after=0"}
    setup_testing_defaults(page)
    status = []
    body = b"".join(map(tob, wsgi(study._storage)(page, lambda code, *_: status.append(code))))
    shown = json.loads(body)
    assert status == ["200 OK"]
    for trial, stored in zip(shown["trials"], study.trials, strict=True):
        attributes = {each["key"]: each["value"] for each in trial["user_attrs"]}
        assert attributes == {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in stored.user_attrs.items()
        }
        assert trial["values"] == stored.values == [sum(json.loads(attributes["x"]))]
    assert {each["key"] for each in shown["union_user_attrs"]} >= {"x", "source", "predicted"}
