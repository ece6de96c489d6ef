"""Studies: settings, records, resuming, tables; score samples; the demonstration."""

import json
import math
import platform
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tqdm.auto import tqdm

from wrlso.benchmarks.records import (
    check_same_options,
    data_hash,
    is_recorded,
    jsonable,
    mean_and_error,
    read_record,
    read_records,
    topk_curve,
    write_record,
)
from wrlso.benchmarks.shapes.demo import run_demo
from wrlso.benchmarks.shapes.study import CONFIGURATIONS, ShapesStudy, sample_scores, shapes_study
from wrlso.benchmarks.study import SETTINGS, run_queries, run_study
from wrlso.benchmarks.summaries import released_curves, summarize, table
from wrlso.exceptions import DataError, NoCandidateError, ParameterError, WrlsoWarning
from wrlso.tasks import CopiedRankWeighting, OracleGrid, Shapes
from wrlso.weighting import RankWeighting, UniformWeighting

# Hardly trained, and searched far out: fast, and every point of the grid decodes to another image.
TINY = ShapesStudy(
    subset=30, budget=5, r=2, batch=2, initial_epochs=3, retrain_epochs=1, bounds=30.0, n_per_axis=12, k=0.1
)

# --------------------------------------------------------------------------------------------- records


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), max_size=20), st.integers(1, 5))
def test_topk_is_the_kth_best_so_far(y, K):
    curve = topk_curve(y, K)
    for i, value in enumerate(curve, start=1):
        so_far = sorted((v for v in y[:i] if v is not None), reverse=True)
        assert math.isnan(value) if len(so_far) < K else value == so_far[K - 1]


def test_mean_and_error_over_seeds_of_unequal_length():
    mean, error = mean_and_error([np.array([1.0, 2.0, 3.0]), np.array([3.0, 6.0])])
    np.testing.assert_allclose(mean, [2.0, 4.0, 4.5])  # the shorter one stays at its last value
    np.testing.assert_allclose(error, [1.0, 2.0, 1.5])
    assert np.isnan(mean_and_error([np.array([1.0])])[1]).all()


def test_records_are_compact_json_and_complete_or_absent(tmp_path):
    record = {
        "kind": "run",
        "k": math.inf,
        "y": np.arange(3.0),
        "options": {"a": [1, None]},
        "nan": [math.nan],
    }
    path = tmp_path / "new" / "run.json"
    write_record(path, record)
    assert '"y": [0,1,2]' in path.read_text().splitlines()[3]
    assert json.loads(path.read_text()) == jsonable(record)
    assert jsonable(record)["k"] == "inf"
    assert jsonable(record)["nan"] == [None]
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_record(tmp_path / "bad.json", {"kind": object()})
    assert not (tmp_path / "bad.json").exists()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_a_record(value):
    assert json.loads(json.dumps(jsonable(value))) == value


def test_records_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        read_records(tmp_path / "none")
    with pytest.raises(DataError, match="holds no benchmark records"):
        read_records(tmp_path)
    write_record(tmp_path / "whole.json", {"kind": "run"})
    for text, why in (
        ('{"kind": "run", "y": [1,', "is not a benchmark record: "),
        ("[1]", "it has no 'kind'"),
    ):
        (tmp_path / "half.json").write_text(text)
        with pytest.raises(DataError, match=rf"half\.json .*{why}"):
            read_record(tmp_path / "half.json")
        with pytest.warns(WrlsoWarning, match=rf"half\.json .*{why}.*; it is left out"):
            assert read_records(tmp_path) == [{"kind": "run"}]


def test_a_run_whose_record_was_cut_off_is_done_again(tmp_path):
    path = tmp_path / "run.json"
    write_record(path, {"kind": "run", "options": {"k": 1}})
    assert is_recorded(path)
    assert is_recorded(path, {"k": 1})
    with pytest.raises(ParameterError, match="k is 1 there and 2 here"):
        is_recorded(path, {"k": 2})
    path.write_text(path.read_text()[:-20])
    with pytest.warns(
        WrlsoWarning, match=r"run\.json is not a .*; it is now run\.json\.damaged, and the run is"
    ):
        assert not is_recorded(path, {"k": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["run.json.damaged"]
    assert not is_recorded(path, {"k": 1})


def test_data_hash_sees_images_and_values():
    X, y = Shapes().initial_data()
    other_X, other_y = X.copy(), y.copy()
    other_X[3, 4, 5] ^= 1
    other_y[7] += 1e-9
    assert len({data_hash(X, y), data_hash(other_X, y), data_hash(X, other_y)}) == 3
    assert data_hash(X, y) == data_hash(X.copy(), y.copy())


def test_options_are_compared_with_the_record(tmp_path):
    record = {"options": jsonable(TINY.options())}
    check_same_options(tmp_path, record, TINY.options())
    with pytest.raises(ParameterError, match=r"other options \(k is 0\.1 there and 0\.2 here\)"):
        check_same_options(tmp_path, record, shapes_study(k=0.2).options() | TINY.options() | {"k": 0.2})


# -------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("setting", "weighting", "retrain_every"),
    [("neither", UniformWeighting, None), ("weighting", RankWeighting, None),
     ("retraining", UniformWeighting, 2), ("both", RankWeighting, 2)],
)  # fmt: skip
def test_the_four_settings(tmp_path, setting, weighting, retrain_every):
    opt = TINY.optimizer(setting, 0, tmp_path)
    assert type(opt.weighting) is weighting
    assert getattr(opt.weighting, "k", 0.1) == 0.1
    assert opt.retrain_every == retrain_every
    assert isinstance(opt.acquisition, OracleGrid)
    assert opt.trainer.initial_epochs == 3  # without pretraining every setting trains


def test_gp_search_does_not_look_at_the_objective(tmp_path):
    opt = shapes_study(search="gp").optimizer("both", 0, tmp_path)
    assert opt.acquisition.uses_surrogate


def test_released_configuration_is_the_released_protocol(tmp_path):
    study = shapes_study("released", pretrain_epochs=0.02)
    study.prepare(0, tmp_path)
    X, _ = study.initial_data(0)
    assert CONFIGURATIONS["released"].pretrain_epochs * len(X) == 20 * 10_900
    assert (study.k, study.r, study.latent_dim, study.beta, study.batch) == (1e-3, 50, 2, 10.0, 50)
    grid = study.grid()
    assert (grid.bounds, grid.n_per_axis, grid.radius) == (3.0, 50, None)
    both, neither = (study.optimizer(setting, 0, tmp_path) for setting in ("both", "neither"))
    assert both.weighting.get_params() == {"k": 1e-3, "n_start": 1090, "copies": 10}
    assert isinstance(neither.weighting, CopiedRankWeighting)
    assert neither.weighting.k == math.inf
    assert neither.trainer.initial_epochs * len(X) == 10_900  # trained on like the others, unweighted
    assert both.trainer.initial_epochs * len(X) == 10_900
    assert both.trainer.beta_schedule is None
    pretrained = load_file(next(tmp_path.glob("*.safetensors")))
    for opt in (both, neither):
        assert all(torch.equal(opt.model.state_dict()[name], weights) for name, weights in pretrained.items())
    other_seed = study.optimizer("both", 3, tmp_path).model.state_dict()
    assert all(torch.equal(other_seed[name], weights) for name, weights in pretrained.items())
    untrained = study.task.model(0).state_dict()
    assert any(not torch.equal(untrained[name], weights) for name, weights in pretrained.items())


def test_pretraining_is_done_once(tmp_path):
    study = shapes_study("default", subset=20, pretrain_epochs=1)
    study.prepare(0, tmp_path)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    study.prepare(0, tmp_path)
    assert path.stat().st_mtime_ns == before


def test_preprint_configuration():
    study = shapes_study("preprint")
    assert (study.data, study.k, study.r, study.latent_dim, study.network) == (
        "dsprites", 1e-5, 50, 5, "preprint",
    )  # fmt: skip
    grid = study.grid()
    assert (grid.bounds, grid.n_per_axis, grid.radius) == (5.0, 21, 5.0)  # spacing 0.5 in the ball


def test_batch_follows_the_search():
    assert shapes_study(r=7).batch == 7
    assert shapes_study(r=7, search="gp").batch == 1
    assert shapes_study(r=7, search="gp", batch=3).batch == 3


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [("ours", {}, "config must be one of"), ("default", {"colour": 1}, r"unknown options \['colour'\]"),
     ("default", {"k": 0.0}, "k must be"), ("default", {"r": 0}, "r must be"),
     ("default", {"search": "random"}, "search must be one of")],
)  # fmt: skip
def test_impossible_studies(config, options, message):
    with pytest.raises(ParameterError, match=message):
        shapes_study(config, **options)


# ------------------------------------------------------------------------------------------------ runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return out, run_study(TINY, SETTINGS, [0, 1], out, progress=False)


def test_every_run_leaves_a_full_record(runs):
    out, paths = runs
    assert len(paths) == len(list(out.glob("*.json"))) == 8
    for record in read_records(out):
        assert record["task"] == "shapes"
        assert len(record["y"]) == 5
        assert record["options"] == jsonable(TINY.options())
        assert record["stopped"] == "budget"
        assert {"total", "train", "retrain", "fit", "acquire", "decode", "objective"} <= set(
            record["seconds"]
        )
        assert record["seconds"]["total"] >= record["seconds"]["train"] > 0
        assert {"wrlso", "torch", "numpy", "python"} <= set(record["versions"])
        assert set(record["machine"]) == {"cpu", "cores"}
        retrains = record["setting"] in ("retraining", "both")
        assert record["retrained_at"] == ([2, 4] if retrains else [])
        # the oracle hands out each batch best first
        assert record["y"][0] >= record["y"][1]


def test_records_do_not_identify_the_machine(runs):
    for path in runs[1]:
        text = path.read_text()
        assert platform.node() not in text
        assert not re.search(r'"/|[A-Z]:\\\\', text)


def test_settings_of_a_seed_share_their_data(runs):
    hashes = {(record["seed"], record["starting_data"]["sha256"]) for record in read_records(runs[0])}
    assert len(hashes) == 2
    assert dict(hashes)[0] == data_hash(*TINY.initial_data(0))


def test_finished_runs_are_not_run_again(runs, monkeypatch):
    out, paths = runs
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr(ShapesStudy, "optimizer", None)
    assert run_study(TINY, SETTINGS, [0, 1], out, progress=False) == paths
    assert [path.read_bytes() for path in paths] == before


def test_another_study_does_not_mix_with_the_records(runs):
    other = shapes_study(**TINY.options() | {"k": 0.3})
    with pytest.raises(ParameterError, match=r"k is 0\.1 there and 0\.3 here"):
        run_study(other, ["both"], [0, 5], runs[0], progress=False)
    assert not list(runs[0].glob("*seed5*"))


def test_processes_do_not_change_results(runs, tmp_path):
    paths = run_study(TINY, ["both"], [0, 1], tmp_path, n_jobs=2, progress=False)
    for path in paths:
        assert json.loads(path.read_text())["y"] == json.loads((runs[0] / path.name).read_text())["y"]


def test_threads_of_a_run_are_recorded_and_end_with_it(tmp_path):
    before = torch.get_num_threads()
    (path,) = run_study(replace(TINY, budget=2), ["both"], [0], tmp_path, threads=before + 1, progress=False)
    assert json.loads(path.read_text())["threads"] == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ParameterError, match="threads must be"):
        run_study(TINY, ["both"], [0], tmp_path, threads=0)


def test_unknown_setting(tmp_path):
    with pytest.raises(ParameterError, match="settings must be one of 'neither'"):
        run_study(TINY, ["both", "none"], [0], tmp_path)
    assert not list(tmp_path.iterdir())


class Scarce:
    """An optimizer that has only so many new points left."""

    def __init__(self, n):
        self.left = n
        self.asked = []
        training = {"n_observed": 10, "seconds": 1.0}
        self.history_ = SimpleNamespace(n_start=10, trainings=[training], asks=[])

    def ask(self, n):
        self.asked.append(n)
        if n > self.left:
            raise NoCandidateError("nothing left")
        self.left -= n
        return list(range(n))

    def tell(self, X, y):
        pass


def test_a_run_ends_when_nothing_new_is_left():
    study = SimpleNamespace(budget=100, batch=8, objective=float)
    run = run_queries(study, Scarce(11), tqdm(disable=True))
    assert len(run.values) == 11
    assert run.stopped == "no candidate: nothing left"


def test_a_run_ends_at_the_target():
    study = SimpleNamespace(budget=100, batch=8, objective=float)
    assert len(run_queries(study, Scarce(50), tqdm(disable=True), target=7.0).values) == 8


# ------------------------------------------------------------------------------------ tables and plots


def test_summary_is_drawn_from_records_alone(runs, tmp_path):
    for path in runs[1]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    written = summarize(tmp_path)
    assert [path.name for path in written] == ["topk.png", "table.md", "table.csv"]
    assert all(path.stat().st_size > 100 for path in written)
    rows = table(read_records(tmp_path))
    assert [row["setting"] for row in rows] == list(SETTINGS)
    best = [max(r["y"]) for r in read_records(tmp_path) if r["setting"] == "both"]
    assert rows[-1]["Top1"].startswith(f"{np.mean(best):.4g} ±")
    assert rows[-1]["optimum reached"] == "0 of 2"
    assert (tmp_path / "table.md").read_text().count("\n") == 2 + len(rows)


def test_queries_needed_for_the_optimum():
    def record(seed, y):
        return {"kind": "run", "task": "shapes", "setting": "both", "seed": seed, "y": y,
                "options": {"search": "gp"}, "seconds": {"total": 60.0}}  # fmt: skip

    (row,) = table([record(1, [5, 6]), record(0, [5, 4096, 4096])])
    assert row["optimum reached"] == "1 of 2"
    assert row["queries needed"] == "2, –"
    assert row["Top1 range"] == "6 to 4096"


@pytest.fixture
def released(tmp_path):
    def runs(*last):
        return {
            "runs": [
                {"seed": i, "top1": [1.0, v], "top10": [1.0, v], "top50": [None, v]}
                for i, v in enumerate(last)
            ]
        }

    content = {
        "queries": [50, 100],
        "tasks": {"shapes": {"weight+retrain": runs(2.0, 4.0), "neither": runs(1.0)}},
    }
    path = tmp_path / "released.json"
    path.write_text(json.dumps(content))
    return path


def test_published_curves(runs, released):
    curves = released_curves(released, "shapes", 1)
    assert set(curves) == {"neither", "both"}
    queries, mean, error = curves["both"]
    assert queries == [50, 100]
    np.testing.assert_allclose(mean, [1.0, 3.0])
    np.testing.assert_allclose(error, [0.0, 1.0])
    assert released_curves(released, "shapes", 50) == {}  # only complete seeds count
    assert summarize(runs[0], released=released)[0].name == "topk.png"


@pytest.mark.parametrize("content", ["{", "{}", '{"tasks": {"shapes": {}}}', "[]"])
def test_a_file_that_holds_no_published_curves(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(DataError, match="is not a file of published curves for shapes"):
        released_curves(path, "shapes", 1)


def test_runs_of_several_tasks_stand_side_by_side(tmp_path):
    def write(task, setting, seed, y, best=9.9, **options):
        write_record(
            tmp_path / f"{task}-{setting}-{seed}.json",
            {
                "kind": "run", "task": task, "options": options, "setting": setting, "seed": seed, "y": y,
                "starting_data": {"best": best}, "seconds": {"total": 60.0},
            },
        )  # fmt: skip

    write("shapes", "both", 0, [1.0, 4096.0])
    write("expressions", "both", 0, [-3.0, -1.0])
    write("expressions", "both", 1, [-2.0, -2.0], best=10.2)
    write("expressions", "genetic", 0, [-4.0, -5.0])
    written = {path.name for path in summarize(tmp_path)}
    assert written == {"topk.png", "overview.md", "overview.csv", "table.md", "table.csv"}
    assert (tmp_path / "overview.csv").read_text().splitlines() == [
        "task,starting data,both,genetic",
        "expressions,9.9 to 10.2,-1.5 ± 0.5,-4",
        "shapes,9.9,4096,–",
    ]
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0].startswith("task,setting,seeds,Top1")
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["expressions", "both"], ["expressions", "genetic"], ["shapes", "both"],
    ]  # fmt: skip
    # an option that differs somewhere is named everywhere
    write("shapes", "both", 1, [2.0, 3.0], k=0.1)
    summarize(tmp_path)
    header = (tmp_path / "overview.csv").read_text().splitlines()[0]
    assert header == 'task,starting data,both,genetic,"both, k = 0.1"'


# ---------------------------------------------------------------------------------------- score samples


def test_score_samples(tmp_path):
    paths = sample_scores(TINY, [0.1, math.inf], [0], tmp_path, n_samples=60, progress=False)
    assert [path.name for path in paths] == ["scores-shapes-k0.1-seed0.json", "scores-shapes-kinf-seed0.json"]
    before = [path.read_bytes() for path in paths]
    for record in read_records(tmp_path):
        assert sum(record["prior"]["count"]) == 60
        assert sum(record["enumeration"]["count"]) == 12 * 12
        assert sum(record["data"]["count"]) == 30
        assert record["data"]["value"] == sorted(set(TINY.initial_data(0)[1]))
    assert sample_scores(TINY, [0.1, math.inf], [0], tmp_path, n_samples=60, progress=False) == paths
    assert [path.read_bytes() for path in paths] == before
    assert [path.name for path in summarize(tmp_path)] == ["scores-prior.png", "scores-enumeration.png"]


# ------------------------------------------------------------------------------------------------ demo


def test_demo_improves_and_draws(tmp_path, monkeypatch):
    small = replace(TINY, r=5, batch=5)
    monkeypatch.setitem(CONFIGURATIONS, "default", small)
    result = run_demo(tmp_path / "new" / "demo.png", budget=6, progress=False)
    assert result.picture.stat().st_size > 10_000
    assert result.queries == 6
    assert result.retrainings == 1
    assert result.best > result.start == 400.0
    assert re.search(r"from 400 pixels .* to \d+ \(\d+% of the optimum 4096\) in 6 queries", str(result))


def test_options_that_came_later_leave_earlier_records_valid(tmp_path):
    earlier = shapes_study(search="gp")
    assert not {"transform", "thompson"} & set(earlier.options())
    assert earlier.variant == "gp"
    later = shapes_study(search="gp", transform="winsorize", thompson=2)
    assert later.options() == earlier.options() | {"transform": "winsorize", "thompson": 2}
    assert later.variant == "gp-transform-winsorize-thompson-2"
    optimizer = later.optimizer("both", 0, tmp_path)
    assert optimizer.surrogate.transform == "winsorize"
    assert optimizer.acquisition.turns == [3, 2]
    with pytest.raises(ParameterError, match="thompson must be"):
        shapes_study(thompson=-1)
