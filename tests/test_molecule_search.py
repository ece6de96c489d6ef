"""Searching molecules in one call and from the shell; a vocabulary that grows with the data."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from wrlso import (
    DataError,
    DataTypeError,
    ModelError,
    TanimotoGP,
    Trainer,
    WeightedRetrainingOptimizer,
    campaign,
)
from wrlso.benchmarks.molecules.demo import run_molecules_demo
from wrlso.models import JunctionTreeVAE, SelfiesVAE, coordinate_vae
from wrlso.molecules import molecule_search, search_options

KNOWN = ["CCO", "CCN", "CCCO", "CCCCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CCOCC", "CCCCN"]
Y = [float(len(x)) for x in KNOWN]
ODD = ["CB(O)c1ccccc1", "C[Si](C)(C)CO"]


def same_weights(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def grown():
    """A search whose data have tokens that the model did not know."""
    model = SelfiesVAE.pretrained()
    assert model.missing_tokens(ODD) == ["[B]", "[Si]"]
    model.extend(ODD)
    return molecule_search([*KNOWN, *ODD], [*Y, 3.0, 4.0], model=model, random_state=0)


def test_one_call_starts_a_search():
    opt = molecule_search(KNOWN, Y, direction="minimize", random_state=1, trainer=Trainer(initial_epochs=0))
    batch = opt.ask(2)
    assert len({opt.model_.key(x) for x in [*batch, *KNOWN]}) == len(KNOWN) + 2
    opt.tell(batch, [1.0, None])
    assert (opt.direction, opt.best_y_) == ("minimize", 1.0)
    assert isinstance(opt.surrogate, TanimotoGP)
    with pytest.raises(DataError, match="2 fragments"):
        molecule_search(["CCO", "[Na+].CC(=O)[O-]"])


@pytest.mark.parametrize(("n", "first", "later"), [(8, 20, 5), (1000, 19.2, 5), (128_000, 0.15, 0.05)])
def test_training_takes_as_many_steps_for_many_molecules(n, first, later):
    trainer = search_options(SelfiesVAE.pretrained())["trainer"]
    assert trainer._length(n, first=True) == (pytest.approx(first), 150)
    assert trainer._length(n, first=False) == (pytest.approx(later), 50)


def test_other_models_keep_the_optimizers_defaults():
    assert search_options(coordinate_vae()) == {}


def test_a_given_model_stays_as_it_was(grown):
    model = SelfiesVAE.pretrained()
    opt = molecule_search(ODD, [1.0, 2.0], model=model, trainer=Trainer(initial_epochs=0))
    assert "[B]" in opt.model_.vocabulary
    assert "[B]" not in model.vocabulary
    assert grown.model_.vocabulary[-2:] == ["[B]", "[Si]"]


def test_a_campaign_with_a_grown_vocabulary_goes_on(grown, tmp_path):
    grown.save(tmp_path / "camp")
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "camp", model=SelfiesVAE.pretrained())
    assert loaded.model_.vocabulary == grown.model_.vocabulary
    assert same_weights(loaded.model_, grown.model_)
    loaded.tell("CCB(O)O", 2.0)
    assert loaded.X_[-1] == "CCB(O)O"
    with pytest.raises(ModelError, match="this is another model than the campaign's"):
        WeightedRetrainingOptimizer.load(tmp_path / "camp", model=coordinate_vae())


def test_the_cycle_in_the_shell(tmp_path):
    data = tmp_path / "assay.csv"
    rows = [f"{x},{y}" for x, y in zip(KNOWN, Y, strict=True)] + [f"{ODD[0]},", f"{ODD[1]},failed"]
    data.write_text("\n".join(["SMILES,pIC50", *rows]) + "\n")
    camp = tmp_path / "camp"
    lines = campaign.init(camp, data, model="selfies", training={"initial_epochs": 1}, random_state=0)
    assert lines[2] == "2 tokens new to the model, which it learns from these data: [B] [Si]"
    assert "10 points, 8 with a value, 1 failed" in lines[3]
    opt = campaign.open_campaign(camp)
    assert isinstance(opt.surrogate, TanimotoGP)
    assert (opt.trainer.initial_epochs, opt.trainer.initial_steps) == (1, None)  # what was chosen
    assert opt.trainer.retrain_steps == 50
    assert opt.trainer.batch_size == 128  # what was not chosen is the model's
    campaign.ask(opt, camp, 2, out=tmp_path / "batch.csv")
    batch = tmp_path / "batch.csv"
    batch.write_text(
        "\n".join(line + "9.5" * (i > 0) for i, line in enumerate(batch.read_text().splitlines()))
    )
    with campaign.recording(camp) as again:
        assert "2 new values" in campaign.tell(again, camp, batch)[0]
    campaign.report(campaign.open_campaign(camp), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count('<img class="drawing"') >= 2


def test_rows_that_the_model_cannot_take_are_named_once(tmp_path):
    data = tmp_path / "assay.csv"
    data.write_text("SMILES,pIC50\nCCO,1\n[Na+].CC(=O)[O-],2\nc1cc,3\n" + "C" * 120 + ",4\n")
    with pytest.raises(DataError, match="3 rows of 4 cannot be used, so no campaign was made") as caught:
        campaign.init(tmp_path / "camp", data, model="selfies")
    salt, broken, long = caught.value.__notes__
    assert salt.startswith("row 3: the model cannot read '[Na+].CC(=O)[O-]': has 2 fragments")
    assert broken.startswith("row 4: the model cannot read 'c1cc': is invalid SMILES")
    assert long.startswith("row 5: ")
    assert "takes 120 tokens, more than max_tokens=100 allows" in long
    assert not any("row 0" in note for note in caught.value.__notes__)
    assert not (tmp_path / "camp").exists()


def test_the_demo_draws_what_it_found(tmp_path):
    found = run_molecules_demo(tmp_path / "demo.png", seed=1, budget=4, n_start=15, progress=False)
    assert (found.queries, found.n_start, found.retrainings) == (4, 15, 0)
    assert 0 <= found.start <= found.best <= 1
    assert SelfiesVAE.pretrained().key(found.best_x) == found.best_x
    assert found.picture.stat().st_size > 10_000


@pytest.mark.parametrize("make", [lambda: None, lambda: JunctionTreeVAE(["CC", "CO", "C"], hidden=8)])
def test_the_models_copy_learns_to_read_the_data(make):
    model = make()
    opt = molecule_search(
        ["CCO", "C[Si](C)(C)C", "CC"], [1, 2, 3], model=model, trainer=Trainer(initial_epochs=0)
    )
    assert opt.best_x_ == "CC"
    assert not opt.model_.missing_tokens(["C[Si](C)(C)C"])
    assert model is None or model.missing_tokens(["C[Si](C)(C)C"])
    for wrong in (None, "CCO", (x for x in ["CCO"])):
        with pytest.raises(DataTypeError, match="X must be a sequence of SMILES"):
            molecule_search(wrong, [1.0])
    with pytest.raises(DataTypeError, match="y must be a sequence"):
        molecule_search(["CCO"], {0: 1.0})


def test_options_are_rules_for_the_data_of_each_ask_and_training():
    """A search that starts with 12 molecules and is told many is no other than one that starts with them."""
    steps = []

    class Quick(nn.Module):
        latent_dim = 2

        def __init__(self):
            super().__init__()
            self.m = nn.Parameter(torch.zeros(1))

        def loss(self, inputs):
            steps.append(len(inputs))
            return (self.m - inputs) ** 2

    options = search_options(SelfiesVAE.pretrained())
    assert options["acquisition"].search.k == "auto"
    for n, most in ((12, 5), (500, 20), (2000, 50), (10_000, 50)):
        steps.clear()
        log = options["trainer"].fine_tune(Quick(), torch.zeros(n), np.ones(n), np.random.default_rng(0))
        assert log[-1]["n_steps"] == len(steps) == most
        steps.clear()
        options["trainer"].fit(Quick(), torch.zeros(n), np.ones(n), np.random.default_rng(0))
        assert len(steps) <= 150
