"""The study of several goals: what its problems are, runs, records and the table of hypervolumes."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrlso._chemistry.smiles import parse
from wrlso.benchmarks.outcomes import pairs
from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.study import OUTCOMES, PROBLEMS, hypervolume_table
from wrlso.benchmarks.records import read_record
from wrlso.datasets import load_molecules
from wrlso.exceptions import ParameterError, WrlsoWarning
from wrlso.tasks.molecules.guacamol import guacamol_objective


@pytest.fixture(autouse=True, scope="module")
def shipped_molecules():
    """Take the molecules that ship in place of ZINC250k, which is fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_molecules", lambda: list(load_molecules().smiles))
        yield


@pytest.mark.parametrize("name", PROBLEMS)
def test_starts_are_those_of_their_seed(name):
    problem = PROBLEMS[name]
    (X, Y), (again, _), (other, _) = problem.start(3), problem.start(3), problem.start(4)
    assert np.array_equal(X, again)
    assert not np.array_equal(X, other)
    assert np.allclose(Y, [problem.values(x) for x in X])
    assert Y.shape == (len(X), len(problem.reference))


def test_runs_are_recorded_once_and_share_their_start(tmp_path):
    def again(calls):
        methods = ["scalarisation", "hypervolume", "nsga2"]
        return OUTCOMES.run(tmp_path, ["branin-currin"], methods, [100], calls=calls, progress=False)

    pytest.importorskip("pymoo", reason="needs pymoo: pip install 'wrlso[peers]'")
    paths = again(3)
    records = [read_record(path) for path in paths]
    assert [len(record["y"]) for record in records] == [3] * 3
    assert len({record["starting_data"]["sha256"] for record in records}) == 1
    times = [path.stat().st_mtime_ns for path in paths]
    assert again(3) == paths
    assert [path.stat().st_mtime_ns for path in paths] == times
    with pytest.raises(ParameterError, match="calls is 3 there and 4 here"):
        again(4)
    cut = paths[0].read_text()
    paths[0].write_text(cut[:-30])
    with pytest.warns(WrlsoWarning, match="is not a benchmark record.*the run is done again"):
        again(3)
    assert read_record(paths[0])["y"] == records[0]["y"]
    head, *rows = hypervolume_table(paths).splitlines()
    assert head.split() == ["problem", "method", "seeds", "3"]
    assert all(np.isfinite(float(row.split()[-1])) for row in rows)
    lines = hypervolume_table(paths, at=(1, 3)).splitlines()
    assert sum(any(name in line for name in ("scalarisation", "hypervolume", "nsga2")) for line in lines) >= 3


@pytest.mark.parametrize("calls", [1, 20, 33])
def test_nsga2_counts_the_calls_that_are_paid_for(calls):
    pytest.importorskip("pymoo", reason="needs pymoo: pip install 'wrlso[peers]'")
    done = []
    values = METHODS["nsga2"](PROBLEMS["branin-currin"], 100, calls, lambda: done.append(1))
    assert len(values) == len(done) == calls


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="methods"):
        OUTCOMES.run(tmp_path, ["zdt1"], ["best"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["perindopril", "osimertinib"])
def test_two_goals_make_the_objective_of_which_they_are_parts(name):
    objective = guacamol_objective(f"{name}_mpo")
    for x in PROBLEMS[name].start(0)[0][:20]:
        first, second = PROBLEMS[name].values(x)
        assert np.sqrt(first * second) == pytest.approx(objective(parse(x)), rel=1e-12)


def test_what_is_no_molecule_has_the_values_of_the_reference():
    for problem in pairs.PAIRS:
        assert problem.values("C1CC").tolist() == list(problem.reference)


def _size(molecule):
    return 2 * (float(molecule.GetNumHeavyAtoms()),)


@pytest.mark.parametrize(("method", "calls"), [("nsga2", 65), ("botorch", 3)])
def test_peers_on_molecules_make_what_is_larger(method, calls, monkeypatch):
    """Molecules whose two goals are their size; signs are easily confused, as NSGA-II minimises."""
    for package in ("pymoo", "mol_ga"):
        pytest.importorskip(package, reason="needs it: pip install 'wrlso[peers]'")
    monkeypatch.setattr("wrlso.benchmarks.outcomes.peers._CHILDREN", 10)
    problem, done = pairs.MoleculeGoals("size", lambda: _size, (0.0, 0.0), n_start=40), []
    told = METHODS[method](problem, 0, calls, lambda: done.append(1))
    assert told.shape == (calls, 2)
    assert len(done) >= calls
    assert told[-20:].mean() > problem.start(0)[1].mean() + 3.0


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
    st.booleans(),
)
def test_hypervolumes_count_in_the_better_direction(points, larger):
    """The area that points cover, cell by cell, beyond (0, 0) where larger is better, else below (10, 10)."""
    cells = {(i, j) for a, b in points for i in range(a) for j in range(b)}
    y = points if larger else [(10 - a, 10 - b) for a, b in points]
    record = {"kind": "outcomes", "problem": "p", "method": "m", "larger": larger, "start": [y[0]], "y": y}
    record["reference"] = [0, 0] if larger else [10, 10]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(json.dumps(record))
        assert float(hypervolume_table([path], at=(len(y),)).split()[-1]) == len(cells)


def test_botorch_finds_better_points_of_a_box():
    problem = PROBLEMS["branin-currin"]
    told = METHODS["botorch"](problem, 0, 3, lambda: None)
    _, Y = problem.start(0)
    assert told.shape == (3, 2)
    assert not (told[-1] >= Y).all(axis=1).any()  # no known point is as good in both
