"""The comparison of transformations on what a genetic algorithm asks for."""

import json

import pytest

from wrlso.benchmarks.surrogate.factors import judge, main, table, walk


def test_a_walk_begins_with_the_starting_data_and_is_judged_by_what_comes_next():
    X, y, n_start, process = walk("ehrlich-15", 3)
    assert len(X) == len(y) == n_start + 300
    short = X[: n_start + 120], y[: n_start + 120], n_start, process
    found = list(judge(short, "floor"))
    assert [each["told"] for each in found] == [0, 50, 100]  # the last one has 20 values to predict
    assert not any(each["logarithm"] for each in found)
    # the next values take no part in the fits: others in their place change what they are judged by
    other = short[0], short[1][: n_start + 100] + [1.0] * 20, n_start, process
    changed = list(judge(other, "floor"))
    assert changed[:2] == [
        each | {"processor seconds": now["processor seconds"]}
        for each, now in zip(found[:2], changed[:2], strict=True)
    ]
    assert changed[2]["log density"] != found[2]["log density"]


def test_the_command_writes_a_record_and_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("wrlso.benchmarks.surrogate.factors._TOLD", (0, 50))
    path = tmp_path / "factors.json"
    assert main(["--out", str(path), "--seeds", "1", "--problems", "ehrlich-15"]) == 0
    results = json.loads(path.read_text())["results"]
    assert [(r["told"], r["transform"]) for r in results] == [
        (0, "auto"), (50, "auto"), (0, "floor"), (50, "floor"),
    ]  # fmt: skip
    assert path.with_suffix(".csv").read_text() == table(results) == capsys.readouterr().out
    with pytest.raises(KeyError):
        main(["--out", str(path), "--seeds", "1", "--problems", "guess"])
