"""The study of several goals: what its problems are, runs, records and the table of hypervolumes."""

import numpy as np
import pytest

from wrlso._chemistry.smiles import parse
from wrlso.benchmarks.outcomes import pairs
from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.study import OUTCOMES, PROBLEMS, hypervolume_table
from wrlso.benchmarks.records import read_record
from wrlso.datasets import load_molecules
from wrlso.exceptions import ParameterError
from wrlso.tasks.molecules.guacamol import guacamol_objective


@pytest.fixture(autouse=True)
def shipped_molecules(monkeypatch):
    """Take the molecules that ship in place of ZINC250k, which is fetched."""
    monkeypatch.setattr(pairs, "_molecules", lambda: list(load_molecules().smiles))


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
    lines = hypervolume_table(paths, at=(1, 3)).splitlines()
    assert sum(any(name in line for name in ("scalarisation", "hypervolume", "nsga2")) for line in lines) >= 3


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


@pytest.mark.parametrize(("method", "calls"), [("nsga2", 25), ("botorch", 2)])
def test_peers_on_molecules_start_at_the_same_data_and_count_calls(method, calls, monkeypatch):
    for package in ("pymoo", "mol_ga"):
        pytest.importorskip(package, reason="needs it: pip install 'wrlso[peers]'")
    monkeypatch.setattr("wrlso.benchmarks.outcomes.peers._CHILDREN", 5)
    done = []
    told = METHODS[method](PROBLEMS["qed-window"], 0, calls, lambda: done.append(1))
    assert told.shape == (calls, 2)
    assert len(done) >= calls
    assert (told >= PROBLEMS["qed-window"].reference).all()


def test_botorch_finds_better_points_of_a_box():
    problem = PROBLEMS["branin-currin"]
    told = METHODS["botorch"](problem, 0, 3, lambda: None)
    _, Y = problem.start(0)
    assert told.shape == (3, 2)
    assert not (told[-1] >= Y).all(axis=1).any()  # no known point is as good in both
