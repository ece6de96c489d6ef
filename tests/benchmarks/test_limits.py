"""The study of values beyond a limit."""

import json

import numpy as np
import pytest

from wrlso.benchmarks.surrogate.limits import METHODS, SHARE, Assay, judge, main, table


def test_an_assay_reports_the_largest_values_as_limits():
    assay = Assay.make(60, 2, 100)
    known = assay.known
    assert known.bound.sum() == round(SHARE * 60)
    assert (known.y[known.bound == 1] == assay.limit).all()
    assert (known.y[known.bound == 0] == assay.y[known.bound == 0]).all()
    assert 0.7 < np.concatenate([assay.y, assay.truth]).std() < 1.4
    assert (Assay.make(60, 2, 100).truth == assay.truth).all()


def test_limits_are_better_than_values_at_the_limit_and_worse_than_no_limit():
    assays = [Assay.make(60, 2, seed) for seed in range(100, 104)]
    found = {
        method: np.mean([judge(assay, method)["above log density"] for assay in assays])
        for method in ("no limit", "limits", "limits as values", "left out", "multiple imputation")
    }
    assert found["no limit"] > found["limits"] > found["left out"] > found["limits as values"]
    assert found["limits"] > found["multiple imputation"]


def test_the_command_writes_a_record_and_a_table(tmp_path, capsys):
    path = tmp_path / "limits.json"
    assert main(["--out", str(path), "--seeds", "1", "--first", "100", "--methods", "limits,left out"]) == 0
    results = json.loads(path.read_text())["results"]
    assert [(r["n"], r["method"]) for r in results] == [
        (60, "limits"), (60, "left out"), (150, "limits"), (150, "left out"),
    ]  # fmt: skip
    assert path.with_suffix(".csv").read_text() == table(results) == capsys.readouterr().out
    assert table(results).startswith("n,d,method,seeds,processor seconds,log density")
    with pytest.raises(KeyError):
        main(["--out", str(path), "--seeds", "1", "--methods", "guess"])
    assert "botorch" in METHODS
