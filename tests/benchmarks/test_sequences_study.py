"""The study of sequences: records, resumed runs, and the same start for every method."""

from functools import partial

import pytest

from wrlso import Trainer
from wrlso.benchmarks.records import read_record
from wrlso.benchmarks.sequences import study
from wrlso.exceptions import ParameterError


def test_runs_are_recorded_once_with_the_same_start(tmp_path, monkeypatch):
    short = partial(study.sequence_search, trainer=Trainer(initial_steps=5, retrain_steps=2))
    monkeypatch.setattr(study, "sequence_search", short)
    run = partial(
        study.run_sequences, tmp_path, ["ehrlich-5"], ["both", "genetic"], [100], batch=4, progress=False
    )
    paths = run(calls=10)
    records = [read_record(path) for path in paths]
    assert [len(record["y"]) for record in records] == [10, 10]
    assert records[0]["starting_data"] == records[1]["starting_data"]
    assert records[0]["starting_data"]["n"] == 10
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in run(calls=10)] == before
    with pytest.raises(ParameterError):
        run(calls=11)
    lines = study.summary_lines(tmp_path)
    assert [line.split()[:3] for line in lines[1:]] == [
        ["ehrlich-5", "both", "1"], ["ehrlich-5", "genetic", "1"]
    ]  # fmt: skip
    best = max(
        value for value in [records[1]["starting_data"]["best"], *records[1]["y"]] if value is not None
    )
    assert lines[2].split()[3] == f"{best:.3f}"


def test_the_genetic_algorithm_finds_better_sequences_than_it_starts_with(tmp_path):
    (path,) = study.run_sequences(tmp_path, ["ehrlich-15"], ["genetic"], [101], calls=200, progress=False)
    record = read_record(path)
    values = [value for value in record["y"] if value is not None]
    assert max(values) > record["starting_data"]["best"]
    assert 0 < len(values) < 200  # some fail


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="problems must be one of"):
        study.run_sequences(tmp_path, ["ehrlich-6"])
    with pytest.raises(ParameterError, match="methods must be one of"):
        study.run_sequences(tmp_path, methods=["magic"])


def test_a_run_on_rna_ends_once_it_is_solved(tmp_path):
    pytest.importorskip("RNA")
    methods = ["genetic", "rnainverse"]
    paths = study.run_sequences(tmp_path, ["rna-loops"], methods, [100], calls=30, progress=False)
    genetic, inverse = (read_record(path) for path in paths)
    assert genetic["starting_data"] == inverse["starting_data"]
    assert 1.0 in inverse["y"]
    assert inverse["y"].index(1.0) == len(inverse["y"]) - 1 < 29
    line = next(line for line in study.summary_lines(tmp_path) if "rnainverse" in line)
    assert line.split()[2:] == ["1", "1.000", "0.00", "1", str(len(inverse["y"]))]
    with pytest.raises(ParameterError, match="rnainverse is for problems of RNA, got ehrlich-5"):
        study.run_sequences(tmp_path, ["ehrlich-5"], ["rnainverse"])
