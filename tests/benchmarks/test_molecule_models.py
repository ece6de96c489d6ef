"""The benchmark of models of molecules: rates, and latent points of all kinds decoded to the end."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules import models as molecule_models
from wrlso.exceptions import DataError, DataTypeError, ParameterError
from wrlso.models import JunctionTreeVAE, SelfiesVAE, clique_vocabulary, decode_in_workers, workers

PARTS = ["C", "CO", "c1ccccc1", "CC(=O)N", "C1CCNCC1"]
X = sorted({canonical(a + b + c, stereo=False) for a in PARTS for b in PARTS for c in ("C", "F", "Cl", "CC")})


@pytest.fixture(scope="module")
def trees():
    torch.manual_seed(0)
    return JunctionTreeVAE(clique_vocabulary(X), hidden=16).eval()


def test_rates_change_nothing_in_the_model(trees):
    before = {name: tensor.clone() for name, tensor in trees.state_dict().items()}
    found = molecule_models.rates(trees, X, n_alone=2)
    assert set(found) == {"read", "encode", "decode", "train"}
    for name in ("encode", "decode", "train"):
        assert found[name]["ratio"] == pytest.approx(found[name]["batch"] / found[name]["alone"], rel=0.01)
        assert found[name]["batch"] > 0
    after = trees.state_dict()
    assert all(after[name].equal(tensor) for name, tensor in before.items())
    assert not trees.training
    assert all(parameter.grad is None for parameter in trees.parameters())
    with pytest.raises(DataError, match="got 1 unreadable"):
        molecule_models.rates(trees, ["C[Si](C)(C)C"])


@pytest.mark.parametrize("kind", molecule_models.KINDS)
def test_points_are_what_their_name_says(trees, kind):
    Z = trees.encode(trees.tensorize(X))
    y = np.array([float(len(x)) for x in X])
    points = torch.cat(list(molecule_models.latent_points(kind, trees, Z, y, 1100)))
    again = torch.cat(list(molecule_models.latent_points(kind, trees, Z, y, 1100)))
    assert points.shape == (1100, trees.latent_dim)
    assert points.equal(again)
    if kind == "data":
        remembered = copy.deepcopy(trees)
        ones = torch.ones(len(Z))
        remembered.memory.remember(Z, torch.full_like(Z, -40.0), ones)
        drawn = torch.cat(list(molecule_models.latent_points(kind, remembered, Z, y, 50)))
        assert drawn.equal(remembered.sample_prior(50, torch.Generator().manual_seed(0)))
        assert not drawn.equal(trees.sample_prior(50, torch.Generator().manual_seed(0)))
    if kind == "extreme":
        assert 9.9 < points.abs().max() <= 10.0
        assert -0.2 < points.mean() < 0.2
    if kind == "optimized":  # the same starts, ten steps on
        span = Z.std(dim=0).norm()
        assert (points[512:1024] - points[:512]).norm(dim=1).median() > 0.1 * span


@pytest.mark.parametrize("selfies", [False, True])
@pytest.mark.parametrize("kind", molecule_models.KINDS)
def test_all_points_are_accounted_for(trees, kind, selfies):
    model = SelfiesVAE.pretrained(stereo=False, max_tokens=20) if selfies else trees
    Z, y = model.encode(model.tensorize(X)), np.arange(float(len(X)))
    found = molecule_models.walk(model, molecule_models.latent_points(kind, model, Z, y, 60), 60)
    assert found["molecules"] + sum(found["nothing"].values()) == found["points"] == 60
    assert 0 < found["distinct"] <= found["molecules"]
    assert found["not_canonical"] == 0
    assert 0 <= found["slowest"] <= found["seconds"] + 0.1


def test_workers_decode_the_same(trees, monkeypatch):
    Z = trees.sample_prior(24, torch.Generator().manual_seed(0))
    # a second here, two in the workers, three times: what is rounded does not depend on the computer
    clock = iter([start + after for start in (0.0, 10.0, 20.0) for after in (0.0, 1.0, 3.0)])
    monkeypatch.setattr(molecule_models, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = molecule_models.in_workers(trees, Z, 2)
    assert found.pop("same") >= 0.9
    assert found == {"n_jobs": 2, "here": 24.0, "workers": 12.0, "ratio": 0.5}
    with pytest.raises(ParameterError, match="n_jobs must be an integer of at least 1"):
        molecule_models.in_workers(trees, Z, 0)


def test_the_number_of_workers_changes_nothing(trees, monkeypatch):
    monkeypatch.setattr(workers, "_CHUNK", 10)  # loky's own processes see it in what they are sent
    Z = trees.sample_prior(34, torch.Generator().manual_seed(0))
    found = [
        decode_in_workers(trees, Z, 0.8, torch.Generator().manual_seed(1), n_jobs=n_jobs) for n_jobs in (1, 2)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 34
    assert len(set(found[0])) > 5
    other = decode_in_workers(trees, Z, 0.8, torch.Generator().manual_seed(2), n_jobs=1)
    assert other != found[0]
    plain = [x for part in Z.split(10) for x in trees.decode(part)]
    assert decode_in_workers(trees, Z, n_jobs=1) == plain
    assert decode_in_workers(trees, Z[:0], n_jobs=2) == []
    assert decode_in_workers(trees, Z.tolist(), n_jobs=1) == plain


def test_workers_refuse_what_cannot_be(trees):
    with pytest.raises(ParameterError, match="at least 1, or -1 .one for each core., got 0"):
        decode_in_workers(trees, torch.zeros(2, 56), n_jobs=0)
    with pytest.raises(DataError, match=r"Z must have shape \(n, 56\), got \(56,\)"):
        decode_in_workers(trees, torch.zeros(56))
    with pytest.raises(DataTypeError, match=r"Z must be latent points \(n, 56\), got 'abc'"):
        decode_in_workers(trees, "abc")


def test_there_are_three_kinds_of_points(trees):
    with pytest.raises(ParameterError, match="kind must be one of"):
        next(molecule_models.latent_points("prior", trees, torch.zeros(2, 56), np.zeros(2), 5))


def test_what_is_not_canonical_is_counted(trees, monkeypatch):
    monkeypatch.setattr(trees, "decode_counted", lambda Z: (["OCC", "CCO", None], {"max_cliques": 1}))
    found = molecule_models.walk(trees, iter([torch.zeros(3, trees.latent_dim)]), 3)
    assert (found["molecules"], found["not_canonical"], found["nothing"]) == (2, 1, {"max_cliques": 1})


def test_a_record_is_written(trees, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(molecule_models, "fetch_zinc250k", lambda: X)
    trees.to_file(tmp_path / "m.safetensors", half=False)
    out = tmp_path / "found.json"
    arguments = [str(tmp_path / "m.safetensors"), "--points", "60", "--out", str(out)]
    assert molecule_models.main(arguments) == 0
    record = json.loads(out.read_text())
    assert record["model"] == "JunctionTreeVAE"
    assert [record[kind]["points"] for kind in molecule_models.KINDS] == [20, 20, 20]
    assert record["file"].startswith("m-")
    assert record["parameters"]["hidden"] == 16
    for wrong in (["--points", "-1"], ["--molecules", "0"]):
        with pytest.raises(ParameterError, match=wrong[0].strip("-")):
            molecule_models.main(wrong)
    assert json.loads(capsys.readouterr().out)["per_second"] == record["per_second"]
