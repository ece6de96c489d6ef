"""The study of expressions: configurations, runs, peers, tables."""

import json

import numpy as np
import pytest

from wrlso import FeatureGP, LatentSearch, LogExpectedImprovement, Mixture, RankWeighting, SparseGP
from wrlso.benchmarks.expressions.study import CONFIGURATIONS, ExpressionsStudy, expressions_study, run_peers
from wrlso.benchmarks.records import REACHED, read_records
from wrlso.benchmarks.study import SETTINGS, run_study
from wrlso.benchmarks.summaries import summarize, table
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.weighting import UniformWeighting

TINY = ExpressionsStudy(
    n_start=120,
    budget=8,
    r=4,
    batch=4,
    hidden=16,
    latent_dim=3,
    initial_epochs=1,
    n_candidates=200,
    n_best=40,
)


def test_every_setting_and_peer_makes_a_record_and_a_row(tmp_path):
    run_study(TINY, SETTINGS, [0], tmp_path, progress=False)
    run_peers(TINY, ["random", "genetic"], [0], tmp_path, progress=False)
    records = read_records(tmp_path)
    assert len(records) == 6
    assert len({record["starting_data"]["sha256"] for record in records}) == 1
    assert all(len(record["y"]) == 8 for record in records)
    rows = table(records)
    assert [row["setting"] for row in rows] == [*SETTINGS, "random", "genetic"]
    assert {row["optimum reached"] for row in rows} <= {"0 of 1", "1 of 1"}
    assert {path.name for path in summarize(tmp_path)} == {"topk.png", "table.md", "table.csv"}


def test_a_finished_run_is_not_run_again_and_another_study_is_refused(tmp_path):
    (path,) = run_study(TINY, ["both"], [0], tmp_path, progress=False)
    before = path.stat().st_mtime_ns
    run_study(TINY, ["both"], [0], tmp_path, progress=False)
    assert path.stat().st_mtime_ns == before
    (peer,) = run_peers(TINY, ["random"], [0], tmp_path, progress=False)
    before = peer.stat().st_mtime_ns
    run_peers(TINY, ["random"], [0], tmp_path, progress=False)
    assert peer.stat().st_mtime_ns == before
    other = expressions_study(**{**TINY.options(), "budget": 4})
    with pytest.raises(ParameterError, match="budget is 8 there and 4 here"):
        run_study(other, ["both"], [0], tmp_path, progress=False)
    with pytest.raises(ParameterError, match="budget is 8 there and 4 here"):
        run_peers(other, ["random"], [0], tmp_path, progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"search": "latent"},
        {"search": "latent-ascent", "identity": "text"},
        {"search": "behaviour"},
        {"search": "auto"},
    ],
)
def test_the_other_searches_run(tmp_path, options):
    study = expressions_study(**{**TINY.options(), **options, "budget": 4, "target": "paper"})
    (path,) = run_study(study, ["both"], [1], tmp_path, progress=False)
    record = json.loads(path.read_text())
    assert np.isfinite(record["y"]).all()
    assert record["options"]["search"] == options["search"]


def test_a_run_that_may_stop_ends_with_the_batch_that_is_good_enough(tmp_path, monkeypatch):
    monkeypatch.setitem(REACHED, "expressions", -7.0)  # the least score
    for stop, n in ((True, 4), (None, 8)):
        study = expressions_study(**{**TINY.options(), "stop": stop})
        (path,) = run_study(study, ["both"], [0], tmp_path / str(stop), progress=False)
        record = json.loads(path.read_text())
        assert len(record["y"]) == n
        assert record["stopped"] == ("target" if stop else "budget")


def test_settings_differ_in_weighting_and_retraining_only(tmp_path):
    optimizers = {setting: TINY.optimizer(setting, 0, tmp_path) for setting in SETTINGS}
    weighted = {s: isinstance(o.weighting, RankWeighting) for s, o in optimizers.items()}
    retrained = {s: o.retrain_every for s, o in optimizers.items()}
    assert weighted == {"neither": False, "weighting": True, "retraining": False, "both": True}
    assert retrained == {"neither": None, "weighting": None, "retraining": 4, "both": 4}
    unweighted = expressions_study(k=np.inf).optimizer("both", 0, tmp_path)
    assert isinstance(unweighted.weighting, UniformWeighting)


def test_configurations_are_what_they_say(tmp_path):
    released = CONFIGURATIONS["released"].optimizer("both", 0, tmp_path)
    assert isinstance(released.surrogate, SparseGP)
    assert isinstance(released.acquisition, LogExpectedImprovement)
    assert isinstance(released.acquisition.search, LatentSearch)
    ours = CONFIGURATIONS["default"].optimizer("both", 0, tmp_path)
    assert isinstance(ours.surrogate, FeatureGP)
    assert isinstance(ours.acquisition, Mixture)
    assert len(CONFIGURATIONS["successors"].initial_data(0)[0]) == 40_000


def test_what_cannot_be_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ParameterError, match="unknown options"):
        expressions_study(colour="red")
    with pytest.raises(ParameterError, match="config must be"):
        expressions_study("fast")
    with pytest.raises(ParameterError, match="search must be"):
        expressions_study(search="oracle")
    with pytest.raises(ParameterTypeError, match="budget must be"):
        expressions_study(budget="many")
    with pytest.raises(ParameterError, match="peers must be"):
        run_peers(TINY, ["annealing"], [0], tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
