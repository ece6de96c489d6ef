"""The study of molecules: starting data, settings, peers, what records and tables say."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from wrlso import RankWeighting, SparseGP, TanimotoGP
from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules import start as molecules_start
from wrlso.benchmarks.molecules.first_training import first_model, sample_scores
from wrlso.benchmarks.molecules.start import KnownMolecules, Shape, prepared_model, shapes
from wrlso.benchmarks.molecules.study import (
    CONFIGURATIONS,
    OBJECTIVES,
    PEERS,
    MoleculesStudy,
    molecules_study,
    run_peers,
)
from wrlso.benchmarks.molecules.tables import minutes_by_stage, top_three
from wrlso.benchmarks.records import read_records
from wrlso.benchmarks.study import SETTINGS, run_study
from wrlso.benchmarks.summaries import summarize, table
from wrlso.exceptions import ParameterError
from wrlso.models import JunctionTreeVAE, SelfiesVAE, clique_vocabulary
from wrlso.models.tokens.base import read_header
from wrlso.tasks import PenalizedLogP
from wrlso.weighting import UniformWeighting

LEFT = ["C", "CC", "CCC", "CC(C)", "CO", "N", "F", "Cl", "COC", "CS", "C1CC1", "CN(C)"]
MIDDLE = ["C", "CO", "c1ccc(cc1)", "C(=O)N", "CC=C", "N1CCC(CC1)"]
RIGHT = ["C", "O", "CC#N", "C(=O)O"]
MOLECULES = sorted({canonical(a + b + c) for a in LEFT for b in MIDDLE for c in RIGHT})

TINY = MoleculesStudy(
    max_heavy_atoms=12,
    budget=8,
    r=4,
    batch=4,
    first_steps=1,
    later_steps=1,
    batch_size=8,
    n_candidates=40,
    n_best=40,
    n_random=40,
    refit_every=8,
)


@pytest.fixture(autouse=True)
def own_molecules(tmp_path, monkeypatch):
    """Start from a few hundred molecules that are made here, and keep nothing."""
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        molecules_start,
        "make_task",
        lambda goal, data, n_start=None: PenalizedLogP(data=MOLECULES, n_start=n_start),
    )
    molecules_start._start.cache_clear()
    yield
    molecules_start._start.cache_clear()


def test_every_setting_and_peer_makes_a_record_and_a_row(tmp_path):
    peers = [peer for peer in PEERS if peer in ("random", "subset") or has_mol_ga()]
    study = replace(TINY, n_start=150, max_heavy_atoms=20)
    run_study(study, SETTINGS, [0], tmp_path / "runs", progress=False)
    run_peers(study, peers, [0], tmp_path / "runs", progress=False)
    records = read_records(tmp_path / "runs")
    assert len(records) == len(SETTINGS) + len(peers)
    assert len({record["starting_data"]["sha256"] for record in records}) == 1
    start = set(study.initial_data(0)[0])
    for record in records:
        assert len(record["y"]) == 8
        assert len({canonical(x) for x in record["x"]} - start) == 8
        assert max(record["heavy_atoms"]) <= 20
        assert all(Shape(20, 8)(x) for x in record["x"])
        np.testing.assert_allclose(record["y"], [PenalizedLogP().objective(x) for x in record["x"]])
        n = record["best"]["heavy_atoms"]
        assert record["best"]["y"] == max(record["y"])
        assert record["best"]["alkane"] == pytest.approx(PenalizedLogP().objective("C" * n))
    rows = table(records)
    assert [row["setting"] for row in rows] == [*SETTINGS, *peers]
    assert all(row["cap"] == "20 heavy atoms" and "alkane" in " ".join(row) for row in rows)
    written = summarize(tmp_path / "runs")
    tables = [f"{name}.{ending}" for name in ("table", "top3", "minutes") for ending in ("md", "csv")]
    assert sorted(path.name for path in written) == sorted(["topk.png", "best.png", *tables])


def has_mol_ga():
    try:
        import mol_ga  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def test_a_record_says_how_the_search_went(tmp_path):
    (path,) = run_study(TINY, ["both"], [3], tmp_path / "runs", progress=False)
    record = json.loads(path.read_text())
    assert len(record["asks"]["n_decoded"]) == 2
    for decoded, new in zip(record["asks"]["n_decoded"], record["asks"]["new"], strict=True):
        assert 4 <= new <= decoded
    shares = record["diagnosis"]
    parts = ["known", "repeated", "infeasible", "new"]
    assert shares["valid"] == pytest.approx(sum(shares[part] for part in parts), abs=1e-3)
    assert len(record["predicted"]) == 8
    assert all(isinstance(value, float) for value in record["predicted"])
    assert len(shares["reconstruction"]) == 2
    assert record["retrained_at"] == [4]


def test_a_finished_run_is_not_run_again_and_another_study_is_refused(tmp_path):
    out = tmp_path / "runs"
    paths = run_study(TINY, ["neither"], [0], out, progress=False) + run_peers(TINY, ["random"], [0], out)
    before = [path.stat().st_mtime_ns for path in paths]
    run_study(TINY, ["neither"], [0], out, progress=False)
    run_peers(TINY, ["random"], [0], out, progress=False)
    assert [path.stat().st_mtime_ns for path in paths] == before
    other = replace(TINY, budget=4)
    with pytest.raises(ParameterError, match="budget is 8 there and 4 here"):
        run_study(other, ["neither"], [0], out, progress=False)
    with pytest.raises(ParameterError, match="budget is 8 there and 4 here"):
        run_peers(other, ["random"], [0], out, progress=False)


def test_settings_differ_in_training_only(tmp_path):
    optimizers = {setting: TINY.optimizer(setting, 0, tmp_path) for setting in SETTINGS}
    weighted = {s: isinstance(o.weighting, RankWeighting) for s, o in optimizers.items()}
    retrained = {s: o.retrain_every for s, o in optimizers.items()}
    first = {s: o.trainer.initial_epochs > 0 for s, o in optimizers.items()}
    assert weighted == {"neither": False, "weighting": True, "retraining": False, "both": True}
    assert retrained == {"neither": None, "weighting": None, "retraining": 4, "both": 4}
    assert first == weighted
    assert len({repr(o.acquisition) for o in optimizers.values()}) == 1
    assert isinstance(molecules_study(k=np.inf).optimizer("both", 0, tmp_path).weighting, UniformWeighting)
    assert isinstance(replace(TINY, surrogate="latent").process(), SparseGP)
    assert isinstance(TINY.process(), TanimotoGP)


def test_training_is_as_long_as_the_number_of_steps_says(tmp_path):
    for n_start in (40, 200):
        study = replace(TINY, n_start=n_start, first_steps=5, later_steps=3, max_heavy_atoms=None)
        optimizer = study.optimizer("both", 0, tmp_path)
        weights = np.ones(len(study.initial_data(0)[0]))
        for epochs, steps in ((optimizer.trainer.initial_epochs, 5), (optimizer.trainer.retrain_epochs, 3)):
            whole, part = divmod(epochs, 1)
            lengths = [1.0] * int(whole) + ([part] if part > 1e-9 else [])
            rng = np.random.default_rng(0)
            batches = [part for n in lengths for part in optimizer.trainer.batches(weights, n, rng)]
            seen = sum(len(rows) for rows, _ in batches)
            assert seen == pytest.approx(8 * steps, abs=1)


def test_the_search_on_z_runs(tmp_path):
    study = replace(TINY, surrogate="latent", budget=4)
    (path,) = run_study(study, ["both"], [1], tmp_path / "runs", progress=False)
    assert np.isfinite(json.loads(path.read_text())["y"]).all()


def test_a_prepared_model_is_the_model_that_ships():
    X = [x for x in MOLECULES if len(x) < 12][:20]
    plain = SelfiesVAE.pretrained()
    tokens = [bytes(row.numpy().tolist()).rstrip(b"\0") for row in plain.tensorize(X)]
    model = prepared_model(KnownMolecules(X, tokens), 100, stereo=True)
    new = "CCOCCOCCO"
    for batch in (X, [new], [X[0], new]):
        assert torch.equal(model.tensorize(batch), plain.tensorize(batch))
    assert [model.key(x) for x in [*X, "OCC"]] == [plain.key(x) for x in [*X, "OCC"]]
    assert copy.deepcopy(model).known is model.known
    Z = model.encode(model.tensorize(X))
    assert torch.equal(Z, plain.encode(plain.tensorize(X)))
    assert model.decode(Z) == plain.decode(Z)


def test_a_study_takes_a_model_of_either_kind_from_a_file(tmp_path):
    torch.manual_seed(0)
    trees = JunctionTreeVAE(clique_vocabulary(MOLECULES), hidden=8).eval()
    for model in (trees, SelfiesVAE.pretrained(stereo=False)):
        file = tmp_path / f"{type(model).__name__}.safetensors"
        model.to_file(file, half=False)
        study = replace(TINY, model=str(file), budget=4)
        start = study.start(0)
        prepared = study.prepared(start)
        assert isinstance(prepared, type(model))
        X = list(start.X[:5])
        plain = model.tensorize(X)
        rows = prepared.tensorize(X)
        assert rows[:, : plain.shape[1]].equal(plain)
        assert not rows[:, plain.shape[1] :].any()
        assert rows.dtype == plain.dtype
        assert prepared.encode(prepared.tensorize(X)).equal(model.encode(plain))
        (path,) = run_study(study, ["both"], [0], tmp_path / "runs", progress=False)
        record = json.loads(path.read_text())
        assert record["options"]["model"].startswith(file.stem + "-")
        assert record["options"]["model"] in path.name
        assert np.isfinite(record["y"]).all()
    before = study.variant
    JunctionTreeVAE(clique_vocabulary(MOLECULES[:60]), hidden=8).to_file(file)
    assert study.variant != before  # another model of the same name
    short = replace(TINY, model=str(file)).start(0)  # what was kept of the other one is not used
    assert 0 < len(short.X) < len(start.X)
    rows = replace(TINY, model=str(file)).prepared(short).tensorize(list(short.X))
    assert rows.shape[1] == 1200  # long enough for chains of 100 atoms
    with pytest.raises(ParameterError, match="stereo must be False"):
        replace(TINY, model=str(tmp_path / "JunctionTreeVAE.safetensors"), stereo=True).start(0)


def test_runs_share_the_first_training_of_a_k(tmp_path):
    study = replace(TINY, n_start=60, max_heavy_atoms=None, shared_first=True, first_steps=20, budget=4)
    runs = tmp_path / "runs"
    paths = run_study(study, ["weighting", "both"], [0], runs, progress=False)
    (file,) = runs.glob("*.safetensors")
    about = read_header(file)["about"]
    assert about["training"]["seconds"] > 0
    found = first_model(study, 0, runs)
    assert found == file
    start = study.start(0)
    trained, plain = study.prepared(start, file), study.prepared(start)
    inputs = plain.tensorize(start.X)
    # weighted by rank, it knows the best better than the model that ships, next to the others
    gain = [
        (trained.log_likelihood(inputs[rows], trained.encode(inputs[rows])).mean()
         - plain.log_likelihood(inputs[rows], plain.encode(inputs[rows])).mean()).item()
        for rows in (np.argsort(-start.y)[:3], np.argsort(-start.y)[20:])
    ]  # fmt: skip
    assert gain[0] > gain[1]
    apart = run_study(replace(study, shared_first=False), ["both"], [0], tmp_path / "apart", progress=False)
    records = [json.loads(path.read_text()) for path in (*paths, *apart)]
    assert [record["options"].get("shared_first") for record in records] == [True, True, None]
    assert len({record["starting_data"]["sha256"] for record in records}) == 1
    with pytest.raises(ParameterError, match="was trained with .*'first_steps': 20.*: use another folder"):
        first_model(replace(study, first_steps=21), 0, runs)


def test_what_models_of_several_k_draw_is_recorded_and_drawn(tmp_path):
    study = replace(TINY, n_start=60, max_heavy_atoms=None, first_steps=2)
    paths = sample_scores(study, [0.1, math.inf], [0], tmp_path, n_samples=30, progress=False)
    records = [json.loads(path.read_text()) for path in paths]
    assert [record["k"] for record in records] == [0.1, "inf"]
    for record in records:
        assert sum(record["prior"]["count"]) + record["invalid"] == 30 >= record["distinct"] >= record["new"]
        assert sum(record["data"]["count"]) == 60
        assert record["data"]["value"] == sorted(np.unique(np.round(study.initial_data(0)[1], 2)))
    assert [record["training"] is None for record in records] == [False, True]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    before = [path.stat().st_mtime_ns for path in paths]
    assert sample_scores(study, [0.1, math.inf], [0], tmp_path, n_samples=30, progress=False) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert [path.name for path in summarize(tmp_path)] == ["scores-prior.png"]


def test_tables_of_the_paper_are_made_from_records():
    def run(y, x=("C", "CC", "CCC", "CCCC"), cap=None, **seconds):
        return {
            "task": "penalized-logp", "y": y, "x": list(x), "heavy_atoms": [len(one) for one in x],
            "options": {"max_heavy_atoms": cap, "budget": 4}, "seconds": {"total": 120.0} | seconds,
        }  # fmt: skip

    groups = {"both": [run([1.0, 9.0, 2.0, 3.0], fit=30.0), run([4.0, None, 5.0, 1.0])]}
    rows = top_three(groups)
    assert [row["1st"] for row in rows[:3]] == ["5.30", "7.98", "11.84"]  # published
    worst, best = rows[-2:]
    assert worst == {
        "method": "both, worst of 2",
        "1st": "5.00",
        "2nd": "4.00",
        "3rd": "1.00",
        "queries": "4",
    }
    assert best["method"] == "both, best of 2"
    assert (best["1st"], best["2nd"], best["3rd"]) == ("9.00", "3.00", "2.00")
    assert [row["method"] for row in top_three({"both": [run([1.0] * 4, cap=38)]})] == ["both"]
    (row,) = minutes_by_stage(groups)
    assert (row["total"], row["fit"], row["retrain"]) == ("2.0", "0.2", "0.0")


def test_shapes_of_molecules_are_counted():
    X = ["CCO", "C1CCCCC1", "C1CCCCCCCCC1C", "[H]O[H]", "c1ccc2ccccc2c1"]
    heavy_atoms, rings = shapes(X)
    assert heavy_atoms.tolist() == [3, 6, 11, 1, 10]
    assert rings.tolist() == [0, 6, 10, 0, 6]
    assert [Shape(10, 8)(x) for x in X] == [True, True, False, True, True]
    assert [Shape(None, None)(x) for x in [*X, "C1CC", 3, None]] == [True] * 5 + [False] * 3


def test_molecules_that_do_not_fit_are_not_in_the_starting_data():
    small = replace(TINY, max_heavy_atoms=7)
    X, y = small.initial_data(0)
    assert set(X) == {x for x in MOLECULES if Shape(7, None)(x)}
    assert len(y) == len(X) < len(MOLECULES)
    short = replace(TINY, max_heavy_atoms=None, max_tokens=5)
    model = SelfiesVAE.pretrained(max_tokens=5)
    for x in short.initial_data(0)[0]:
        model.tensorize([x])
    assert short.start(0).n_left_out == len(MOLECULES) - len(short.initial_data(0)[0]) > 0


def test_without_stereochemistry_mirror_images_are_one_molecule(monkeypatch):
    X, y = ["C[C@H](N)O", "C[C@@H](N)O", "CCO", "CC(N)O"], np.array([1.0, 1.0, 2.0, 1.0])

    class Task:
        def initial_data(self, seed):
            return X, y

    monkeypatch.setattr(molecules_start, "make_task", lambda *arguments: Task())
    molecules_start._start.cache_clear()
    found = [molecules_start.start("qed", "zinc250k", None, None, 100, stereo, 0) for stereo in (True, False)]
    molecules_start._start.cache_clear()
    assert [len(start.X) for start in found] == [4, 2]
    assert dict(zip(found[1].X, found[1].y, strict=True)) == {"CC(N)O": 1.0, "CCO": 2.0}
    model = prepared_model(found[1].known, 100, stereo=False)
    assert model.key("C[C@H](N)O") == "CC(N)O"


def test_what_cannot_be_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ParameterError, match="unknown options"):
        molecules_study(colour="red")
    with pytest.raises(ParameterError, match="config must be"):
        molecules_study("fast")
    with pytest.raises(ParameterError, match="goal must be"):
        molecules_study(goal="beauty")
    with pytest.raises(ParameterError, match="surrogate must be"):
        molecules_study(surrogate="oracle")
    with pytest.raises(ParameterError, match="peers must be"):
        run_peers(TINY, ["annealing"], [0], tmp_path / "runs", progress=False)
    assert not (tmp_path / "runs").exists()


def test_all_objectives_and_configurations_have_a_study(monkeypatch):
    monkeypatch.undo()
    for goal in OBJECTIVES:
        assert np.isfinite(MoleculesStudy(goal=goal).objective("CC(=O)Oc1ccccc1C(=O)O"))
    assert CONFIGURATIONS["capped"].max_heavy_atoms == 38
    assert CONFIGURATIONS["default"].max_heavy_atoms is None
    assert CONFIGURATIONS["development"].n_start == 10_000
    assert CONFIGURATIONS["junction-tree"].options()["model"].startswith("junction_tree_zinc250k-")
    assert molecules_study("junction-tree", model="selfies").model is None
