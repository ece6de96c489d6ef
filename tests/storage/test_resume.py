"""A campaign that is killed at any instant loses nothing and ends as if it had never stopped."""

import json
import os
import subprocess
import sys

import pytest

from wrlso.benchmarks.speed.crashes import digest, drive, networks

N_KILLS = int(os.environ.get("WRLSO_KILLS", "100"))  # 200 in the full version


def python(code, *arguments):
    command = [sys.executable, *code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
# programs that start, are killed and start anew, a hundred times: no hang, though on a busy machine it takes
# longer than a test may; what is asserted counts and compares
@pytest.mark.timeout(3600)
def test_killed_campaigns_lose_nothing_and_end_bit_for_bit_alike():
    result = json.loads(python(["-m", "wrlso.benchmarks.speed.storage", "--kills"], N_KILLS))
    assert result["kills"] >= N_KILLS
    assert result["campaigns"] > 0
    assert (result["lost"], result["different"]) == (0, 0)


def test_storing_every_step_changes_nothing(tmp_path):
    assert digest(drive(tmp_path / "campaign")) == digest(drive(None))


def test_a_fresh_interpreter_for_every_few_steps_changes_nothing(tmp_path):
    code = """
import sys, torch
from pathlib import Path
from wrlso.benchmarks.speed import crashes
torch.set_num_threads(1)
crashes._N_TELLS = int(sys.argv[2])
print(crashes.digest(crashes.drive(Path(sys.argv[1]))))
"""
    folder = tmp_path / "campaign"
    for n_tells in (1, 7, 17):
        python(["-c", code], folder, n_tells)
    assert python(["-c", code], folder, 24).strip() == digest(drive(None))


def test_the_digest_sees_a_difference(tmp_path):
    from wrlso import WeightedRetrainingOptimizer

    opt = drive(tmp_path / "campaign")
    before = digest(opt)
    assert before == digest(WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks()))
    assert digest(opt.update(opt.X_[-1], opt.y_[-1] + 1e-9)) != before
