"""The junction-tree model that ships: what its card says, and wherever the SELFIES model goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from wrlso import Trainer
from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules.start import model_file
from wrlso.campaign.model_names import make_model
from wrlso.datasets import load_molecules
from wrlso.exceptions import ParameterError
from wrlso.models import JunctionTreeVAE
from wrlso.models.molecules.base import SHIPPED
from wrlso.molecules import molecule_search
from wrlso.tasks import QED


def test_the_shipped_model_is_what_its_card_says():
    folder = Path(__file__).parents[2] / "docs" / "benchmarks" / "junction-trees"
    card = json.loads((folder / "card.json").read_text())
    assert SHIPPED["junction-tree"].stat().st_size < 12e6
    trees = JunctionTreeVAE.pretrained()
    X = [canonical(x, stereo=False) for x in load_molecules().smiles[:2000]]
    X = [x for x in X if trees._can_read(x)][:200]
    Z = trees.sample_prior(300, torch.Generator().manual_seed(0))
    drawn, reasons = trees.decode_counted(Z, 0.7, torch.Generator().manual_seed(1))
    valid = [x for x in drawn if x is not None]
    assert len(valid) + reasons.total() == 300
    assert len(valid) >= 300 * card["prior"]["valid"] - 9
    assert all(canonical(x) == x for x in valid)
    mean = np.mean([Chem.MolFromSmiles(x).GetNumHeavyAtoms() for x in valid])
    assert mean == pytest.approx(card["properties"]["heavy_atoms"]["mean"], abs=1.5)
    back = trees.decode(trees.encode(trees.tensorize(X)))
    # what another model has written is odder than the molecules of the card
    assert 0.05 < np.mean([a == b for a, b in zip(X, back, strict=True)]) < card["reconstruction"]["exact"]
    page = (Path(__file__).parents[2] / "docs" / "molecules.rst").read_text()
    assert f"{100 * card['reconstruction']['exact']:.1f}%" in page


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("plot_molecules_*.py"))
NAMING = [path for path in EXAMPLES if "SelfiesVAE" in path.read_text()]


@pytest.mark.parametrize("path", NAMING, ids=lambda path: path.name)
def test_examples_run_with_the_other_model(path, tmp_path):
    script = tmp_path / path.name
    script.write_text(path.read_text().replace("SelfiesVAE", "JunctionTreeVAE"))
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(path.parents[1])}
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 0, result.stderr


def test_the_shipped_model_goes_wherever_the_other_one_goes():
    task = QED(data="shipped", n_start=20)
    model = task.model(kind="junction-tree")
    assert isinstance(model, JunctionTreeVAE)
    assert isinstance(make_model("junction-tree", 0), JunctionTreeVAE)
    assert model_file("junction-tree") == str(SHIPPED["junction-tree"])
    assert model_file("selfies") is model_file(None) is None
    with pytest.raises(ParameterError, match="one of selfies, junction-tree, or a file, got 'none'"):
        model_file("none")
    X, y = task.initial_data(0)
    opt = molecule_search(X, y, model=model, trainer=Trainer(initial_epochs=0), random_state=0)
    assert len(set(opt.ask(3)) - set(X)) == 3
