"""The search algorithm of Ray Tune: by its own calls, and in experiments that are killed and restored."""

import copy
import warnings

import numpy as np
import pytest
from conftest import count, make_optimizer, words

from wrlso import ParameterError, ParameterTypeError, StorageError, WeightedRetrainingOptimizer
from wrlso.adapters import TuneSearch, ray_tune

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ray = pytest.importorskip("ray", reason="needs Ray Tune: pip install -c constraints.txt 'wrlso[ray]'")
    tune = pytest.importorskip("ray.tune")


@pytest.fixture(scope="module")
def fitted():
    X = words()
    return make_optimizer().fit(X, X.sum(axis=1))


@pytest.fixture
def opt(fitted):
    return copy.deepcopy(fitted)


def told(opt):
    return [(record.status, count(record.x), record.values) for record in list(opt.history_)[40:]]


def test_the_search_is_the_optimizers_own(opt):
    direct, search = copy.deepcopy(opt), TuneSearch(opt, "score")
    for i in range(7):
        x = direct.ask()
        direct.tell(x, None if i == 3 else count(x))
        config = search.suggest(f"t{i}")
        result = None if i == 3 else {"score": count(config["x"])}
        search.on_trial_complete(f"t{i}", result, error=i == 3)
    assert told(opt) == told(direct)
    assert [record.reason for record in opt.history_ if record.reason] == ["trial t3 gave no value"]


def test_what_a_trial_may_end_with(opt):
    search = TuneSearch(opt, "score", name="word")
    ends = [{"score": 4.0}, {"score": float("nan")}, {"score": float("inf")}, {"other": 1.0}, {"score": "7"}]
    for i, result in enumerate(ends):
        assert list(search.suggest(str(i))) == ["word"]
        search.on_trial_complete(str(i), result)
        search.on_trial_complete(str(i), {"score": 9.0})  # twice: the second counts for nothing
    search.suggest("stopped by hand")
    search.on_trial_complete("stopped by hand")
    search.on_trial_complete("of nobody", {"score": 1.0})
    statuses = [status for status, _, _ in told(opt)]
    assert statuses == ["observed", "failed", "failed", "failed", "failed", "released"]
    assert "y must be finite" in opt.history_.records[42].reason


def test_what_was_told_meanwhile_is_not_told_again(opt):
    search = TuneSearch(opt, "score")
    x = search.suggest("a")["x"]
    opt.tell(x, 4.0)
    search.on_trial_complete("a", {"score": 5.0})
    assert opt.history_.records[40].values == [4.0]


def test_points_from_elsewhere(opt):
    search = TuneSearch(opt, "score")
    search.add_evaluated_point({"x": np.ones(12, dtype=np.uint8)}, 12.0)
    search.add_evaluated_point({"x": np.tri(12, dtype=np.uint8)[10]}, None, error=True)
    assert (opt.best_y_, told(opt)[1][0]) == (12.0, "failed")


def test_nothing_new_waits_for_results_and_then_ends(opt):
    search = TuneSearch(opt, "score")
    config, searches = search.suggest("a"), []
    opt.set_params(feasible=lambda x: bool(searches.append(x)))
    assert search.suggest("b") is None
    n = len(searches)
    assert search.suggest("b") is None
    assert len(searches) == n > 0  # it does not search again until there is a result
    search.on_trial_complete("a", {"score": count(config["x"])})
    assert search.suggest("b") == "FINISHED"


def test_saved_and_restored_bit_for_bit(opt, tmp_path):
    search = TuneSearch(opt, "score")
    for i in range(3):
        config = search.suggest(str(i))
    search.on_trial_complete("1", {"score": 4.0})
    search.save(tmp_path / "state")
    other = TuneSearch(make_optimizer(), "score")
    other.restore(tmp_path / "state")
    for each in (search, other):
        each.on_trial_complete("2", {"score": count(config["x"])})
        for i in range(3, 7):  # past the next training
            each.on_trial_complete(str(i), {"score": count(each.suggest(str(i))["x"])})
    assert told(search.opt) == told(other.opt)
    assert all(np.array_equal(a, b) for a, b in zip(search.opt.X_, other.opt.X_, strict=True))
    assert [status for status, _, _ in told(other.opt)].count("pending") == 1


def test_a_campaign_is_kept_when_an_older_state_is_restored(opt, tmp_path):
    opt.autosave(tmp_path / "campaign")
    search = TuneSearch(opt, "score")
    config = search.suggest("a")
    search.save(tmp_path / "state")
    search.on_trial_complete("a", {"score": 4.0})
    networks = {"encoder": opt.encoder, "decoder": opt.decoder}
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks)
    again = TuneSearch(loaded, "score")
    again.restore(tmp_path / "state")
    again.on_trial_complete("a", {"score": 4.0})  # Tune knows the trial as running, and repeats it
    assert told(again.opt) == [("observed", count(config["x"]), [4.0])]
    assert again.opt is loaded


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_files_of_others(opt, tmp_path, content):
    if content is not None:
        (tmp_path / "state").write_bytes(content)
    search = TuneSearch(opt, "score")
    with pytest.raises(StorageError, match="is no file that TuneSearch has written"):
        search.restore(tmp_path / "state")
    assert search.opt is opt


def test_what_tune_says_must_agree(opt):
    search = TuneSearch(opt, "score")
    with pytest.raises(ParameterError, match="TuneConfig has mode='min', and opt has direction='maximize'"):
        search.set_search_properties("score", "min", {})
    with pytest.raises(ParameterError, match="metric must be 'score' as in TuneSearch, got 'loss'"):
        search.set_search_properties("loss", "max", {})
    assert search.set_search_properties("score", "max", {"width": 3}) is False
    assert (search.metric, search.mode) == ("score", "max")
    with pytest.raises(ParameterTypeError, match="metric must be a text, got None"):
        TuneSearch(opt, None)


def test_without_ray_the_class_says_what_is_missing(opt, monkeypatch):
    monkeypatch.setattr(ray_tune, "Searcher", object)
    with pytest.raises(ModuleNotFoundError, match="TuneSearch needs the package ray: pip install"):
        TuneSearch(opt, "score")


# ------------------------------------------------------------------ experiments


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def evaluation():
    """Return the objective as one that workers need no module for."""

    def evaluate(config):
        n_ones = int(config["x"].sum())
        if n_ones == 7:
            raise RuntimeError("the flask broke")
        tune.report({"score": float(n_ones * config.get("factor", 1))})

    return evaluate


class GoesDown(tune.Callback):
    """The machine goes down once, when some trials have ended."""

    def __init__(self, mark):
        self.mark = mark

    def on_step_end(self, iteration, trials, **info):
        ended = sum(trial.status == "TERMINATED" for trial in trials)
        if ended >= 3 and not self.mark.exists():
            self.mark.touch()
            raise RuntimeError("the machine goes down")


def make_tuner(opt, folder, *callbacks):
    search = tune.search.ConcurrencyLimiter(TuneSearch(opt, "score"), 2)
    return tune.Tuner(
        evaluation(),
        param_space={"factor": 2} if callbacks else {},
        tune_config=tune.TuneConfig(
            metric="score", mode="max", search_alg=search, num_samples=6, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name="words", storage_path=str(folder), verbose=0, callbacks=list(callbacks)
        ),
    )


@pytest.mark.filterwarnings("default")
def test_an_experiment(cluster, opt, tmp_path):
    results = make_tuner(opt, tmp_path).fit()
    scores = [result.metrics["score"] for result in results if result.error is None]
    assert len(results) == 6
    best = results.get_best_result()
    assert best.metrics["score"] == max(scores) == best.config["x"].sum()
    records = list(opt.history_)[40:]
    assert sorted(record.values[0] for record in records if record.values) == sorted(scores)
    assert sum(record.status == "failed" for record in records) == results.num_errors
    assert opt.pending_ == []


@pytest.mark.filterwarnings("default")
def test_an_experiment_that_is_killed_goes_on(cluster, opt, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0")
    restored, restore = [], TuneSearch.restore
    with pytest.raises(RuntimeError, match="the machine goes down"):
        make_tuner(opt, tmp_path, GoesDown(tmp_path / "mark")).fit()
    monkeypatch.setattr(TuneSearch, "restore", lambda *args: restored.append(args[0]) or restore(*args))
    results = tune.Tuner.restore(str(tmp_path / "words"), evaluation()).fit()
    (search,) = restored
    assert len(results) == 6
    records = list(search.opt.history_)[40:]
    assert len(records) == 6
    scores = [result.metrics["score"] for result in results if result.error is None]
    assert sorted(record.values for record in records if record.values) == [[s] for s in sorted(scores)]
