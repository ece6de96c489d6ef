"""The study of small assays: its figures are what they are called."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")
from wrlso import ParameterError
from wrlso.benchmarks.molecules import small_assays
from wrlso.benchmarks.molecules.small_assays import calibration, first_batches, main, table
from wrlso.models import SelfiesVAE

CHAINS = [f"{start}{'C' * n}{end}" for n in range(3, 28) for start in ("C", "O", "N", "F") for end in "ON"]


@pytest.fixture
def quick(monkeypatch):
    """Fewer predictions, and sizes of one each."""
    monkeypatch.setattr(small_assays, "_NEW", 30)
    monkeypatch.setattr(small_assays, "OBJECTIVES", {"size": lambda molecule: molecule.GetNumHeavyAtoms()})


def test_assays_take_turns_and_are_reproducible(quick):
    found = calibration(CHAINS, 4, 7)
    assert [row["n"] for row in found] == [6, 7, 8, 10]
    assert [row["noise"] for row in found] == [0.1, 0.3, 1.0, 0.1]
    assert all(0 <= row["coverage"] <= 1 for row in found)
    assert calibration(CHAINS, 4, 7) == found
    with pytest.raises(ParameterError, match="n"):
        calibration(CHAINS, 0, 0)


def test_sizes_are_those_of_the_assay_and_the_proposals():
    (drugs, zinc) = first_batches(CHAINS, 2, 0, SelfiesVAE.pretrained())
    assert drugs["drugs"]
    assert not zinc["drugs"]
    for row in (drugs, zinc):
        assert 6 <= len(row["known"]) <= 12
        assert len(row["asked"]) == len(row["proposals"]) == 4
        assert max(row["asked"]) <= 1.3 * max(row["known"])


def test_the_table_counts_what_is_too_large_and_too_small():
    row = {"n": 6, "coverage": 0.9, "rank_correlation": 0.5, "log_density": -1.25}
    batches = [{"known": [10, 20], "asked": [10, 26]}, {"known": [10, 20], "asked": [5, 30]}]
    text = table({"calibration": [row, row | {"coverage": 0.5}], "first_batches": batches})
    assert "0.700        0.50  0.500   -1.250" in text
    assert "first batches: 1 of 2" in text
    assert "at most 1.50 times" in text
    assert "1/2.00" in text


def test_the_command_writes_a_record(tmp_path, monkeypatch, capsys, quick):
    monkeypatch.setattr(small_assays, "fetch_zinc250k", lambda folder: CHAINS)
    threads = torch.get_num_threads()
    out = tmp_path / "record.json"
    try:
        assert main(["--assays", "2", "--batches", "1", "--any-size", "--out", str(out)]) == 0
    finally:
        torch.set_num_threads(threads)
    record = json.loads(out.read_text())
    assert record["kind"] == "small-assays"
    assert record["any_size"]
    assert (len(record["calibration"]), len(record["first_batches"])) == (2, 1)
    assert np.isfinite(record["calibration"][0]["log_density"])
    assert "first batches" in capsys.readouterr().out
