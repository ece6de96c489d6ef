"""Junction trees: taking molecules apart and together, messages against plain loops, decoding in bounds."""

import copy
import json
import os
import weakref
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
import some_molecules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from torch import nn
from torch.nn import functional as F

from wrlso import TanimotoGP, Trainer
from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules import pretrain, pretrain_trees
from wrlso.benchmarks.molecules.model_card import measure
from wrlso.datasets import fetch_zinc250k, load_molecules
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models import JunctionTreeVAE, LatentModel, clique_vocabulary, decode_in_workers
from wrlso.models.junction_tree import _networks, _reading, vocabulary_hash
from wrlso.models.junction_tree._assembly import Assembly, Attachment, least_places, possible
from wrlso.models.junction_tree._batches import unpack
from wrlso.models.junction_tree._building import Bounds, Building, fits_around
from wrlso.models.junction_tree._cliques import clique_tree
from wrlso.models.junction_tree._ledger import Ledger
from wrlso.models.junction_tree._networks import choice_nll, tree_steps
from wrlso.models.junction_tree._reading import read_tree, read_trees, readable
from wrlso.models.junction_tree._templates import template
from wrlso.models.junction_tree._trees import decompose, recompose
from wrlso.molecules import molecule_search
from wrlso.testing import check_latent_model

REFERENCE = Path(os.environ.get("WRLSO_DATA") or Path(__file__).parents[3] / "shared" / "data")
MOLECULES = [
    *some_molecules.MOLECULES,
    "C",
    "C1CC12CCCC2",
    "c1cc2ccc3cccc4ccc(c1)c2c34",
    "C1CC2CCC1C2",
    "C[n+]1ccccc1",
    "c1ccc2cccc-2cc1",
]
SHIPPED = load_molecules().smiles[::250]


def tiny(X=tuple(MOLECULES), **parameters):
    torch.manual_seed(0)
    sizes = {"hidden": 16, "tree_dim": 3, "graph_dim": 2}
    return JunctionTreeVAE(clique_vocabulary(list(X), progress=False), **(sizes | parameters)).eval()


@pytest.fixture(scope="module")
def model():
    return tiny([*MOLECULES, *SHIPPED])


@pytest.fixture(scope="module")
def inputs(model):
    return model.tensorize([*MOLECULES, *SHIPPED[:20]])


# ---------------------------------------------------------------- taking apart and putting together


def test_molecules_come_apart_into_what_they_should():
    tree, _ = decompose("CC(=O)Oc1ccccc1C(=O)O")
    assert Counter(tree.labels) == {"CC": 2, "C=O": 2, "CO": 3, "c1ccccc1": 1, "C": 2}
    assert decompose("CCO")[0].labels == ("CC", "CO")  # two bonds need no atom between them
    assert Counter(decompose("CC(C)O")[0].labels) == {"CC": 2, "CO": 1, "C": 1}
    assert decompose("C")[0].labels == ("C",)
    assert Counter(decompose("C1CC12CCCC2")[0].labels) == {"C1CC1": 1, "C1CCCC1": 1}
    assert decompose("C1CC2CCC1C2")[0].labels == ("C1CC2CCC1C2",)  # its rings share three atoms
    assert decompose("c1cc2ccc3cccc4ccc(c1)c2c34")[0].labels == ("c1cc2ccc3cccc4ccc(c1)c2c34",)
    assert Counter(decompose("c1ccc2ccccc2c1")[0].labels) == {"c1ccccc1": 2}


def test_a_ring_is_the_same_whatever_hangs_on_it():
    rings = [set(decompose(x)[0].labels) for x in ("c1cc[nH]c1", "Cn1cccc1", "O=C(O)c1ccc[nH]1")]
    assert all("c1cc[nH]c1" in labels for labels in rings)
    assert "c1ccncc1" in decompose("Cc1ccncc1")[0].labels
    assert not {"c1cc[nH]cc1", "c1cc[nH+]cc1"} & set(decompose("Cc1ccncc1")[0].labels)


def assert_recomposes(X):
    for x in X:
        spelling = canonical(x, stereo=False)
        tree, graph = decompose(spelling)
        again, choices = recompose(tree)
        assert again == spelling
        assert all(tree.parents[k] < k for k in range(len(tree.labels)))
        assert all(0 <= choice.chosen < len(choice.candidates) > 1 for choice in choices)
        molecule = Chem.MolFromSmiles(spelling)
        assert (len(graph.atoms), len(graph.bonds)) == (molecule.GetNumAtoms(), molecule.GetNumBonds())


def test_shipped_molecules_recompose():
    assert_recomposes([*MOLECULES, *load_molecules().smiles[7::60]])


def test_molecules_of_zinc_recompose():
    if not (REFERENCE / "zinc250k.smi.xz").is_file():
        pytest.skip(f"zinc250k.smi.xz is not in {REFERENCE}; set WRLSO_DATA")
    assert_recomposes(fetch_zinc250k(REFERENCE)[11::830])


@pytest.mark.parametrize("x", [*MOLECULES, *SHIPPED])
def test_cliques_form_a_junction_tree(x):
    molecule = Chem.MolFromSmiles(x)
    cliques, parents = clique_tree(molecule)
    assert parents[0] == -1
    assert 0 in cliques[0]
    for bond in molecule.GetBonds():
        assert any({bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} <= set(clique) for clique in cliques)
    for atom in range(molecule.GetNumAtoms()):  # its cliques are one piece of the tree
        mine = [k for k, clique in enumerate(cliques) if atom in clique]
        assert sum(parents[k] not in mine for k in mine) == 1
    for k, parent in enumerate(parents[1:], start=1):
        assert 1 <= len(set(cliques[k]) & set(cliques[parent])) <= 2


def test_another_order_of_atoms_makes_the_same_row():
    for x in MOLECULES:
        molecule = Chem.MolFromSmiles(x)
        shuffled = Chem.MolToSmiles(molecule, doRandom=True)
        assert read_tree(shuffled, "refuse").packed == read_tree(x, "refuse").packed


@pytest.mark.parametrize("x", [x for x in [*MOLECULES, *SHIPPED] if len(x) < 45])
def test_candidates_are_all_there(x, monkeypatch):
    """Every attachment that is allowed makes the same molecule as a candidate."""

    def no_symmetry(self, k):
        return [tuple(range(len(template(self.labels[k]).types)))]

    tree, _ = decompose(canonical(x, stereo=False))
    assembly = Assembly(tree.labels[0])
    for k in range(1, len(tree.labels)):
        parent, label = tree.parents[k], tree.labels[k]

        def molecule(attachment, k=k):
            copy = Assembly(tree.labels[0])
            for j in range(1, k):
                copy.attach(tree.parents[j], tree.labels[j], tree.attachments[j])
            copy.attach(tree.parents[k], tree.labels[k], attachment)
            graph = copy._molecule(kekulised=False)  # as it is, with no repair of its rings
            graph.UpdatePropertyCache(strict=False)
            Chem.FastFindRings(graph)
            return Chem.MolToSmiles(graph)

        candidates = assembly.candidates(parent, label)
        with monkeypatch.context() as patch:
            patch.setattr(Assembly, "_symmetries_left", no_symmetry)
            every = assembly.candidates(parent, label)
        made = {molecule(candidate) for candidate in candidates}
        assert made == {molecule(candidate) for candidate in every}
        assert set(candidates) <= set(every)
        assembly.attach(parent, label, tree.attachments[k])


def test_symmetry_leaves_what_differs():
    assert len(template("c1ccccc1").symmetries) == 12
    assert template("CO").symmetries == ((0, 1),)
    assert len(possible("c1ccccc1", "CO")) == 6  # six places on the ring, one on the bond
    ring = Assembly("c1ccccc1")
    assert len(ring.candidates(0, "CO")) == 1
    ring.attach(0, "CO", ring.candidates(0, "CO")[0])
    assert len(ring.candidates(0, "CO")) == 3  # ortho, meta, para
    ring.attach(0, "CO", ring.candidates(0, "CO")[1])
    assert len(ring.candidates(0, "CF")) == 3
    assert least_places("c1ccccc1", (4, 3)) == (0, 1)


def test_valences_and_kinds_are_kept():
    assembly = Assembly("C=O")
    assert [c.parent for c in assembly.candidates(0, "C=O")] == [(template("C=O").types.index((6, 0, 0)),)]
    assert assembly.candidates(0, "CF") == [Attachment((0,), least_places("CF", (0,)))]
    assert Assembly("CF").candidates(0, "C#N")[0].parent == (0,)
    assert Assembly("FF").candidates(0, "CF") == []
    assert not fits_around("C", ("C=C", "C=C", "CC"))
    assert fits_around("C", ("C=C", "CC", "CC"))
    assert not fits_around("C=O", ("CO", "CO"))  # an atom would stand between


def test_rings_without_alternating_bonds_still_make_a_molecule():
    assembly = Assembly("c1ccccc1")
    assembly.attach(0, "C=O", next(c for c in assembly.candidates(0, "C=O")))
    smiles = assembly.smiles()
    assert smiles is not None
    assert smiles == canonical(smiles)
    assert "O=" in smiles
    assert Assembly("c1cccc1").smiles() is not None  # an odd ring of carbon


# ---------------------------------------------------------------- reading and packing


def test_rows_say_what_the_molecules_are(model, inputs):
    tree, graph, choices = unpack(inputs)
    X = [*MOLECULES, *SHIPPED[:20]]
    first = at = 0
    hanging = list(zip(choices.hanging_of.tolist(), choices.hanging_message.tolist(), strict=True))
    for row, x in enumerate(X):
        plain, molecule = decompose(canonical(x, stereo=False))
        _, found = recompose(plain)
        mine = (tree.molecule == row).nonzero()[:, 0]
        assert [model.vocabulary[i] for i in tree.label[mine]] == list(plain.labels)
        assert tree.parent[mine].tolist() == [p + first if p >= 0 else -1 for p in plain.parents]
        assert int((graph.molecule == row).sum()) == len(molecule.atoms)
        for choice in found:
            assert int(choices.clique[at]) == first + choice.clique
            rows = (choices.of == at).nonzero()[:, 0].tolist()
            parents, children = choices.parent[rows].tolist(), choices.child[rows].tolist()
            assert parents == [[c.parent[0], c.parent[-1]] for c in choice.candidates]
            assert children == [[c.child[0], c.child[-1]] for c in choice.candidates]
            assert rows.index(int(choices.chosen[at])) == choice.chosen
            above = plain.parents[choice.clique]
            expected = {first + j for j in range(choice.clique) if plain.parents[j] == above}
            expected |= {len(tree.label) + first + above} if above > 0 else set()
            assert {message for of, message in hanging if of == at} == expected
            at += 1
        first += len(plain.labels)
    assert at == len(choices.molecule)


def test_what_cannot_be_taken_is_named(model):
    with pytest.raises(DataError, match=r"2 SMILES .* row 1: .* row 2: .* not in the vocabulary"):
        model.tensorize(["CC", "CC.CC", "C[Si](C)(C)C"])
    with pytest.raises(DataError, match="row 0: .* takes .* numbers, more than max_length=40 allows"):
        tiny(max_length=40).tensorize(["CC(=O)Oc1ccccc1C(=O)O"])
    with pytest.raises(DataError, match="more than 127"):
        model.tensorize(["C" * 130])
    with pytest.raises(DataTypeError, match="got int in row 1"):
        model.tensorize(["CC", 3])
    with pytest.raises(DataTypeError, match="must be a sequence of SMILES"):
        model.tensorize("CC")
    with pytest.raises(DataError, match="must be a molecule's SMILES"):
        model.key("C1CC")


def test_the_vocabulary_is_sorted_and_checked():
    vocabulary = clique_vocabulary(["CC(=O)Oc1ccccc1", "CCC"])
    assert vocabulary == sorted(set(vocabulary)) == ["C", "C=O", "CC", "CO", "c1ccccc1"]
    assert vocabulary_hash(vocabulary) != vocabulary_hash(vocabulary[::-1])
    with pytest.raises(DataError, match="row 1"):
        clique_vocabulary(["CC", "C1CC"])
    with pytest.raises(ParameterError, match="distinct labels"):
        JunctionTreeVAE(["CC", "CC"])
    with pytest.raises(ParameterError, match="is not the label of a clique"):
        JunctionTreeVAE(["CC", "C1C"])
    for label in ("C.C", "CCO", "C1CC1C"):
        with pytest.raises(ParameterError, match="is one atom, a bond or rings"):
            JunctionTreeVAE(["CC", label])
    with pytest.raises(ParameterError, match="has rings of 64 atoms, more than 63"):
        JunctionTreeVAE(["CC", "C1" + "C" * 62 + "C1"])
    with pytest.raises(ParameterTypeError, match="sequence of labels"):
        JunctionTreeVAE("CC")
    with pytest.raises(ParameterTypeError, match="sequence of labels"):
        JunctionTreeVAE({"CC", "C"})
    with pytest.raises(ParameterError, match=r"'\*C' has a dummy atom"):
        JunctionTreeVAE(["CC", "*C"])
    with pytest.raises(ParameterError, match="at most 32767 labels, got 32768"):
        JunctionTreeVAE(["CC"] * 2**15)


def test_labels_are_kept_as_reading_writes_them(tmp_path):
    # as another version of RDKit may write them, or Kekulé; that of sulfur stays, as it may carry oxygen
    written = ["OC", "C1=CC=CC=C1", "C1CC=CC1", "C1=CC=CS1"]
    one = JunctionTreeVAE.small(written)
    assert one.vocabulary == ["CO", "c1ccccc1", "C1=CCCC1", "C1=CSC=C1"]
    assert one.tensorize(["c1ccccc1", "CO"]).shape == (2, 768)
    other = JunctionTreeVAE.small(["CO"])
    other.set_state({"vocabulary": written})
    assert other.vocabulary == one.vocabulary
    with pytest.raises(ParameterError, match="distinct labels, got 2, of them 1"):
        JunctionTreeVAE(["CO", "OC"])
    with pytest.raises(ParameterError, match="max_length must be an integer of at least 5, got 1"):
        JunctionTreeVAE.small(["CC"], max_length=1)
    path = tmp_path / "model.safetensors"
    JunctionTreeVAE.small(["CC"], beta=np.float32(0.5)).to_file(path)
    assert JunctionTreeVAE.from_file(path).beta == 0.5


def test_parts_for_workers_hold_nothing_else():
    seen = []

    class Sees:
        latent_dim = 5

        def decode(self, Z, temperature, generator):
            seen.append(Z.untyped_storage().nbytes())
            return [None] * len(Z)

    decode_in_workers(Sees(), torch.zeros(1000, 5), n_jobs=1)
    assert max(seen) == 256 * 5 * 4


def test_many_molecules_are_read_once(monkeypatch, tmp_path):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    monkeypatch.setattr(_reading, "_MANY", 4)
    monkeypatch.setattr(_reading, "_BLOCK", 3)
    expected = [read_tree(x, "refuse") for x in MOLECULES]
    assert read_trees(MOLECULES, "refuse", n_jobs=1) == expected
    monkeypatch.setattr(_reading, "_read_block", None)
    assert read_trees(MOLECULES, "refuse", n_jobs=1) == expected
    assert read_trees(MOLECULES[::-1], "refuse", n_jobs=1) == expected[::-1]  # in any order
    with pytest.raises(TypeError, match="NoneType"):
        read_trees(MOLECULES[1:], "refuse", n_jobs=1)


def test_rows_of_those_that_can_be_read(model):
    X = [MOLECULES[0], "C.C", "[Si]", *MOLECULES[1:5]]
    rows, readable = model.tensorize_readable(X)
    assert readable == [True, False, False, True, True, True, True]
    assert torch.equal(rows, model.tensorize(MOLECULES[:5]))
    assert model.tensorize_readable([])[0].shape == (0, 768)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_not_read_again(monkeypatch, tmp_path):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    monkeypatch.setattr(_reading, "_MANY", 4)
    with joblib.parallel_config(backend="threading"):
        assert readable([MOLECULES[0], "C.C", *MOLECULES[1:], "O=[PH2]C"], "refuse") == MOLECULES
    expected = [read_tree(x, "refuse") for x in MOLECULES]
    problem = read_tree("C.C", "refuse").problem
    monkeypatch.setattr(_reading, "_read_block", None)
    assert read_trees(MOLECULES, "refuse") == expected
    kept = read_trees([MOLECULES[0], "C.C", *MOLECULES[1:], "O=[PH2]C"], "refuse")
    assert [kept[1].problem, *kept[2:-1]] == [problem, *expected[1:]]


def test_rows_are_read_by_several_workers(monkeypatch):
    monkeypatch.setattr(_reading, "_MANY", 4)
    monkeypatch.setattr(_reading, "_BLOCK", 3)
    expected = [read_tree(x, "refuse") for x in MOLECULES]
    with joblib.parallel_config(backend="threading"):
        assert read_trees(MOLECULES, "refuse", n_jobs=2, cache=False) == expected


# ---------------------------------------------------------------- the networks against plain loops


def plain_message(cell, x, incoming):
    """The gated unit with one reset gate for each incoming message (equations 4 to 8)."""
    update, reset, new = cell.own(x).chunk(3)
    total = sum(incoming, torch.zeros_like(x))
    gated = sum((torch.sigmoid(reset + cell.reset(h)) * h for h in incoming), torch.zeros_like(x))
    z = torch.sigmoid(update + cell.update(total))
    return (1 - z) * total + z * torch.tanh(new + cell.candidate(gated))


@torch.no_grad()
def test_tree_messages_are_those_of_a_loop_over_cliques(model, inputs):
    tree, _, _ = unpack(inputs[:12])
    x = model.embedding(tree.label)
    found, root = model.tree_encoder(model.embedding.weight, tree)
    parents, m = tree.parent.tolist(), len(tree.parent)
    near = [[j for j in range(m) if parents[j] == i or parents[i] == j] for i in range(m)]
    messages = {}

    def message(i, j):
        if (i, j) not in messages:
            incoming = [message(k, i) for k in near[i] if k != j]
            messages[i, j] = plain_message(model.tree_encoder.cell, x[i], incoming)
        return messages[i, j]

    roots = [k for k in range(m) if parents[k] < 0]
    for k in set(range(m)) - set(roots):
        torch.testing.assert_close(found[k], message(k, parents[k]))
        torch.testing.assert_close(found[m + k], message(parents[k], k))
    for state, k in zip(root, roots, strict=True):
        arrived = sum((message(j, k) for j in near[k]), torch.zeros_like(x[k]))
        torch.testing.assert_close(state, torch.relu(model.tree_encoder.root(torch.cat([x[k], arrived]))))


class PlainTable:
    """A table whose every selection has a gradient of its own."""

    def __init__(self, m, hidden, like):
        self.value = like.new_zeros(m, hidden)

    def read(self, rows):
        return self.value[rows]

    def add(self, rows, part):
        self.value = self.value.index_add(0, rows, part)


def test_one_buffer_of_slopes_gives_the_gradients_of_many(model, inputs, monkeypatch):
    def gradients():
        one = copy.deepcopy(model)
        torch.manual_seed(0)
        one.loss(inputs[:30]).sum().backward()
        return {name: p.grad for name, p in one.named_parameters() if p.grad is not None}

    found = gradients()
    assert len(found) == len(dict(model.named_parameters()))
    monkeypatch.setattr(_networks, "Ledger", PlainTable)
    torch.testing.assert_close(found, gradients())


def test_a_table_of_slopes_is_as_autograd_has_it_and_is_freed():
    rows = [torch.tensor([0, 2, 2]), torch.tensor([1, 2, 0])]
    parts = [torch.randn(3, 2, requires_grad=True) for _ in range(2)]

    def total(table):
        table.add(rows[0], parts[0])
        first = table.read(rows[1])
        table.add(rows[0], parts[1])  # what was read before does not depend on it
        table.add(rows[1], parts[1] * first)
        return (table.read(rows[0]) ** 2).sum() + first.exp().sum()

    one = Ledger(3, 2, parts[0])
    found, expected = total(one), total(PlainTable(3, 2, parts[0]))
    torch.testing.assert_close(found, expected)
    for _ in range(2):  # also when the way back is taken twice
        slopes = torch.autograd.grad(found, parts, retain_graph=True)
        torch.testing.assert_close(slopes, torch.autograd.grad(expected, parts, retain_graph=True))
    left = weakref.ref(one._table)
    del one, found
    assert left() is None


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 2**31))
def test_slopes_are_those_of_autograd_in_whatever_order_and_however_often(reads, seed):
    torch.manual_seed(seed)
    # exp() of sums of squares below: in single precision its slopes would use a fifth of the tolerance
    part = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def total(table):
        found = part.sum()
        generator = torch.Generator().manual_seed(seed)
        for read in reads:
            rows = torch.randint(4, (3,), generator=generator)
            if read:
                found = found + (table.read(rows) * part).sum()
            else:
                table.add(rows, part**2)
        return found + table.read(torch.tensor([0, 1, 2, 3])).exp().sum()

    found, expected = total(Ledger(4, 2, part)), total(PlainTable(4, 2, part))
    for way in (found, expected, found, found):
        part.grad = None
        way.backward(retain_graph=True)
        slope = part.grad
        torch.testing.assert_close(torch.autograd.grad(found, part, retain_graph=True)[0], slope)


def test_gradients_of_single_molecules_add_up_to_that_of_all():
    one = tiny()
    losses = one.loss(one.tensorize(MOLECULES[:6]))

    def gradient(value):
        one.zero_grad()
        value.backward(retain_graph=True)
        return torch.cat([p.grad.flatten() for p in one.parameters() if p.grad is not None])

    together = gradient(losses.sum())
    torch.testing.assert_close(sum(gradient(loss) for loss in losses), together, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_deep_tree_hears_only_from_near():
    X = ["C" * 30]
    shallow, deep = tiny(X, tree_depth=5), tiny(X, tree_depth=40)
    deep.load_state_dict(shallow.state_dict())
    assert torch.equal(deep.tensorize(X), shallow.tensorize(X))
    inputs = deep.tensorize(X)
    assert not torch.allclose(shallow.encode(inputs), deep.encode(inputs))
    short = deep.tensorize(["CCCCC"])
    torch.testing.assert_close(shallow.encode(short), deep.encode(short))


@torch.no_grad()
def test_graph_messages_are_those_of_a_loop_over_bonds(model, inputs):
    _, graph, _ = unpack(inputs[:6])
    network = model.graph_encoder
    bonds = {}
    for u, v, kind in zip(graph.begin.tolist(), graph.end.tolist(), graph.kind, strict=True):
        bonds[u, v] = bonds[v, u] = kind
    x = network.atom(graph.code)
    messages = {edge: torch.zeros(x.shape[1]) for edge in bonds}
    for _ in range(3):
        messages = {
            (u, v): torch.relu(
                network.first(x[u])
                + network.bond(kind)
                + network.more(sum((h for (a, b), h in messages.items() if b == u and a != v), 0 * x[u]))
            )
            for (u, v), kind in bonds.items()
        }
    states = []
    for u in range(len(x)):
        arrived = sum((h for (_, b), h in messages.items() if b == u), 0 * x[u])
        states.append(torch.relu(network.last(torch.cat([x[u], arrived]))))
    found = network(graph)
    for row in range(6):
        mine = [states[u] for u in (graph.molecule == row).nonzero()[:, 0].tolist()]
        torch.testing.assert_close(found[row], torch.stack(mine).mean(dim=0))


@torch.no_grad()
def test_the_likelihood_of_a_tree_is_that_of_a_walk_through_it(model, inputs):
    tree, _, _ = unpack(inputs[:10])
    decoder, x = copy.deepcopy(model.tree_decoder), model.embedding(tree.label)
    generator = torch.Generator().manual_seed(0)
    nn.init.normal_(decoder.refine[2].weight, generator=generator)  # zeros before any training
    z = torch.randn(10, 3, generator=generator)
    shape, labels = decoder(model.embedding.weight, z, tree)
    parents = tree.parent.tolist()
    for row in range(10):
        mine = (tree.molecule == row).nonzero()[:, 0].tolist()
        children = {k: [j for j in mine if parents[j] == k] for k in mine}
        messages, total = {}, {"shape": 0.0, "label": 0.0}

        def more(k, answer, row=row, messages=messages, total=total):
            arrived = sum((h for (_, b), h in messages.items() if b == k), 0 * x[k])
            logit = decoder.expand(torch.cat([x[k], arrived, z[row]]))[0]
            total["shape"] += float(F.binary_cross_entropy_with_logits(logit, torch.tensor(answer)))

        def walk(k, parent, message, row=row, children=children, messages=messages, total=total, more=more):
            first = decoder.name(torch.cat([message, z[row]]))
            logits = decoder.labels(first + decoder.refine(torch.cat([first, z[row]])))
            total["label"] += float(F.cross_entropy(logits, tree.label[k]))
            for child in children[k]:
                more(k, 1.0)
                incoming = [h for (_, b), h in messages.items() if b == k]
                messages[k, child] = plain_message(decoder.cell, x[k], incoming)
                walk(child, k, messages[k, child])
            more(k, 0.0)
            if parent is not None:
                incoming = [h for (a, b), h in messages.items() if b == k and a != parent]
                messages[k, parent] = plain_message(decoder.cell, x[k], incoming)

        walk(mine[0], None, torch.zeros(16))
        assert float(shape[row]) == pytest.approx(total["shape"], rel=1e-4)
        assert float(labels[row]) == pytest.approx(total["label"], rel=1e-4)


def test_a_walk_enters_and_leaves_every_clique_once(inputs):
    tree, _, _ = unpack(inputs)
    steps = tree_steps(tree)
    inner = (tree.parent >= 0).nonzero()[:, 0]
    assert sorted(steps.receiver[steps.downward].tolist()) == inner.tolist()
    assert sorted(steps.sender[~steps.downward].tolist()) == inner.tolist()
    at = {int(tree.molecule[k]): int(k) for k in (tree.parent < 0).nonzero()[:, 0]}
    for sender, receiver in zip(steps.sender.tolist(), steps.receiver.tolist(), strict=True):
        row = int(tree.molecule[sender])
        assert at[row] == sender  # each move begins where the last one ended
        at[row] = receiver


@torch.no_grad()
def test_places_that_symmetry_makes_the_same_have_the_same_score(model):
    inputs = model.tensorize(["Cc1ccccc1", "CC1CC1"])
    tree, _, choices = unpack(inputs)
    assert len(choices.molecule) == 0
    messages = 3 * torch.randn(2 * len(tree.label), 16, generator=torch.Generator().manual_seed(0))
    places = torch.arange(6)
    ring = int((tree.label == model.vocabulary.index("c1ccccc1")).nonzero()[0, 0])
    one = torch.tensor([0])
    batch = choices._replace(
        molecule=one, above=tree.label[ring][None], below=tree.label[:1], clique=one, chosen=one,
        of=torch.zeros(6, dtype=torch.int64), parent=torch.stack([places, places], dim=1),
        child=torch.zeros(6, 2, dtype=torch.int64), hanging_of=one, hanging_places=torch.tensor([[2, 2]]),
        hanging_message=one,
    )  # fmt: skip
    scores = model.attachments(torch.ones(2, 2), messages, batch, model._tables)
    order = [min((a - 2) % 6, (2 - a) % 6) for a in range(6)]
    for i in range(6):
        for j in range(i):
            same = torch.allclose(scores[i], scores[j], atol=1e-6)
            assert same == (order[i] == order[j])


def test_chances_of_candidates_sum_to_one(model, inputs):
    tree, _, choices = unpack(inputs)
    scores = 5 * torch.randn(len(choices.of), generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(tree.n)
    for s, row in enumerate(choices.molecule.tolist()):
        mine = (choices.of == s).nonzero()[:, 0]
        place = int((mine == choices.chosen[s]).nonzero()[0, 0])
        expected[row] -= scores[mine].log_softmax(dim=0)[place]
    torch.testing.assert_close(choice_nll(scores, choices, tree.n), expected)


@torch.no_grad()
def test_a_batch_is_as_its_molecules_one_by_one(model, inputs):
    Z = torch.randn(len(inputs), 5, generator=torch.Generator().manual_seed(0))
    together = model.log_likelihood(inputs, Z)
    for i in range(len(inputs)):
        torch.testing.assert_close(
            model.log_likelihood(inputs[i : i + 1], Z[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-4
        )
    torch.testing.assert_close(model.encode(inputs)[3:4], model.encode(inputs[3:4]))
    assert model.decode(Z[:10]) == [model.decode(z[None])[0] for z in Z[:10]]


# ---------------------------------------------------------------- decoding


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.1, 1.0, 10.0, 1e6]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_whatever_is_written_can_be_read(model, seed, scale, temperature):
    Z = scale * torch.randn(8, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    found, reasons = model.decode_counted(Z, temperature, torch.Generator().manual_seed(1))
    written = [x for x in found if x is not None]
    assert len(found) == 8 == len(written) + sum(reasons.values())
    assert len(model.tensorize(written)) == len(written)
    assert [canonical(x, stereo=False) for x in written] == written


def test_no_more_cliques_than_allowed(model):
    small = tiny(MOLECULES, max_cliques=3)
    Z = 3 * torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    found, reasons = small.decode_counted(Z, 2.0, torch.Generator().manual_seed(0))
    assert reasons["max_cliques"] > 0
    assert any(found)
    # what is written may fall into more cliques when it is read: atoms between bonds
    assert all(Chem.MolFromSmiles(x).GetNumAtoms() < 3 * 17 for x in found if x)
    none = torch.full((2, 5), torch.nan)
    assert small.decode_counted(none) == ([None, None], Counter({"not finite": 2}))


def toy_bounds(**changes):
    values = {
        "max_cliques": 60,
        "max_candidates": 256,
        "max_backtracks": 20,
        "max_isomers": 4,
        "max_seconds": 10.0,
    }
    return Bounds(**(values | changes), label_tries=5)


def test_every_bound_ends_the_search():
    labels, parents = ["CC", "C", "CC", "C=O", "C=O"], [-1, 0, 1, 1, 1]  # more than carbon can bear
    building = Building(labels, parents, toy_bounds())
    assert not building.advance()
    assert building.reason == "no attachment"
    labels = ["c1ccccc1", *["CC"] * 7]
    for bounds, reason in [
        (toy_bounds(max_backtracks=3), "max_backtracks"),
        (toy_bounds(max_backtracks=10**6), "no attachment"),
        (toy_bounds(max_candidates=2), "max_candidates"),
        (toy_bounds(max_seconds=1e-9), "max_seconds"),
    ]:
        building = Building(labels, [-1, *[0] * 7], bounds)
        while building.advance():
            building.choose(range(len(building.candidates)))
        assert building.reason == reason


def test_a_dead_end_is_left():
    """Three bonds at every other atom of a ring leave no place for a second ring; one of them is moved."""
    labels, parents = ["c1ccccc1", "CC", "CC", "CC", "c1ccoc1"], [-1, 0, 0, 0, 0]

    def built(seed, bounds):
        rng = np.random.default_rng(seed)
        building = Building(labels, parents, bounds)
        while building.advance():
            building.choose(rng.permutation(len(building.candidates)).tolist())
        return building

    patient = [built(seed, toy_bounds()) for seed in range(20)]
    assert {building.reason for building in patient} == {None}
    stuck = [built(seed, toy_bounds(max_backtracks=0)).reason == "max_backtracks" for seed in range(20)]
    assert 0 < sum(stuck) < 20
    for building in patient:
        smiles = building.assembly.smiles()
        assert Counter(decompose(smiles)[0].labels) == Counter(labels)


def test_keeps_the_contract():
    small = tiny()
    assert isinstance(small, LatentModel)
    check_latent_model(small, MOLECULES)


def test_a_few_molecules_are_learned_and_come_back():
    X = MOLECULES[:7]
    small = tiny(X, hidden=24)
    before = float(small.loss(small.tensorize(X)).detach().mean())
    small.fit(X, epochs=130, batch_size=4, lr=1e-2, verbose=0)
    inputs = small.tensorize(X)
    assert float(small.loss(inputs).detach().mean()) < 0.2 * before
    keys = [small.key(x) for x in X]
    assert sum(a == b for a, b in zip(small.decode(small.encode(inputs)), keys, strict=True)) >= 5


def test_the_trainer_fine_tunes_it():
    small = tiny()
    inputs = small.tensorize(MOLECULES)
    before = float(small.loss(inputs).detach().mean())
    trainer = Trainer(retrain_epochs=20, batch_size=8, lr=5e-3)
    trainer.fine_tune(small, inputs, np.ones(len(inputs)), np.random.default_rng(0))
    assert float(small.loss(inputs).detach().mean()) < before


def test_the_prior_is_where_the_last_training_data_lie():
    small = tiny()
    generator = torch.Generator().manual_seed(0)
    noise = small.sample_prior(3000, generator)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    small.fit(MOLECULES[:3], epochs=2, verbose=0)
    known = small.memory.means[small.memory.n_chunks > 0]
    drawn = small.sample_prior(40, generator, smoothing=0.0)
    found = torch.cdist(drawn, known).min(dim=1)
    assert float(found.values.max()) < 1e-2
    assert len(set(found.indices.tolist())) >= 3
    covariance = torch.cov(known.T, correction=0)
    for smoothing in (0.0, 0.5, 1.0):
        drawn = small.sample_prior(20_000, generator, smoothing=smoothing)
        scale = float(covariance.diagonal().max())
        assert float((drawn.mean(dim=0) - known.mean(dim=0)).abs().max()) < 0.05 * scale**0.5
        assert float((torch.cov(drawn.T) - covariance).abs().max()) < 0.06 * scale
    with pytest.raises(ParameterError, match="smoothing must be"):
        small.sample_prior(1, smoothing=1.5)
    again = tiny(MOLECULES[:3])
    assert not again.memory.n_chunks.any()  # evaluation leaves it alone
    again.eval().loss(again.tensorize(MOLECULES[:2]))
    assert not again.memory.n_chunks.any()


def test_large_molecules_are_not_cut_by_mutation():
    x = "NC(CC(C)C)C(=O)" + "NC(Cc1ccc(O)cc1)C(=O)" * 5 + "NC(Cc1ccccc1)C(=O)O"
    one = tiny([x], max_length=1500)
    mutants = one.mutate([x] * 40, torch.Generator().manual_seed(0))
    sizes = [Chem.MolFromSmiles(m).GetNumHeavyAtoms() for m in mutants if m is not None]
    n = Chem.MolFromSmiles(x).GetNumHeavyAtoms()
    assert n > 70
    assert np.median(sizes) >= n - 1


def test_what_selfies_cannot_write_has_no_mutants():
    x = "O=I(=O)c1ccccc1C(C)(C)CCN"
    assert tiny([x, "CCN"]).mutate([x, x, x], torch.Generator().manual_seed(0)) == [None] * 3


def test_a_stated_side_of_an_imine_is_dropped_with_its_hydrogen():
    one = tiny(["CC=N", "N=C(N)c1ccccc1"])
    for x in ("[H]/N=C/C", "[H]/N=C(\\N)c1ccccc1"):
        flat = one.key(x)
        assert "[H]" not in flat
        assert one.key(flat) == flat
        torch.testing.assert_close(one.tensorize([x]), one.tensorize([flat]))
    both = tiny(["CC=N"], stereo=True)
    assert both.key("[H]/N=C/C") != both.key("[H]/N=C\\C")
    assert not torch.equal(*both.tensorize(["[H]/N=C/C", "[H]/N=C\\C"]))


def test_a_key_needs_no_tree():
    largest = tiny(salts="largest")
    assert largest.key("[13CH3]C.O") == "C[13CH3]"
    assert largest.key("CC.CCO") == "CCO"
    assert tiny().key("C" * 300) == "C" * 300
    for x, why in (
        (["C"], "is list, not a str"),
        ("xx", "is invalid SMILES"),
        ("C" * 2000, "more than 1000"),
    ):
        with pytest.raises(DataError, match=why):
            largest.key(x)


@pytest.mark.parametrize(
    "Z", ["abc", None, [[1.0], [1.0, 2.0]], np.zeros((1, 5), complex), np.array([["a"] * 5])], ids=repr
)
def test_what_is_no_latent_point_is_refused_in_words(model, Z):
    with pytest.raises(DataTypeError, match=r"Z must be .*latent points \(n, 5\), got"):
        model.decode(Z)


def test_a_text_in_an_array_is_no_list(model):
    with pytest.raises(DataTypeError, match="sequence of SMILES"):
        model.tensorize(np.array("CC"))
    with pytest.raises(DataTypeError, match="sequence of at least one SMILES"):
        model.fit(np.array("CC"))


def test_new_labels_differ_when_they_come_one_by_one():
    one = tiny(["CCO"])
    width = float(one.embedding.weight.detach().std())
    for x in ("CN", "CS", "CF"):
        one.extend([x])
    new = one.embedding.weight.detach()[-3:]
    distances = torch.pdist(new)
    assert float(distances.min()) > 0.1 * width


def test_mutants_have_cliques_of_the_vocabulary():
    model = tiny()
    X = MOLECULES * 30
    found = model.mutate(X, torch.Generator().manual_seed(0))
    assert found == model.mutate(X, torch.Generator().manual_seed(0))
    made = [x for x in found if x is not None]
    assert len(made) > 0.4 * len(X)
    assert not model.missing_tokens(made)
    assert np.mean([a != model.key(b) for a, b in zip(found, X, strict=True) if a]) > 0.5
    with pytest.raises(DataError, match="row 1"):
        model.mutate(["CC", "C1CC"])


def test_a_search_over_molecules_takes_it():
    opt = molecule_search(
        MOLECULES,
        [len(x) for x in MOLECULES],
        model=tiny(),
        trainer=Trainer(initial_epochs=1, batch_size=8),
        random_state=0,
    )
    assert isinstance(opt.surrogate, TanimotoGP)
    batch = opt.ask(3)
    assert len({opt.model_.key(x) for x in batch} - set(MOLECULES)) == 3
    opt.tell(batch, [len(x) for x in batch])


def test_children_have_cliques_of_the_vocabulary():
    model = tiny()
    X, Y = MOLECULES * 20, (MOLECULES[3:] + MOLECULES[:3]) * 20
    found = model.cross(X, Y, torch.Generator().manual_seed(0))
    assert found == model.cross(X, Y, torch.Generator().manual_seed(0))
    made = [x for x in found if x is not None]
    assert len(made) > 0.2 * len(X)
    assert not model.missing_tokens(made)
    assert [model.key(x) for x in made] == made
    assert model.tensorize(made).shape[0] == len(made)


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "N_HELD_OUT", 20)
    X = [canonical(x) for x in SHIPPED]
    known, held_out = pretrain_trees.flat_split([*X, "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"])
    assert not set(known) & set(held_out)
    assert "@" not in "".join([*known, *held_out])
    lines = []
    # 0.04 minutes, and then as much again
    pretrain_trees.train(tmp_path, X, hidden=8, minutes=0.04, batch_size=16, progress=lines.append)
    n_steps = json.loads(lines[-1])["n_steps"]
    path = pretrain_trees.train(tmp_path, X, hidden=8, minutes=0.08, batch_size=16, progress=lines.append)
    last = json.loads(lines[-1])
    assert last["n_steps"] > n_steps >= 1
    assert last["progress"] == 1.0
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(lines)
    model = JunctionTreeVAE.from_file(path)
    assert model.vocabulary == clique_vocabulary(X)
    card = measure(model, known, held_out, n_samples=20)
    assert card["n_held_out"] == len(held_out)
    assert 0 <= card["prior"]["valid"] <= 1
    with pytest.raises(ParameterError, match=r"holds a training with .*'hidden': 8.*, got .*'hidden': 9"):
        pretrain_trees.train(tmp_path, X, hidden=9)
    with pytest.raises(DataError, match="more than the held-out molecules, got 20"):
        pretrain_trees.train(tmp_path / "other", X[:20])
    assert not (tmp_path / "other").exists()
    with pytest.raises(ParameterError, match="use another folder"):
        pretrain_trees.train(tmp_path, X[::-1], hidden=8)


def test_training_goes_on_from_a_model(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "N_HELD_OUT", 20)
    X = [canonical(x, stereo=False) for x in SHIPPED]
    first = tmp_path / "first.safetensors"
    tiny(X[:150]).to_file(first, half=False)
    lines = []
    options = {"minutes": 0.02, "start": first, "progress": lines.append}
    path = pretrain_trees.train(tmp_path / "more", X, **options)
    assert json.loads(lines[0])["beta"] == JunctionTreeVAE.from_file(first).beta  # full from the beginning
    model = JunctionTreeVAE.from_file(path)
    assert set(model.vocabulary) == set(clique_vocabulary(X)) | set(clique_vocabulary(X[:150]))
    assert model.embedding.weight.shape[1] == 16  # the model's own size
    with pytest.raises(ParameterError, match=r"holds a training with .*'start': 'first-"):
        pretrain_trees.train(tmp_path / "more", X)


# ---------------------------------------------------------------- files and growth


def test_children_that_cannot_be_read_are_none():
    chain = "C" * 70
    model = JunctionTreeVAE(clique_vocabulary([chain]), hidden=8, salts="largest", max_length=3000)
    generator = torch.Generator().manual_seed(0)
    found = [model.cross([chain], [chain], generator)[0] for _ in range(40)]
    assert None in found
    assert all(x is None or len(x) <= 127 for x in found)


def test_growing_changes_nothing_for_known_labels():
    one, grown = tiny(), tiny()
    new = ["C[Si](C)(C)C", "OB(O)c1ccccc1"]
    missing = ["B", "BC", "BO", "C[SiH3]", "[SiH4]"]
    assert grown.missing_tokens(new) == missing
    assert grown.extend(new) is grown
    assert grown.missing_tokens(new) == []
    inputs = one.tensorize(MOLECULES)
    assert torch.equal(grown.tensorize(MOLECULES), inputs)
    torch.testing.assert_close(grown.encode(inputs), one.encode(inputs))
    assert grown.encode(grown.tensorize(new)).isfinite().all()
    other = tiny()
    other.set_state(grown.get_state())
    other.load_state_dict(grown.state_dict())
    assert other.vocabulary == grown.vocabulary
    with pytest.raises(ModelError, match="does not begin with this model's"):
        one.set_state({"vocabulary": ["CC"]})


def test_a_file_brings_back_the_same_model(tmp_path):
    one = tiny(beta=0.3, max_cliques=17)
    one.to_file(tmp_path / "m.safetensors", half=False, about={"data": "none"})
    other = JunctionTreeVAE.from_file(tmp_path / "m.safetensors")
    assert (other.vocabulary, other.beta, other.bounds) == (one.vocabulary, 0.3, one.bounds)
    inputs = one.tensorize(MOLECULES)
    assert torch.equal(other.encode(inputs), one.encode(inputs))
    assert JunctionTreeVAE.from_file(tmp_path / "m.safetensors", max_cliques=5).bounds.max_cliques == 5
    longer = JunctionTreeVAE.from_file(tmp_path / "m.safetensors", max_length=1000)
    rows = longer.tensorize(MOLECULES)
    assert rows.shape[1] == 1000
    assert torch.equal(longer.encode(rows), one.encode(inputs))
    assert longer._can_read("C" * 90)
    assert not one._can_read("C" * 90)
    with pytest.raises(ParameterError, match="got hidden"):
        JunctionTreeVAE.from_file(tmp_path / "m.safetensors", hidden=5)
    with pytest.raises(ParameterError, match="max_cliques must be an integer of at least 1"):
        tiny(max_cliques=0)
