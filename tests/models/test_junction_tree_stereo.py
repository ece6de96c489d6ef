"""Stereochemistry of junction trees: labels, isomers, and the model that knows them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, GetStereoisomerCount

from wrlso._chemistry.smiles import canonical, parse
from wrlso.exceptions import DataError, ParameterTypeError
from wrlso.models import JunctionTreeVAE, SelfiesVAE, clique_vocabulary, load_molecule_model
from wrlso.models.junction_tree import _stereo
from wrlso.models.junction_tree._batches import (
    ATOM_LABELS,
    BOND_LABELS,
    N_ATOM_CODES,
    N_BOND_KINDS,
    graph_slots,
    unpack,
    unpack_isomers,
)
from wrlso.models.junction_tree._reading import read_tree
from wrlso.models.junction_tree._stereo import isomers, labelled_isomers, stereo_labels
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
ALIKE = [  # of their isomers, some have mirror planes or fewer labels than others
    "CC1CN(C)CC(C)O1",
    "CC(O)C(O)C(C)O",
    "CC1CC(C)CC(C)C1",
]
X = sorted(
    {canonical(Chem.MolToSmiles(m)) for x in FLAT for m in EnumerateStereoisomers(Chem.MolFromSmiles(x))}
)


def tiny(**parameters):
    torch.manual_seed(0)
    sizes = {"hidden": 16, "tree_dim": 3, "graph_dim": 2, "stereo": True}
    return JunctionTreeVAE(clique_vocabulary([*X, *ALIKE]), **(sizes | parameters)).eval()


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
    with pytest.raises(DataError, match="'CCO' must be"):
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
        row = reading.row[: len(plain.row)].copy()  # the isomers stand behind
        seen.add((tuple(row[atoms]), tuple(row[bonds])))
        row[atoms] %= N_ATOM_CODES
        row[bonds] %= N_BOND_KINDS
        assert row.tolist() == plain.row.tolist()
    assert len(seen) == len(found)


def test_the_encoder_sees_isomers_and_a_flat_model_does_not(model):
    pair = ["C[C@H](O)[C@H](N)F", "C[C@@H](O)[C@H](N)F"]
    one, other = model.encode(model.tensorize(pair))
    assert one[:3].equal(other[:3])  # the tree
    assert (one[3:] - other[3:]).abs().max() > 1e-4
    flat = tiny(stereo=False)
    assert flat.encode(flat.tensorize(pair))[0].equal(flat.encode(flat.tensorize(pair))[1])
    for name in (*FLAT, *ALIKE):  # in whatever order atoms that are alike stand
        Z = model.encode(model.tensorize(isomers(canonical(name), 32)))
        assert len(Z) < 2 or float(torch.pdist(Z).min()) > 1e-5
    assert [model.key(x) for x in pair] == [canonical(x) for x in pair]
    assert len({flat.key(x) for x in pair}) == 1


@torch.no_grad()
def stereo_nll(model, smiles, z):
    """How unlikely the stereochemistry of molecules is, all with the same z."""
    inputs = model.tensorize(smiles)
    return model.stereochemistry.nll(z.expand(len(smiles), -1), unpack(inputs)[1], unpack_isomers(inputs))


@torch.no_grad()
@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([*FLAT, *ALIKE]), min_size=1, max_size=4, unique=True), st.integers(0, 2**31))
def test_the_probabilities_of_isomers_add_up_to_one(flats, seed):
    model = tiny()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.stereochemistry.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    z = 3.0 * torch.randn(1, 2, generator=generator)
    found = [isomers(canonical(flat), 100) for flat in flats]
    every = stereo_nll(model, [x for own in found for x in own], z).split([len(own) for own in found])
    for flat, nll in zip(flats, every, strict=True):
        assert float(torch.exp(-nll).sum()) == pytest.approx(1.0, abs=1e-4)
        assert float(stereo_nll(model, [flat], z)) == 0.0  # it is one of them


@torch.no_grad()
def test_what_is_left_open_is_summed_over(model):
    z = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    for x, n in (("CC(O)[C@H](N)F", 2), ("F/C=C/CC(C)O", 2), ("C[C@H](O)C(O)C", 2), ("CC(O)C(O)C", 3)):
        own = isomers(x, 32)
        assert len(own) == n
        whole, *parts = (model.log_likelihood(model.tensorize([y]), z) for y in (x, *own))
        torch.testing.assert_close(whole, torch.stack(parts).logsumexp(dim=0))
        assert sum(canonical(y, stereo=False) == canonical(x, stereo=False) for y in own) == n
    # RDKit takes the corners of the cage for centres; what is specified has a likelihood all the same
    cage = [f"C[C{sign}H](N)C12CC3CC(CC(C3)C1)C2" for sign in ("@", "@@")]
    nll = stereo_nll(tiny().extend(cage), cage, z[:, 3:])
    assert float(nll.min()) > 0.0
    assert float(torch.exp(-nll).sum()) == pytest.approx(1.0, abs=1e-5)


@torch.no_grad()
def test_each_isomer_is_scored_as_the_graph_that_it_is(model):
    scorer = model.stereochemistry
    flats = [canonical(x) for x in ("FC=CCC(C)O", "CC(O)C(O)C", "CC(O)C(N)F")]
    z = torch.randn(len(flats), 2, generator=torch.Generator().manual_seed(0))
    found = [isomers(flat, 32) for flat in flats]
    chosen = [own[k] for k, own in enumerate(found)]
    inputs = model.tensorize(chosen)
    scores = scorer(z, unpack(inputs)[1], unpack_isomers(inputs)).split([len(own) for own in found])
    for k, (flat, own) in enumerate(zip(flats, found, strict=True)):
        labels = np.array([[*atoms, *bonds] for atoms, bonds in (stereo_labels(x, flat) for x in own)])
        for x, score in zip(own, scores[k], strict=True):
            graph = unpack(model.tensorize([x]))[1]
            state, total = scorer.messages.atoms(graph), 0.0
            for site in labels.any(axis=0).nonzero()[0]:
                bond = site - len(state)
                total += state[site] if bond < 0 else state[graph.begin[bond]] + state[graph.end[bond]]
            torch.testing.assert_close(score, scorer.score(torch.cat([total, z[k]]))[0])
        nll = scorer.nll(z, unpack(inputs)[1], unpack_isomers(inputs))[k]
        torch.testing.assert_close(nll, -scores[k].log_softmax(dim=0)[own.index(chosen[k])])


@torch.no_grad()
def test_flat_molecules_and_their_isomers_differ_by_the_stereochemistry(model):
    z = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).expand(len(X), -1)
    flat = model.tensorize([canonical(x, stereo=False) for x in X])
    difference = model.log_likelihood(flat, z) - model.log_likelihood(model.tensorize(X), z)
    torch.testing.assert_close(difference, stereo_nll(model, X, z[:1, 3:]), rtol=1e-4, atol=1e-4)
    assert [float(d) > 1e-3 for d in difference] == [canonical(x, stereo=False) != x for x in X]
    other = tiny(stereo=False)
    other.load_state_dict({k: v for k, v in model.state_dict().items() if k in other.state_dict()})
    expected = other.log_likelihood(other.tensorize(X), z)
    torch.testing.assert_close(model.log_likelihood(flat, z), expected)


@torch.no_grad()
def test_of_many_isomers_a_row_lists_some_and_its_own(model):
    many = canonical("CC(O)C(F)C(Cl)C(Br)C(N)C(S)C")
    model = tiny().extend([many])
    z = torch.randn(1, 2, generator=torch.Generator().manual_seed(0))
    found, listed = isomers(many, 1000), isomers(many, 32)
    missing = sorted(set(found) - set(listed))
    assert (len(found), len(listed), len(missing)) == (64, 32, 32)
    counts = torch.bincount(unpack_isomers(model.tensorize([listed[0], missing[0], many])).molecule)
    assert counts.tolist() == [32, 33]  # and none for what leaves all open
    nll = stereo_nll(model, [*listed, missing[0]], z)
    assert float(torch.exp(-nll[:-1]).sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(nll[-1]) > 0.0


@torch.no_grad()
def test_isomers_are_scored_alike_however_many_at_a_time(model, monkeypatch):
    flats = [canonical(x) for x in (*FLAT, "CC(O)C(F)C(Cl)C(Br)C(N)C(S)C")]
    rows = [read_tree(flat, "refuse").row for flat in flats]
    labels = [list(labelled_isomers(flat, 64).values()) for flat in flats]
    z = torch.randn(len(flats), 2, generator=torch.Generator().manual_seed(0))
    found = []
    for block in (1, 3, 1000):
        monkeypatch.setattr(_stereo, "_BLOCK", block)
        found.append(model.stereochemistry.compare(z, rows, labels))
        assert [len(scores) for scores in found[-1]] == [4, 4, 2, 4, 3, 3, 1, 1, 64]
    for other in found[:2]:
        for scores, expected in zip(other, found[2], strict=True):
            torch.testing.assert_close(scores, expected)
    assert model.stereochemistry.compare(z[:0], [], []) == []


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


def test_a_molecule_with_a_mirror_plane_is_learned():
    x = canonical("C[C@@H]1CN(C)C[C@H](C)O1")  # R at one of two centres that are alike, S at the other
    small = tiny().fit([x], epochs=150, batch_size=1, lr=1e-2, verbose=0)
    Z = small.encode(small.tensorize([x]))
    assert small.decode(Z) == [x]
    assert float(stereo_nll(small, [x], Z[:, 3:])) < 0.1
    others = [y for y in isomers(canonical(x, stereo=False), 9) if y != x]
    assert len(others) == 2
    assert float(stereo_nll(small, others, Z[:, 3:]).min()) > 2.0


@pytest.mark.parametrize("flat", ALIKE)
def test_every_isomer_can_win(flat):
    found = isomers(canonical(flat), 9)
    labels = [sum(map(bool, stereo_labels(x, canonical(flat))[0])) for x in found]
    assert flat == ALIKE[0] or len(set(labels)) == 2  # centres that are none in some of them
    small = tiny(hidden=32, beta=0.0005).fit(found, epochs=200, batch_size=4, lr=1e-2, verbose=0)
    assert small.decode(small.encode(small.tensorize(found))) == found


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
    labelled_isomers.cache_clear()
    with pytest.raises(DataError, match="row 0: .* is too symmetric"):
        model.tensorize(["C[C@H]1CC[C@@H](C)CC1"])
    assert specified(model, ["CC1CCC(C)CC1", "CCO"], torch.zeros(2, 2)) == {"not readable", "CCO"}
    read_tree.cache_clear()
    labelled_isomers.cache_clear()


def test_what_is_tried_is_bounded(monkeypatch):
    cubane = "C12C3C4C1C5C2C3C45"  # one isomer, of 256 choices
    assert GetStereoisomerCount(parse(cubane)) == 256
    offered = []

    def counted(molecule, options):
        assert not options.unique  # with it, RDKit may try all choices for one more
        for one in EnumerateStereoisomers(molecule, options):
            offered.append(one)
            yield one

    monkeypatch.setattr("rdkit.Chem.EnumerateStereoisomers.EnumerateStereoisomers", counted)
    assert len(isomers(cubane, 5)) == 1
    assert len(offered) == 20
