"""The study of several goals: what its problems are, runs, records and the table of hypervolumes."""

import numpy as np
import pytest

from wrlso.benchmarks.outcomes.study import PROBLEMS, hypervolume_table, run_outcomes
from wrlso.benchmarks.records import read_record
from wrlso.exceptions import ParameterError


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
        return run_outcomes(tmp_path, ["branin-currin"], methods, [100], calls=calls, progress=False)

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
        run_outcomes(tmp_path, methods=["best"])
    assert not list(tmp_path.iterdir())
