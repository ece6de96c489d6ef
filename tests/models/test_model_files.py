"""Files of models of molecules: read whichever model they hold, also by the shell."""

import copy
import json

import pytest
import torch

from wrlso import Trainer, WeightedRetrainingOptimizer, campaign
from wrlso.campaign.model_names import make_model
from wrlso.exceptions import (
    DataError,
    DataTypeError,
    ModelError,
    NonFiniteLossError,
    ParameterError,
    ParameterTypeError,
)
from wrlso.models import JunctionTreeVAE, SelfiesVAE, clique_vocabulary, load_molecule_model
from wrlso.models.tokens.base import read_header
from wrlso.molecules import molecule_search

X = ["CC(C)Cc1ccccc1", "OCC1CCCCC1", "CC(=O)O", "CCO", "CCN", "NCC1CCCCC1"]


@pytest.fixture(params=["selfies", "junction tree"])
def model(request):
    torch.manual_seed(0)
    if request.param == "selfies":
        return SelfiesVAE.pretrained(max_tokens=30)
    return JunctionTreeVAE(clique_vocabulary(X), hidden=16).eval()


def test_whichever_model_a_file_holds_is_read(model, tmp_path):
    model.to_file(tmp_path / "m.safetensors", half=False)
    other = load_molecule_model(tmp_path / "m.safetensors", beta=0.5)
    assert type(other) is type(model)
    assert other.beta == 0.5
    Z = model.encode(model.tensorize(X))
    assert other.encode(other.tensorize(X)).equal(Z)
    with pytest.raises(ParameterError, match="got width"):
        load_molecule_model(tmp_path / "m.safetensors", width=7)


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(FileNotFoundError):
        load_molecule_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("This is no model.")
    with pytest.raises(ModelError, match=r"text.safetensors must be a file from to_file"):
        load_molecule_model(tmp_path / "text.safetensors")
    for metadata in (None, {"wrlso": '{"format": 99}'}, {"wrlso": "[1]"}, {"wrlso": "null"}):
        save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors", metadata=metadata)
        with pytest.raises(ModelError, match="holds no model of molecules"):
            load_molecule_model(tmp_path / "other.safetensors")
    known = SelfiesVAE._FORMAT
    save_file(
        {"w": torch.zeros(3)}, tmp_path / "bare.safetensors", metadata={"wrlso": f'{{"format": {known}}}'}
    )
    with pytest.raises(ModelError, match="its header does not come from to_file"):
        load_molecule_model(tmp_path / "bare.safetensors")
    newer = f'{{"format": {known}, "vocabulary": ["[C]"], "parameters": {{"colour": 1}}}}'
    save_file({"w": torch.zeros(3)}, tmp_path / "newer.safetensors", metadata={"wrlso": newer})
    with pytest.raises(ModelError, match="from another version: unknown parameters .*colour"):
        load_molecule_model(tmp_path / "newer.safetensors")
    for parameters, problem in [
        ("5", "its header does not come from to_file"),
        ('{"self": 1, "vocabulary": 2}', "unknown parameters .'self', 'vocabulary'"),
        ('{"hidden": "a"}', "does not fit this version.*hidden must be"),
    ]:
        header = f'{{"format": {known}, "vocabulary": ["[C]"], "parameters": {parameters}}}'
        save_file({"w": torch.zeros(3)}, tmp_path / "wrong.safetensors", metadata={"wrlso": header})
        with pytest.raises(ModelError, match=problem):
            load_molecule_model(tmp_path / "wrong.safetensors")
    save_file({"w": torch.zeros(3)}, tmp_path / "odd.safetensors", metadata={"wrlso": "no JSON"})
    with pytest.raises(ModelError, match="must be a file from to_file"):
        load_molecule_model(tmp_path / "odd.safetensors")


def test_what_is_not_finite_is_neither_written_nor_read(model, tmp_path):
    from safetensors.torch import load_file, save_file

    file = tmp_path / "m.safetensors"
    model.to_file(file, half=False)
    assert file.stat().st_mode & 0o044 == 0o044  # others may read it
    header = read_header(file)
    weights = load_file(file)
    name = next(iter(weights))
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, file, metadata={"wrlso": json.dumps(header)})
    with pytest.raises(ModelError, match=f"damaged: {name} has weights that are not finite"):
        load_molecule_model(file)
    next(model.parameters()).data.view(-1)[0] = 1e6
    with pytest.raises(ModelError, match="finite in half precision"):
        model.to_file(tmp_path / "half.safetensors")
    assert not (tmp_path / "half.safetensors").exists()
    model.to_file(tmp_path / "whole.safetensors", half=False)
    with pytest.raises(ParameterTypeError, match="half must be True or False"):
        model.to_file(file, half="no")


def test_training_that_fails_changes_nothing(model):
    before = copy.deepcopy(model.state_dict()), list(model.vocabulary)
    new = ["C[Si](C)(C)C"]
    for wrong, error in [
        ({"batch_size": 0}, ParameterError),
        ({"lr": float("nan")}, ParameterError),
        ({"lr": "x"}, ParameterTypeError),
        ({"random_state": "a"}, ParameterTypeError),
        ({"verbose": "x"}, ParameterTypeError),
        ({"lr": 1e12, "epochs": 4}, NonFiniteLossError),
    ]:
        with pytest.raises(error):
            model.fit(new, **({"epochs": 1, "verbose": 0} | wrong))
    with pytest.raises(DataError, match="row 1: 'xx' is invalid SMILES"):
        model.fit([*new, "xx"], epochs=1, verbose=0)
    assert list(model.vocabulary) == before[1]
    assert all(tensor.equal(before[0][name]) for name, tensor in model.state_dict().items())


def test_shapes_of_latent_points_are_checked(model):
    inputs = model.tensorize(X[:3])
    for Z in (torch.zeros(4, model.latent_dim), torch.zeros(3, 1), torch.zeros(model.latent_dim)):
        with pytest.raises(DataError, match=rf"Z must have shape \(3, {model.latent_dim}\), got"):
            model.log_likelihood(inputs, Z)
    with pytest.raises(DataError, match="Z must have shape"):
        model.decode(torch.zeros(3, 1))


def test_a_model_learns_to_read_what_is_measured(model, tmp_path):
    new = "C[Si](C)(C)C"
    quick = Trainer(initial_epochs=0, retrain_epochs=0.1)
    opt = molecule_search(X, range(6), model=model, trainer=quick, random_state=0).autosave(tmp_path / "camp")
    other = WeightedRetrainingOptimizer.load(tmp_path / "camp", model=model)
    with pytest.raises(DataError, match=r"not in the vocabulary; extend\(X\) adds it"):
        opt.tell(new, 9.0)
    with pytest.raises(DataError, match="'xx' is invalid SMILES"):
        opt.extend([new, "xx"])
    assert opt.model_.missing_tokens([new])
    assert opt.extend([new, "CC"]) is opt
    opt.tell(new, 9.0)
    other.tell("CCO", 4.0)  # by a process that had not seen it grow
    assert other.best_y_ == 9.0
    assert len(other.ask(2)) == len(opt.retrain().ask(2)) == 2
    again = WeightedRetrainingOptimizer.load(tmp_path / "camp", model=model)
    assert again.best_x_ == new
    again.ask()
    with pytest.raises(DataTypeError, match="X must be a list"):
        opt.extend(new)


def test_what_a_model_was_taught_behind_the_optimizers_back_is_kept(model, tmp_path):
    new = "C[Si](C)(C)C"
    quick = Trainer(initial_epochs=0, retrain_epochs=0.1)
    opt = molecule_search(X, range(6), model=model, trainer=quick, random_state=0).autosave(tmp_path / "camp")
    opt.model_.extend([new])
    opt.tell(new, 9.0)
    assert len(opt.ask(2)) == 2
    assert len(WeightedRetrainingOptimizer.load(tmp_path / "camp", model=model).ask(2)) == 2


def test_results_with_new_elements_are_told_in_the_shell(tmp_path, monkeypatch):
    monkeypatch.delenv("WRLSO_MODEL", raising=False)
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in X))
    camp = tmp_path / "camp"
    campaign.init(camp, tmp_path / "a.csv", model="selfies", training={"initial_epochs": 0})
    (tmp_path / "b.csv").write_text("smiles,value\nC[Si](C)(C)C,1\nxx,2\n")
    with campaign.recording(camp) as opt, pytest.raises(DataError, match="1 row of 2 cannot be told"):
        campaign.tell(opt, camp, tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("smiles,value\nC[Si](C)(C)C,1\n")
    with campaign.recording(camp) as opt:
        lines = campaign.tell(opt, camp, tmp_path / "b.csv")
    assert "1 token new to the model, which it learns from these data: [Si]" in lines
    opt = campaign.open_campaign(camp)
    assert "C[Si](C)(C)C" in opt.X_
    assert len(opt.ask(2)) == 2


def test_a_campaign_keeps_the_file_that_it_was_started_with(model, tmp_path, monkeypatch):
    monkeypatch.delenv("WRLSO_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    model.to_file("mine.safetensors", half=False)
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in X))
    camp = tmp_path / "camp"
    campaign.init(camp, tmp_path / "a.csv", model="mine.safetensors", training={"initial_epochs": 0})
    (tmp_path / "mine.safetensors").unlink()
    camp = camp.rename(tmp_path / "moved")
    opt = campaign.open_campaign(camp)
    assert type(opt.model_) is type(model)
    assert len(opt.ask(2)) == 2
    opt.save(tmp_path / "copy")
    assert campaign.open_campaign(tmp_path / "copy").pending_ == opt.pending_
    (camp / "pretrained.safetensors").unlink()
    with pytest.raises(ParameterError, match="started with the model in 'mine.safetensors'.* is missing"):
        campaign.open_campaign(camp)
    with pytest.raises(ParameterError, match="there is no file mine.safetensors"):
        make_model("mine.safetensors", 0)
    with pytest.raises(ParameterError, match="there is no file mine.safetensors"):
        campaign.init(tmp_path / "other", tmp_path / "a.csv", model="mine.safetensors")
    assert not (tmp_path / "other").exists()


def test_nothing_is_left_where_the_training_fails(tmp_path, monkeypatch):
    SelfiesVAE.pretrained().to_file(tmp_path / "m.safetensors")
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in X))

    def fit(self, X, y):
        assert (tmp_path / "camp" / "pretrained.safetensors").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(WeightedRetrainingOptimizer, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        campaign.init(tmp_path / "camp", tmp_path / "a.csv", model=str(tmp_path / "m.safetensors"))
    assert not (tmp_path / "camp").exists()


def test_nothing_is_left_where_the_disk_is_full(tmp_path, monkeypatch):
    SelfiesVAE.pretrained().to_file(tmp_path / "m.safetensors")
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in X))

    def to_file(self, path):
        path.write_text("half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SelfiesVAE, "to_file", to_file)
    with pytest.raises(OSError, match="No space left"):
        campaign.init(tmp_path / "camp", tmp_path / "a.csv", model=str(tmp_path / "m.safetensors"))
    assert not (tmp_path / "camp").exists()


def test_the_model_stays_with_a_campaign_that_is_there(tmp_path, monkeypatch):
    SelfiesVAE.pretrained().to_file(tmp_path / "m.safetensors")
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in X))
    save = WeightedRetrainingOptimizer.save

    def interrupted(self, path):
        save(self, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(WeightedRetrainingOptimizer, "save", interrupted)
    quick = {"initial_epochs": 0}
    with pytest.raises(KeyboardInterrupt):
        campaign.init(
            tmp_path / "camp", tmp_path / "a.csv", model=str(tmp_path / "m.safetensors"), training=quick
        )
    (tmp_path / "m.safetensors").unlink()
    assert campaign.open_campaign(tmp_path / "camp").history_.n_observed == len(X)


def test_a_campaign_whose_trees_grew_opens_again(tmp_path, monkeypatch):
    monkeypatch.delenv("WRLSO_MODEL", raising=False)
    JunctionTreeVAE(clique_vocabulary(X[:3]), hidden=8, stereo=True).to_file(tmp_path / "m.safetensors")
    more = [*X, "C[C@H](N)S", "C[C@@H](N)S", "C1CC1"]
    (tmp_path / "a.csv").write_text("smiles,value\n" + "".join(f"{x},{len(x)}\n" for x in more))
    file = str(tmp_path / "m.safetensors")
    lines = campaign.init(tmp_path / "camp", tmp_path / "a.csv", model=file, training={"initial_epochs": 0})
    assert any("labels new to the model" in line for line in lines)
    assert len(campaign.open_campaign(tmp_path / "camp").ask(2)) == 2


def test_one_text_is_no_list_of_molecules(model):
    for method in (model.extend, model.missing_tokens):
        with pytest.raises(DataTypeError, match="X must be an iterable of SMILES, got str"):
            method("CN")
