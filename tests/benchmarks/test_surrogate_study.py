"""The study of the surrogate, without the packages that it compares with."""

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.benchmarks.surrogate import __main__ as surrogate
from wrlso.benchmarks.surrogate import data as _surrogate_data
from wrlso.benchmarks.surrogate import defaults as _surrogate_defaults
from wrlso.benchmarks.surrogate.__main__ import (
    Ours,
    compare,
    comparison_table,
    main,
    measure_asks,
    scaling_table,
)
from wrlso.benchmarks.surrogate.data import MoleculeLatents, tensor
from wrlso.benchmarks.surrogate.defaults import compare_options, compare_refits, options_table, refits_table
from wrlso.benchmarks.surrogate.factors import table as factors_table
from wrlso.benchmarks.surrogate.limits import table as limits_table
from wrlso.benchmarks.surrogate.peers import PEERS, BoTorchExact, BoTorchVariational, GPflowPeer
from wrlso.benchmarks.surrogate.points import PointModel
from wrlso.exceptions import ParameterError
from wrlso.surrogate import SparseGP

RECORDS = Path(__file__).parents[2] / "docs" / "benchmarks" / "surrogate"


def latents(n=150, d=3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    return Z, np.sin(Z[:, 0]) + 0.5 * Z[:, 1] + 0.1 * rng.normal(size=n)


@dataclass
class SmallLatents:
    """In place of MoleculeLatents."""

    d: int = 3
    n: int = 150
    seed: int = 0

    @property
    def Z(self):
        return latents(self.n, self.d, self.seed)[0]

    @property
    def y(self):
        return latents(self.n, self.d, self.seed)[1]

    def objective(self, z):
        return float(np.sin(z[0]) + 0.5 * z[1])


@pytest.fixture
def small(monkeypatch):
    for module in (surrogate, _surrogate_defaults):
        monkeypatch.setattr(module, "MoleculeLatents", SmallLatents)
    for module in (_surrogate_data, _surrogate_defaults, surrogate):
        monkeypatch.setattr(module, "LATENTS", {"small": lambda seed: latents(seed=seed)})
    monkeypatch.setattr(_surrogate_defaults, "_KNOWN", 40)


class RandomPeer:
    """The right model and a search that is none."""

    def __init__(self):
        self.facts = {}

    def fit(self, Z, y, seed):
        self.gp = SparseGP(max_iter=5).fit(tensor(Z), tensor(y), np.random.default_rng(seed))
        self.noise, self.incumbent = self.gp.noise_variance(), float(np.percentile(y, 90))

    def propose(self, half_width, seed):
        return np.random.default_rng(seed).uniform(-half_width, half_width)

    def predict(self, Z):
        return self.gp.predict(Z)


def test_points_are_their_own_latent_points():
    model, (Z, _) = PointModel(3), latents(5)
    inputs = model.tensorize(list(Z))
    np.testing.assert_array_equal(model.encode(inputs), Z)
    decoded = model.decode(tensor(Z), 1.0)
    np.testing.assert_array_equal(np.stack(decoded), Z)
    assert len({model.key(x) for x in [*decoded, Z[0].copy()]}) == 5
    assert model.loss(inputs).shape == (5,)


# ------------------------------------------------------------------ ours


def test_ours_conditions_between_fits_and_refits_when_values_say_so():
    Z, y = latents()
    ours = Ours(40)
    ours.fit(Z[:100], y[:100], 0)
    by_hand = SparseGP(40).fit(tensor(Z[:100]), tensor(y[:100]), np.random.default_rng(0))
    ours.fit(Z[:104], y[:104], 1)
    by_hand = by_hand.condition_on(tensor(Z[100:104]), tensor(y[100:104]))
    for found, expected in zip(ours.predict(tensor(Z)), by_hand.predict(tensor(Z)), strict=True):
        assert torch.equal(found, expected)
    assert ours.facts == {"fits": 1}
    ours.fit(Z[:112], np.append(y[:104], y[104:112] + 9.0), 2)
    assert ours.facts == {"fits": 2}


def test_ours_asks_for_new_points_in_the_box():
    Z, y = latents()
    ours = Ours(40)
    ours.fit(Z, y, 0)
    half_width = 1.1 * np.quantile(np.abs(Z), 0.999, axis=0)
    z = ours.propose(half_width, 0)
    assert (np.abs(z) <= half_width + 1e-12).all()
    assert not (z == Z).all(axis=1).any()


# ------------------------------------------------------------------ the comparison


def test_comparison_judges_both_searches_on_the_peers_model(small, monkeypatch, tmp_path):
    monkeypatch.setitem(PEERS, "random", RandomPeer)
    options = ["--known", "100", "--new", "50", "--d", "3", "--inducing", "30", "--queries", "4"]
    out = tmp_path / "compare.json"
    arguments = ["compare", "--peers", "random", "--peer-queries", "2", *options, "--out", str(out)]
    assert main(arguments) == 0
    record = json.loads(out.read_text())
    ours, peer = record["methods"]["ours"], record["methods"]["random"]
    assert (len(ours["y"]), len(peer["y"])) == (4, 2)
    assert ours["seconds_per_ask_ratio"] == 1
    assert peer["seconds_per_ask_ratio"] == pytest.approx(peer["seconds_per_ask"] / ours["seconds_per_ask"])
    assert np.all(np.array(peer["acquisition_by_ours"]) >= peer["acquisition"])
    assert np.mean(peer["acquisition_by_ours"]) > np.mean(peer["acquisition"]) + 0.1
    assert ours["log_density"] == pytest.approx(peer["log_density"], abs=0.3)
    assert ours["log_density"] > 0  # the standard deviation of the noise is 0.1
    assert out.with_suffix(".csv").read_text() == comparison_table(record)


def test_held_out_density_is_that_of_a_normal_distribution():
    class Model:
        noise = 3.0

        def predict(self, Z):
            return Z[:, 0], Z[:, 0] * 0 + 1.0

    density = surrogate._log_density(Model(), np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    assert density == pytest.approx(-0.5 * np.log(2 * np.pi * 4.0) - 0.25 * 4.0 / 4.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peers": ["none"]}, "peers must be one of"),
        ({"peer_queries": [1, 2]}, "peer_queries must be 1 numbers of at least 1"),
        ({"peer_queries": [0]}, "peer_queries must be 1 numbers of at least 1"),
        ({"known": 0}, "known must be an integer of at least 1"),
    ],
)
def test_comparisons_that_cannot_be(changes, message):
    options = {"known": 5, "new": 5, "d": 2, "n_inducing": 2, "queries": 1, "seed": 0}
    options |= {"peers": ["gpflow"], "peer_queries": [1]} | changes
    with pytest.raises(ParameterError, match=message):
        compare(options.pop("peers"), **options)


@pytest.mark.parametrize(
    ("peer", "package"),
    [(GPflowPeer, "gpflow"), (BoTorchExact, "botorch.models"), (BoTorchVariational, "botorch.models")],
)
def test_what_is_missing_is_named(peer, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match="which only this benchmark needs: install .* 'gpflow"):
        peer().fit(*latents(), 0)


@pytest.mark.parametrize(
    ("peer", "package"),
    [(lambda: BoTorchExact(10, 30), "botorch"), (lambda: BoTorchVariational(10, 1), "botorch")],
    ids=["exact", "variational"],
)
def test_peers_predict_with_gradients(peer, package):
    pytest.importorskip(package)
    Z, y = latents(60)
    model = peer()
    model.fit(Z, y, 0)
    points = tensor(Z[:3]).requires_grad_(True)
    assert torch.autograd.gradcheck(model.predict, (points,), atol=1e-4, check_undefined_grad=False)


# ------------------------------------------------------------------ the other parts


@settings(max_examples=25, deadline=None)
@given(n=st.integers(20, 200), seed=st.integers(0, 1000), split=st.sampled_from(_surrogate_defaults.SPLITS))
def test_splits_part_the_data(n, seed, split):
    y = np.random.default_rng(seed).normal(size=n)
    known, new = _surrogate_defaults._split(y, split, np.random.default_rng(seed))
    assert sorted([*known, *new]) == list(range(n))
    assert len(new) < len(known)
    if split == "beyond":
        assert y[new].min() > y[known].max()


def test_options_are_compared_on_the_same_values(small, tmp_path, capsys):
    out = tmp_path / "defaults.json"
    assert main(["defaults", "--tasks", "small", "--inducing", "20", "--out", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert len(results) == 2 * len(_surrogate_defaults.OPTIONS)
    assert {(r["task"], r["d"], r["n"]) for r in results} == {("small", 3, 108), ("small", 3, 135)}
    density = {(r["split"], r["option"]): r["log_density"] for r in results}
    # the function is half linear, and goes on beyond the data
    assert density["beyond", "linear+rbf"] > density["beyond", "default"]
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["Held out", "Option", "small"]
    assert rows[1][2].startswith(f"{density['random', 'default']:.3f} / ")


def test_options_that_cannot_be():
    with pytest.raises(ParameterError, match="tasks must be one of"):
        compare_options(["none"], ["rbf"], [0])
    with pytest.raises(ParameterError, match="options must be one of"):
        compare_options(["shapes"], ["none"], [0])


def test_policies_of_refitting(small, tmp_path):
    results = compare_refits([5, None], [0], budget=20, batch=5)
    assert [(r["policy"], r["fits"]) for r in results] == [(5, 4), ("never", 1)]
    assert all(np.isfinite(r["log_density"]) for r in results)
    assert results[0]["best"] >= results[0]["top10"]
    assert refits_table(results).splitlines()[2].startswith("never,")
    out = tmp_path / "refit.json"
    with pytest.raises(ParameterError, match="policies must be numbers, 'auto' or 'never', got 'often'"):
        main(["refit", "--policies", "often", "--out", str(out)])
    assert not out.exists()


def test_asks_between_fits_are_measured():
    found = measure_asks(60, 3, 15, 2)
    assert len(found["seconds"]) == len(found["processor_seconds"]) == 2
    assert found["data_megabytes"] == pytest.approx(60 * 3 * 8 / 1e6)
    assert found["megabytes"] >= 0


def test_molecule_latents_are_scored_by_what_they_decode_to(monkeypatch):
    pytest.importorskip("rdkit")
    pytest.importorskip("selfies")
    from wrlso.models.selfies import SelfiesVAE

    molecules = ["CC(C)Cc1ccc(C(C)C(=O)O)cc1", "Cc1ccc(C(=O)N2CCOCC2)cc1", "CC(C)NC(=O)c1ccccc1F"]
    model = SelfiesVAE.pretrained()
    Z = _surrogate_data._encoded(model, molecules)
    monkeypatch.setattr(_surrogate_data, "_zinc_encodings", lambda n, seed: (molecules, Z))
    data = MoleculeLatents(104, 3)
    np.testing.assert_array_equal(data.Z, Z)
    assert [data.objective(z) for z in Z] == pytest.approx(list(data.y))
    few = MoleculeLatents(5, 3)
    assert few.Z.std(axis=0).min() >= np.sort(Z.std(axis=0))[-5]
    with pytest.raises(ParameterError, match="d must be at most 104"):
        MoleculeLatents(105)


TABLES = {
    "compare": comparison_table,
    "scaling": scaling_table,
    "defaults": lambda record: options_table(record["results"]),
    "factors": lambda record: factors_table(record["results"]),
    "limits": lambda record: limits_table(record["results"]),
    "refit": lambda record: refits_table(record["results"]),
}


@pytest.mark.parametrize("part", sorted(path.stem for path in RECORDS.glob("*.json")))
def test_committed_tables_follow_from_their_records(part):
    record = json.loads((RECORDS / f"{part}.json").read_text(encoding="utf-8"))
    assert record["kind"] == f"surrogate-{part}"
    assert (RECORDS / f"{part}.csv").read_text(encoding="utf-8") == TABLES[part](record)
