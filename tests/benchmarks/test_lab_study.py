"""The study of failures and noise: its problems, what its methods see, records and the table."""

import numpy as np
import pytest

from wrlso.benchmarks.outcomes.lab import LAB, PROBLEMS, lab_table
from wrlso.benchmarks.records import read_record
from wrlso.exceptions import ParameterError


def test_more_than_half_of_the_start_fails():
    for seed in range(100, 103):
        problem = PROBLEMS["failing"](seed)
        failed = np.mean([problem.measure(x) is None for x in problem.start])
        assert 0.5 < failed < 0.75
        assert problem.measure(problem.target) == pytest.approx(1.0)  # the best string can be made


def test_noise_has_the_scale_that_it_says():
    problem = PROBLEMS["noisy"](100)
    x = problem.start[0]
    measured = np.array([problem.measure(x) for _ in range(2000)])
    assert measured.mean() == pytest.approx(problem.true(x), abs=4 * problem.sd / 2000**0.5)
    assert measured.std() == pytest.approx(problem.sd, rel=0.1)
    assert PROBLEMS["noisy"](100).measure(x) == measured[0]  # a seed makes the same noise again


def test_runs_are_recorded_once(tmp_path):
    def again(calls):
        failing = LAB.run(tmp_path, ["failing"], ["default", "careless"], calls=calls, progress=False)
        return failing + LAB.run(tmp_path, ["noisy"], ["botorch"], calls=calls, progress=False)

    paths = again(5)
    with_classifier, without, botorch = (read_record(path) for path in paths)
    assert [len(record["y"]) for record in (with_classifier, without, botorch)] == [5] * 3
    assert with_classifier["y"] != without["y"]  # the classifier has an effect
    assert len(botorch["reported"]["recommended"]) == 1
    times = [path.stat().st_mtime_ns for path in paths]
    assert again(5) == paths
    assert [path.stat().st_mtime_ns for path in paths] == times
    with pytest.raises(ParameterError, match="calls is 5 there and 6 here"):
        again(6)
    assert [line.split()[1] for line in lab_table(paths).splitlines()[1:]] == [
        "default",
        "careless",
        "botorch",
    ]


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="method"):
        LAB.run(tmp_path, ["failing"], ["best"])
    assert not list(tmp_path.iterdir())
