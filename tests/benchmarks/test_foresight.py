"""The study of what processes foresee along a search."""

import numpy as np
import pytest

from wrlso import TanimotoGP
from wrlso.benchmarks.molecules import foresight
from wrlso.benchmarks.molecules.study import molecules_study
from wrlso.benchmarks.records import data_hash, read_record, write_record
from wrlso.exceptions import DataError

X = [("C" * n) + tail for n in range(1, 21) for tail in ("O", "N", "F", "Cl", "Br", "S")]
Y = np.array([x.count("C") + 0.1 * len(x) for x in X])


def test_what_follows_a_trend_is_foreseen_and_what_does_not_is_not():
    # up to 1.3 times the longest known: a process does not follow a trend farther than that
    known, asked = (X[:60], Y[:60]), (X[60:84], Y[60:84])
    found = foresight.judge(TanimotoGP, known, asked, 8)
    assert found["rank_correlation"] > 0.9
    values = np.random.default_rng(0).permutation(asked[1])
    assert abs(foresight.judge(TanimotoGP, known, (asked[0], values), 8)["rank_correlation"]) < 0.6
    failed = asked[1].copy()
    failed[12:20] = np.nan
    assert np.isfinite(list(foresight.judge(TanimotoGP, known, (asked[0], failed), 8).values())).all()


def test_only_what_was_known_then_is_used():
    known, asked = (X[:60], Y[:60]), (X[60:], Y[60:])
    later = (asked[0], np.where(np.arange(60) < 10, asked[1], -asked[1]))
    one, other = (foresight.judge(TanimotoGP, known, part, 10) for part in (asked, later))
    assert other["rank_correlation"] == pytest.approx(-one["rank_correlation"])


def test_what_was_told_is_always_among_the_data_of_the_process():
    length = np.random.default_rng(0).permutation(np.arange(1, 41))
    known = ["C" * n + "O" for n in length], 1.0 * length
    asked = ["S" + "C" * n + "S" for n in length], 20.0 - 0.4 * length  # other molecules, none of the 10 best
    assert foresight.judge(lambda: TanimotoGP(None, 10, 0), known, asked, 20)["rank_correlation"] > 0.9


def test_a_record_is_read_and_one_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(foresight, "_CUTS", (10,))
    monkeypatch.setattr(foresight, "PROCESSES", {"default": TanimotoGP})
    options = {"goal": "qed", "data": "shipped", "n_start": 30, "max_heavy_atoms": None}
    options |= {"max_tokens": 100, "stereo": False}
    run = {"kind": "run", "task": "qed", "setting": "both", "seed": 0, "options": options}
    run["starting_data"] = {"sha256": data_hash(*molecules_study(**options).initial_data(0))}
    write_record(tmp_path / "runs" / "one.json", run | {"x": X[:60], "y": [None, *Y[1:60]]})
    assert foresight.main([str(tmp_path / "runs"), "--out", str(tmp_path / "found.json")]) == 0
    (result,) = read_record(tmp_path / "found.json")["results"]
    assert result["objective"] == "qed"
    assert -1 <= result["rank_correlation"] <= 1
    assert "mean" in capsys.readouterr().out
    with pytest.raises(DataError, match="seed 3"):
        foresight.main([str(tmp_path / "runs"), "--seed", "3"])
    write_record(tmp_path / "shapes" / "one.json", run | {"task": "shapes", "options": {"k": 1}, "y": [1.0]})
    with pytest.raises(DataError, match="over molecules, got one of 'shapes' without the option goal"):
        foresight.main([str(tmp_path / "shapes")])
    write_record(tmp_path / "other" / "one.json", run | {"seed": 1, "x": X[:60], "y": list(Y[:60])})
    with pytest.raises(DataError, match="seed 1, has other starting data"):
        foresight.main([str(tmp_path / "other"), "--seed", "1"])
    write_record(tmp_path / "short" / "one.json", run | {"x": X[:40], "y": list(Y[:40])})
    with pytest.raises(DataError, match="must have 60 queries, got 40"):
        foresight.main([str(tmp_path / "short")])
