"""The study of processes on structures: its figures are what they are called."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")
from wrlso import MorganCounts, ParameterError, TanimotoGP
from wrlso.benchmarks.molecules import structures
from wrlso.benchmarks.molecules.structures import FoldedCounts, main, predict_held_out, run, table

CHAINS = [f"{'C' * n}{end}" for n in range(1, 25) for end in ("", "O", "N")]


class Length:
    """A task: the length of the string."""

    def objective(self, x):
        return float(len(x))


def test_folding_keeps_the_counts():
    counts = MorganCounts(1)(CHAINS)
    folded = FoldedCounts(1, 64)(CHAINS)
    assert folded.shape == (len(CHAINS), 64)
    np.testing.assert_allclose((folded**2).sum(axis=1), counts.sum(axis=1))
    column = int(counts[[0]].indices[0]) % 64
    assert folded[0, column] > 0


def test_a_process_is_judged_by_what_it_has_not_seen():
    y = np.array([len(x) for x in CHAINS], dtype=float)
    known, new = slice(None, None, 2), slice(1, None, 2)
    found = predict_held_out(TanimotoGP, (CHAINS[known], y[known]), (CHAINS[new], y[new]), 0)
    gp = TanimotoGP().fit(CHAINS[known], torch.from_numpy(y[known]), np.random.default_rng(0))
    mean = gp.predict(CHAINS[new])[0].numpy()
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((mean - y[new]) ** 2)))
    assert found["log_density"] == gp.score(CHAINS[new], torch.from_numpy(y[new]))
    assert found["rank_correlation"] > 0.95
    assert 0 <= found["coverage"] <= 1
    assert min(found["fit_seconds"], found["predict_seconds"]) > 0


def test_every_process_sees_every_objective_and_seed():
    processes = {name: structures.PROCESSES[name] for name in ("default", "RBF on folded counts")}
    results = run(processes, {"length": Length}, CHAINS, n_known=40, n_new=20, seeds=2)
    assert [(r["process"], r["seed"]) for r in results] == [(p, s) for s in (0, 1) for p in processes]
    again = run({"default": TanimotoGP}, {"length": Length}, CHAINS, n_known=40, n_new=20, seeds=1)
    assert again[0]["rank_correlation"] == results[0]["rank_correlation"]
    lines = table(results).splitlines()
    assert len(lines) == 3
    mean = np.mean([r["rank_correlation"] for r in results if r["process"] == "default"])
    assert f"{mean:.3f}" in lines[1]
    with pytest.raises(ParameterError, match="expected at most 72, got 80"):
        run(processes, {"length": Length}, CHAINS, n_known=40, n_new=40, seeds=1)


def test_all_processes_can_be_made_and_differ():
    made = {name: repr(make().get_params()) for name, make in structures.PROCESSES.items()}
    made.pop("RBF on folded counts")
    assert len(set(made.values())) == len(made)


def test_the_command_writes_a_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(structures, "fetch_zinc250k", lambda folder: CHAINS)
    monkeypatch.setattr(structures, "PROCESSES", {"default": TanimotoGP})
    monkeypatch.setattr(structures, "OBJECTIVES", {"length": Length})
    threads = torch.get_num_threads()
    out = tmp_path / "record.json"
    try:
        assert main(["--known", "40", "--new", "20", "--seeds", "1", "--out", str(out)]) == 0
    finally:
        torch.set_num_threads(threads)
    record = json.loads(out.read_text())
    assert record["kind"] == "structures"
    assert len(record["results"]) == 1
    assert "length" in capsys.readouterr().out
