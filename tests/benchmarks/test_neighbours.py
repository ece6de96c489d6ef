"""The record of asks beside busy processes grows row by row."""

import json

import pytest

from wrlso.benchmarks.speed import neighbours
from wrlso.exceptions import DataError


def test_a_killed_run_keeps_its_rows_and_goes_on(tmp_path, monkeypatch):
    asked = []

    def seconds_of_asks(search, n_asks):
        asked.append(search)
        if len(asked) == 7:
            raise KeyboardInterrupt
        return 2.0, 1.0

    monkeypatch.setattr(neighbours, "SEARCHES", {name: lambda name=name: name for name in ("bits", "trees")})
    monkeypatch.setattr(neighbours, "seconds_of_asks", seconds_of_asks)
    out = tmp_path / "record.json"
    arguments = ["bits", "trees", "--asks", "1", "--neighbours", "0", "1", "--out", str(out)]
    with pytest.raises(KeyboardInterrupt):
        neighbours.main(arguments)
    assert len(json.loads(out.read_text())["rows"]) == 3
    neighbours.main(arguments)
    rows = json.loads(out.read_text())["rows"]
    assert [(row["search"], row["neighbours"]) for row in rows] == [
        *(("bits", 0), ("bits", 1)),
        *(("trees", 0), ("trees", 1)),
    ]
    assert asked == ["bits"] * 4 + ["trees"] * 5
    neighbours.main(arguments)
    assert len(asked) == 9
    with pytest.raises(DataError, match="was measured otherwise"):
        neighbours.main([*arguments, "--asks", "2"])
