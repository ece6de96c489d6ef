"""Stereochemistry of junction trees: labels, isomers, and the model that knows them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers

from wrlso._smiles import canonical
from wrlso.exceptions import DataError, ParameterTypeError
from wrlso.models import JunctionTreeVAE, SelfiesVAE, clique_vocabulary, load_molecule_model
from wrlso.models.junction_tree import _stereo
from wrlso.models.junction_tree._packing import (
    ATOM_LABELS,
    BOND_LABELS,
    N_ATOM_CODES,
    N_BOND_KINDS,
    graph_slots,
    unpack,
)
from wrlso.models.junction_tree._reading import read_tree
from wrlso.models.junction_tree._stereo import isomers, stereo_labels
from wrlso.testing import check_latent_model

FLAT = [
    "CC(O)C(N)F",
    "FC=CCC(C)O",
    "CC1CCC(C)CC1",
    "OC1CCCCC1Cl",
    "CC(O)C(O)C",
    "CC=CC=CC",
    "CCO",
    "c1ccccc1",
]
X = sorted(
    {canonical(Chem.MolToSmiles(m)) for x in FLAT for m in EnumerateStereoisomers(Chem.MolFromSmiles(x))}
)


def tiny(**parameters):
    torch.manual_seed(0)
    sizes = {"hidden": 16, "tree_dim": 3, "graph_dim": 2, "stereo": True}
    return JunctionTreeVAE(clique_vocabulary(X), **(sizes | parameters)).eval()


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.mark.parametrize(
    ("smiles", "atoms", "bonds"),
    [
        ("C[C@H](O)CC", ["S"], []),
        ("C[C@@H](O)CC", ["R"], []),
        ("F/C=C/F", [], ["E"]),
        ("F/C=C\\F", [], ["Z"]),
        ("C[C@H]1CC[C@@H](C)CC1", ["s", "s"], []),  # one of the two has no chiral atoms, and yet two isomers
        ("C[C@H](O)[C@@H](C)O", ["R", "S"], []),
        ("C[C@H](O)C(C)O", ["S"], []),  # partly specified
        ("CC(O)CC", [], []),
    ],
)
def test_labels_are_those_of_cahn_ingold_and_prelog(smiles, atoms, bonds):
    found = stereo_labels(smiles, canonical(smiles, stereo=False))
    assert sorted(ATOM_LABELS[i - 1] for i in found[0] if i) == atoms
    assert [BOND_LABELS[i - 1] for i in found[1] if i] == bonds


def test_labels_stand_at_their_atoms_where_a_molecule_looks_alike_but_for_its_hydrogen():
    x = "C[C@H](O)c1nc[nH]c1[C@@H](C)O"  # bonds and elements do not tell the two sides apart
    flat = canonical(x, stereo=False)
    names = {}
    for other in isomers(flat, 4):
        labels = stereo_labels(other, flat)[0]
        assert labels not in names.values()
        names[other] = labels
    assert len(names) == 4
    with pytest.raises(DataError, match="'CCO' is not what"):
        stereo_labels(x, "CCO")


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(X), st.integers(0, 10**6))
def test_another_order_of_atoms_is_the_same_molecule(x, seed):
    molecule = Chem.MolFromSmiles(x)
    order = np.random.default_rng(seed).permutation(molecule.GetNumAtoms()).tolist()
    other = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
    assert read_tree(other, "refuse", True) == read_tree(x, "refuse", True)


@pytest.mark.parametrize("flat", FLAT)
def test_isomers_have_one_tree_and_graphs_of_their_own(flat):
    plain = read_tree(flat, "refuse")
    atoms, bonds = graph_slots(plain.row)
    seen = set()
    found = isomers(canonical(flat), 32)
    assert set(found) <= set(X)
    assert len(found) == len([x for x in X if canonical(x, stereo=False) == canonical(flat)])
    for x in found:
        reading = read_tree(x, "refuse", True)
        assert reading.smiles == x
        assert reading.labels == plain.labels
        row = reading.row.copy()
        seen.add((tuple(sorted(row[atoms])), tuple(sorted(row[bonds]))))
        row[atoms] %= N_ATOM_CODES
        row[bonds] %= N_BOND_KINDS
        assert row.tolist() == plain.row.tolist()
    # what is mirrored in a plane has the labels of one isomer only; two centres of one kind can look alike
    assert len(seen) >= min(len(found), 2)


def test_the_encoder_sees_isomers_and_a_flat_model_does_not(model):
    pair = ["C[C@H](O)[C@H](N)F", "C[C@@H](O)[C@H](N)F"]
    one, other = model.encode(model.tensorize(pair))
    assert one[:3].equal(other[:3])  # the tree
    assert (one[3:] - other[3:]).abs().max() > 1e-4
    flat = tiny(stereo=False)
    assert flat.encode(flat.tensorize(pair))[0].equal(flat.encode(flat.tensorize(pair))[1])
    assert [model.key(x) for x in pair] == [canonical(x) for x in pair]
    assert len({flat.key(x) for x in pair}) == 1


@torch.no_grad()
def test_the_likelihood_of_isomers_is_that_of_their_labels(model):
    inputs = model.tensorize(X)
    _, graph, _ = unpack(inputs)
    z = torch.randn(len(X), 2, generator=torch.Generator().manual_seed(0))
    atoms, bonds = model.stereochemistry(z, graph)
    for log_p in (atoms, bonds):
        torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(len(log_p)))
    nll = model.stereochemistry.nll(z, graph)
    for row, x in enumerate(X):
        expected = 0.0
        labels = stereo_labels(x, canonical(x, stereo=False))
        for log_p, own, of in zip(
            (atoms, bonds), labels, (graph.molecule, graph.molecule[graph.begin]), strict=True
        ):
            mine = log_p[of == row]
            expected -= sum(float(mine[i, label - 1]) for i, label in enumerate(own) if label)
        assert float(nll[row]) == pytest.approx(expected, abs=1e-5)
    flat = model.tensorize([canonical(x, stereo=False) for x in X])
    again = model.stereochemistry(z, unpack(flat)[1])  # blind to the labels that it is to say
    torch.testing.assert_close(again, (atoms, bonds))
    Z = torch.cat([torch.zeros(len(X), 3), z], dim=1)
    difference = model.log_likelihood(flat, Z) - model.log_likelihood(inputs, Z)
    torch.testing.assert_close(difference, nll, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_whatever_is_written_is_specified_and_can_be_read(model, seed, scale, temperature):
    Z = scale * torch.randn(8, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    found, reasons = model.decode_counted(Z, temperature, torch.Generator().manual_seed(1))
    written = [x for x in found if x is not None]
    assert len(written) + sum(reasons.values()) == 8
    assert [canonical(x) for x in written] == written
    assert len(model.tensorize(written)) == len(written)
    for x in written:
        assert x in isomers(canonical(x, stereo=False), 10**4)


def specified(model, flat, z):
    """Molecules, or reasons, that come of flat ones."""
    results = [(x, None) for x in flat]
    with torch.no_grad():
        model._specify(results, model.stereochemistry, z, lambda scores, of: scores)
    assert all((x is None) != (reason is None) for x, reason in results)
    return {x or reason for x, reason in results}


def test_nitrogen_has_no_sides():
    for x in ("C[C@H]1CN2CCC1CC2", "C=C[C@H]1CN2CC[C@H]1C[C@H]2[C@@H](C)O", "C[C@H]1CN1C"):
        assert canonical(x) in isomers(canonical(x, stereo=False), 64)
    assert len(isomers("CC1CN2CCC1CC2", 64)) == 2


def test_no_more_isomers_than_allowed(model, tmp_path):
    many = canonical("CC(O)C(F)C(Cl)C(Br)C(N)C(S)C")
    assert len(isomers(many, 5)) == 5
    assert isomers(many, 5) == isomers(many, 5)
    assert len(isomers(many, 1000)) == 64
    assert isomers("CCO", 5) == ["CCO"]
    model.to_file(tmp_path / "m.safetensors", half=False)
    single = load_molecule_model(tmp_path / "m.safetensors", max_isomers=1)
    flat, z = canonical("CC(O)C(N)F"), torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 30.0
    assert specified(single, [flat] * 40, z) == {isomers(flat, 1)[0]}
    assert len(specified(model, [flat] * 40, z)) > 1


def test_isomers_are_learned_and_come_back():
    pairs = [x for x in X if canonical(x, stereo=False) in {canonical(flat) for flat in FLAT[:2]}]
    small = tiny(hidden=32).fit(pairs, epochs=250, batch_size=8, lr=1e-2, verbose=0)
    again = small.decode(small.encode(small.tensorize(pairs)))
    assert len(pairs) == 8
    assert sum(a == b for a, b in zip(again, pairs, strict=True)) >= 6


@pytest.mark.parametrize("stereo", ["no", 1, None])
def test_it_is_a_matter_of_true_or_false(stereo):
    for kind in (JunctionTreeVAE, SelfiesVAE):
        with pytest.raises(ParameterTypeError, match="stereo must be True or False, got"):
            kind(["CC"] if kind is JunctionTreeVAE else ["[C]"], stereo=stereo)


def test_keeps_the_contract(model):
    check_latent_model(model, X)


def test_a_file_knows_of_stereochemistry(model, tmp_path):
    model.to_file(tmp_path / "m.safetensors", half=False)
    other = load_molecule_model(tmp_path / "m.safetensors")
    assert other.stereo
    Z = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    assert other.decode(Z) == model.decode(Z)


def test_what_is_too_symmetric_is_named(model, monkeypatch):
    monkeypatch.setattr(_stereo, "_EFFORT", 1)
    read_tree.cache_clear()
    with pytest.raises(DataError, match="row 0: .* is too symmetric"):
        model.tensorize(["C[C@H]1CC[C@@H](C)CC1"])
    assert specified(model, ["CC1CCC(C)CC1", "CCO"], torch.zeros(2, 2)) == {"not readable", "CCO"}
    read_tree.cache_clear()
