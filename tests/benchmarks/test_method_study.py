"""Studies of methods: what is checked before a run, and what happens beside another process."""

import pytest

from wrlso.benchmarks.method_study import MethodRun, MethodStudy, record_run
from wrlso.benchmarks.records import read_record
from wrlso.exceptions import ParameterError


def work(run, done):
    for _ in range(run.calls):
        done(1)
    return {"y": [float(run.seed)] * run.calls}


def never(run, done):
    raise AssertionError("a run that is recorded is not done again")


STUDY = MethodStudy("sums", ["one", "two"], ["add"], work, calls=2)


def test_records_hold_the_run_and_what_it_found(tmp_path):
    paths = STUDY.run(tmp_path, ["one", "two"], ["add"], [3, 4], progress=False)
    records = [read_record(path) for path in paths]
    assert [(r["problem"], r["seed"], r["y"]) for r in records] == [
        ("one", 3, [3.0, 3.0]), ("two", 3, [3.0, 3.0]), ("one", 4, [4.0, 4.0]), ("two", 4, [4.0, 4.0]),
    ]  # fmt: skip
    assert {(r["kind"], r["method"], r["options"]["calls"]) for r in records} == {("sums", "add", 2)}


def test_processes_write_the_same_records(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    alone = STUDY.run(tmp_path / "a", ["one", "two"], ["add"], progress=False)
    beside = STUDY.run(tmp_path / "b", ["one", "two"], ["add"], n_jobs=2, progress=False)
    assert [read_record(path)["y"] for path in alone] == [read_record(path)["y"] for path in beside]


def test_what_another_process_has_done_meanwhile_is_left_alone(tmp_path):
    (path,) = STUDY.run(tmp_path, ["one"], ["add"], progress=False)
    before = path.read_bytes()
    record_run("sums", never, MethodRun("one", "add", 100, 2), tmp_path, progress=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("problems", "methods", "calls", "name"),
    [
        (["three"], ["add"], 2, "problems"),
        (["one"], ["multiply"], 2, "methods"),
        (["one"], ["add"], 0, "calls"),
    ],
)
def test_wrong_names_and_numbers_are_refused_before_a_run(problems, methods, calls, name, tmp_path):
    with pytest.raises(ParameterError, match=name):
        STUDY.run(tmp_path, ["two", *problems], methods, calls=calls, progress=False)
    assert not list(tmp_path.iterdir())
