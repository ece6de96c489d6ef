"""The molecule model: what it reads, what it refuses, what it writes, and what growing leaves alone."""

import copy
from collections import Counter

import numpy as np
import pytest
import some_molecules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from wrlso import RankWeighting, Trainer
from wrlso._chemistry.crossover import crossed, kekulized
from wrlso._chemistry.selfies_tokens import read_all, read_smiles, to_smiles
from wrlso._chemistry.token_mutation import edited
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models import SelfiesVAE
from wrlso.models.tokens.aggregate_posterior import CodeMemory
from wrlso.models.tokens.networks import (
    END,
    ChunkDecoder,
    ChunkEncoder,
    ChunkSizes,
    sequence_nll,
    without_chunks,
)
from wrlso.testing import check_latent_model

MOLECULES = [
    *some_molecules.MOLECULES,
    "CCCCCCCCCCCCCCCCCCCC",
    "FC(F)(F)c1ccc(Br)cc1",
    "N#Cc1ccc(-c2ccc(O[C@@H](C(=O)N3CCCC3)c3ccccc3)cc2)cc1",
]


@pytest.fixture(scope="module")
def model():
    return SelfiesVAE.pretrained()


def small(**parameters):
    torch.manual_seed(0)
    tokens = ["[C]", "[=C]", "[O]", "[N]", "[Branch1]", "[Ring1]", "[=O]", "[=Branch1]"]
    return SelfiesVAE(tokens, width=16, hidden=16, chunk_dim=2, **parameters)


def test_keeps_the_contract(model):
    check_latent_model(model, MOLECULES)


def test_an_untrained_one_keeps_the_contract():
    check_latent_model(small(), ["CCO", "CC=O", "C1CCCCC1", "CC(=O)N", "O=CN(C)C", "CCN"])


def test_most_drugs_come_back(model):
    decoded = model.decode(model.encode(model.tensorize(MOLECULES)))
    flat = [SelfiesVAE.pretrained(stereo=False).key(x) for x in MOLECULES]
    again = [SelfiesVAE.pretrained(stereo=False).key(x) for x in decoded if x is not None]
    assert len(set(flat) & set(again)) >= 6


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.1, 1.0, 10.0, 1e6]),
    temperature=st.sampled_from([0, 1]),
)
def test_whatever_is_written_can_be_read_and_is_written_the_one_way(model, seed, scale, temperature):
    generator = torch.Generator().manual_seed(seed)
    Z = scale * torch.randn(20, model.latent_dim, generator=generator)
    found = [x for x in model.decode(Z, temperature, generator) if x is not None]
    assert [model.key(x) for x in found] == found
    assert model.tensorize(found).shape == (len(found), 104)
    assert ((model.tensorize(found) != END).sum(dim=1) <= 100).all()


@pytest.mark.parametrize("max_tokens", [1, 5, 40])
def test_the_length_cap_holds(max_tokens):
    capped = SelfiesVAE.pretrained(max_tokens=max_tokens)
    generator = torch.Generator().manual_seed(0)
    found = [x for x in capped.decode(3 * torch.randn(50, capped.latent_dim, generator=generator)) if x]
    assert found
    assert max(len(read_smiles(x, True, "refuse").tokens) for x in found) <= max_tokens
    with pytest.raises(DataError, match=rf"row 0: .* tokens, more than max_tokens={max_tokens}"):
        capped.tensorize(["C" * (max_tokens + 1)])


def test_a_point_does_not_depend_on_its_neighbours(model):
    Z = model.sample_prior(70, torch.Generator().manual_seed(3))
    assert [model.decode(z[None])[0] for z in Z[:10]] == model.decode(Z)[:10]


def test_nothing_comes_of_what_is_not_finite(model):
    Z = model.encode(model.tensorize(["CCO", "CCO", "CCO"]))
    Z[1, 0] = torch.nan
    Z[2, 5] = torch.inf
    decoded = model.decode(Z)
    assert decoded[0] is not None
    assert decoded[1:] == [None, None]
    with pytest.raises(DataError, match=r"Z must have shape \(n, 104\), got \(2, 3\)"):
        model.decode(torch.zeros(2, 3))


def test_points_far_out_end(model):
    Z = torch.full((5, model.latent_dim), 3e38)
    assert len(model.decode(Z)) == 5


# ---------------------------------------------------------------- identity and what is refused


def test_identity_is_the_molecule(model):
    assert model.key("OC(=O)c1ccccc1OC(C)=O") == model.key("CC(=O)Oc1ccccc1C(=O)O")
    assert model.key("C[C@H](N)C(=O)O") != model.key("C[C@@H](N)C(=O)O")
    flat = SelfiesVAE.pretrained(stereo=False)
    assert flat.key("C[C@H](N)C(=O)O") == flat.key("C[C@@H](N)C(=O)O")
    assert "@" not in "".join(
        x or "" for x in flat.decode(flat.sample_prior(50, torch.Generator().manual_seed(0)))
    )


def test_salts_are_refused_or_the_largest_part_is_taken(model):
    with pytest.raises(DataError, match=r"row 1: .*fragment"):
        model.tensorize(["CCO", "CC(=O)[O-].[Na+]"])
    largest = SelfiesVAE.pretrained(salts="largest")
    assert torch.equal(largest.tensorize(["CC(=O)[O-].[Na+]"]), largest.tensorize(["CC(=O)[O-]"]))
    assert largest.key("CC(=O)[O-].[Na+]") == largest.key("CC(=O)[O-]")


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        ("", "empty"),
        ("c1ccccc", "ring|SMILES|molecule"),
        ("[13CH4]", "isotop|mass"),
        ("[CH3]", "unpaired"),
        ("C[Si](C)(C)C", r"token \[Si\], which is not in the vocabulary; extend"),
        ("*CC", "dummy|atom"),
        ("C" * 101, "101 tokens, more than max_tokens=100"),
    ],
)
def test_what_cannot_be_taken_is_named_with_its_row(model, x, problem):
    with pytest.raises(DataError, match=rf"(?s)row 1.*({problem})"):
        model.tensorize(["CCO", x])


def test_no_list_of_texts_is_refused(model):
    with pytest.raises(DataTypeError, match="sequence of SMILES, got str"):
        model.tensorize("CCO")
    with pytest.raises(DataTypeError, match="str, got int in row 1"):
        model.tensorize(["CCO", 3])


def test_parameters_are_checked():
    with pytest.raises(ParameterError, match="max_tokens must be at most 103, got 104"):
        SelfiesVAE.pretrained(max_tokens=104)
    with pytest.raises(ParameterError, match="salts"):
        SelfiesVAE.pretrained(salts="keep")
    with pytest.raises(ParameterError, match=r"SELFIES tokens such as '\[=C\]', got 'C'"):
        SelfiesVAE(["[C]", "C"])
    with pytest.raises(ParameterError, match="distinct tokens, got 2, of them 1 distinct"):
        SelfiesVAE(["[C]", "[C]"])
    with pytest.raises(ParameterTypeError, match="sequence of SELFIES tokens"):
        SelfiesVAE("[C]")


def test_hydrogen_takes_the_place_of_unpaired_electrons():
    # the letter of SELFIES: a carbon with one stated hydrogen and one bond
    assert to_smiles(["[C]", "[C@@H1]"], True) == "CC"
    assert to_smiles(["[C]", "[C@@H1]", "[Branch1]", "[C]", "[F]", "[Cl]"], True) == "C[C@@H](F)Cl"


def test_many_molecules_are_read_in_parallel_as_one_by_one(monkeypatch, tmp_path):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    monkeypatch.setattr("wrlso._chemistry.selfies_tokens._MANY", 5)
    X = [*MOLECULES, "c1ccccc"]
    assert read_all(X, True, "refuse") == [read_smiles(x, True, "refuse") for x in X]
    assert not list(tmp_path.rglob("*.txt"))  # what holds problems is not kept
    for _ in range(2):  # the second time from the disk
        assert read_all(MOLECULES, True, "refuse") == [read_smiles(x, True, "refuse") for x in MOLECULES]
    assert len(list(tmp_path.rglob("*.txt"))) == 1


# ---------------------------------------------------------------- growing, files, training


sequences = st.lists(st.integers(2, 9), min_size=1, max_size=20)


@given(sequences, st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_an_edit_is_never_empty_and_keeps_to_the_length(sequence, longest, seed):
    out = edited(sequence, lambda: -1, longest, np.random.default_rng(seed))
    assert 1 <= len(out) <= longest
    assert out.count(-1) <= 8 or out[out.index(-1) :][: out.count(-1)] == [-1] * out.count(-1)


def differences(before, after):
    """All pairs of stretches, one of which stands in the place of the other, with what comes before."""
    n, m = len(before), len(after)
    for i in range(min(n, m) + 1):
        for j in range(min(n, m) - i + 1):
            if before[:i] == after[:i] and before[n - j :] == after[m - j :]:
                yield before[:i], before[i : n - j], after[i : m - j]


@given(sequences, st.integers(0, 2**32 - 1))
def test_an_edit_changes_at_most_eight_tokens_or_repeats_as_many(sequence, seed):
    out = edited(sequence, lambda: -1, 40, np.random.default_rng(seed))

    def is_repeated(before, new):
        return set(new) == {-1} or any(new == (before[-size:] * 40)[: len(new)] for size in range(1, 9))

    assert any(
        max(len(old), len(new)) <= 8 or is_repeated(before, new)
        for before, old, new in differences(sequence, out)
    )


def test_an_edit_can_append():
    found = {tuple(edited([5, 6], lambda: 7, 40, np.random.default_rng(seed))) for seed in range(300)}
    assert {(7, 5, 6), (5, 7, 6), (5, 6, 7), (5,), (6,), (7, 6), (5, 7)} <= found


def test_all_kinds_of_edits_come_as_often_as_they_should():
    generator = np.random.default_rng(0)
    base = list(range(100, 120))
    outs = [edited(base, lambda: -1, 40, generator) for _ in range(4000)]
    new = np.array([out.count(-1) for out in outs])
    length = np.array([len(out) for out in outs])
    replaced, inserted = np.mean((length == 20) & (new == 1)), np.mean((length == 21) & (new == 1))
    shorter, longer = np.mean(length < 20), np.mean((length > 20) & (new == 0))
    filled = np.mean(new > 1)
    spread = np.mean([max(out.count(token) for token in base) > 2 for out in outs])
    grown = np.mean(length > 28)
    # those of one token look like others, and those near the end make the sequence longer
    assert 0.32 < replaced < 0.4
    assert 0.17 < inserted < 0.23
    assert 0.17 < shorter < 0.23
    assert 0.09 < longer < 0.15
    assert 0.05 < filled < 0.1
    assert 0.03 < spread < 0.07
    assert 0.03 < grown < 0.09
    assert length.max() == 40


def test_an_edit_can_grow_a_chain_of_any_length():
    outs = [edited([5, 6], lambda: 7, 30, np.random.default_rng(seed)) for seed in range(8000)]
    for token in (6, 7):  # its own, and a new one
        assert set(range(10, 30)) <= {len(out) for out in outs if set(out[2:]) == {token}}
    assert max(len(out) for out in outs) == 30


def test_mutants_are_readable_near_molecules_and_follow_the_generator(model):
    X = [*MOLECULES[:2], *MOLECULES[5:]] * 40
    found = model.mutate(X, torch.Generator().manual_seed(3))
    assert found == model.mutate(X, torch.Generator().manual_seed(3))
    assert found != model.mutate(X, torch.Generator().manual_seed(4))
    assert len(found) == len(X)
    made = [x for x in found if x is not None]
    assert len(made) > 0.9 * len(X)
    assert model.tensorize(made).shape[0] == len(made)
    assert [model.key(x) for x in made] == made
    changed = [a != model.key(b) for a, b in zip(found, X, strict=True) if a is not None]
    assert np.mean(changed) > 0.7
    # what hardly any data hold, and decoding therefore hardly ever writes
    assert any("SS" in x for x in model.mutate(["CCCSCCC"] * 600, torch.Generator().manual_seed(0)) if x)


def test_no_mutant_of_what_cannot_be_read(model):
    with pytest.raises(DataError, match="row 1"):
        model.mutate(["CC", "C1CC"])


def atoms(smiles):
    return Counter(atom.GetSymbol() for atom in Chem.MolFromSmiles(smiles).GetAtoms())


def test_children_are_readable_and_made_of_parts_of_their_parents(model):
    X, Y = (MOLECULES[2:] * 30)[:200], (MOLECULES[:-1] * 30)[:200]
    found = model.cross(X, Y, torch.Generator().manual_seed(3))
    assert found == model.cross(X, Y, torch.Generator().manual_seed(3))
    assert found != model.cross(X, Y, torch.Generator().manual_seed(4))
    made = [(x, y, z) for x, y, z in zip(X, Y, found, strict=True) if z is not None]
    assert len(made) > 0.8 * len(X)
    assert [model.key(z) for _, _, z in made] == [z for _, _, z in made]
    assert model.tensorize([z for _, _, z in made]).shape[0] == len(made)
    for x, y, z in made:
        assert "." not in z
        assert "*" not in z
        assert atoms(z) <= atoms(x) + atoms(y)
    with pytest.raises(DataError, match="same length, got 2 and 1"):
        model.cross(["CC", "CCC"], ["C"])
    with pytest.raises(DataError, match="molecule"):
        model.cross(["CC"], ["C1CC"])
    with pytest.raises(DataTypeError, match="Y must be a sequence of SMILES, got str"):
        model.cross(["CC"], "CC")
    with pytest.raises(DataTypeError, match="X must hold SMILES, str, got list in row 0"):
        model.cross([["CC"]], ["CC"])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_chains_cross_to_chains_and_rings_to_one_ring(seed):
    chain, ring = (kekulized(Chem.MolFromSmiles(x)) for x in ("CCCCCCOOO", "C1CCCCC1"))
    draw = np.random.default_rng(seed)
    child = Chem.MolFromSmiles(crossed(chain, chain, draw) or "C")
    assert child.GetRingInfo().NumRings() == 0
    child = Chem.MolFromSmiles(crossed(ring, ring, draw) or "C1CC1")
    assert child.GetRingInfo().NumRings() == 1
    assert 2 < child.GetNumAtoms() <= 10
    assert crossed(ring, chain, draw) is None
    assert crossed(kekulized(Chem.MolFromSmiles("C")), chain, draw) is None


def test_growing_changes_nothing_for_known_tokens(model):
    grown = copy.deepcopy(model)
    new = ["C[Si](C)(C)C", "OB(O)c1ccccc1"]
    assert grown.missing_tokens(new) == ["[Si]", "[B]"]
    assert grown.extend(new) is grown
    assert grown.missing_tokens(new) == []
    inputs = model.tensorize(MOLECULES)
    assert torch.equal(grown.tensorize(MOLECULES), inputs)
    torch.testing.assert_close(grown.encode(inputs), model.encode(inputs))
    Z = model.sample_prior(40, torch.Generator().manual_seed(0))
    assert grown.decode(Z) == model.decode(Z)
    assert grown.encode(grown.tensorize(new)).isfinite().all()
    with pytest.raises(DataError, match=r"row 0: .* token \[Si\]"):
        model.tensorize(new)


def test_a_grown_model_learns_its_new_tokens():
    grown = small()
    X = ["C[Si](C)(C)C", "CC[Si](C)(C)C", "CCC[Si](C)(C)O"] * 20
    grown.fit(X, epochs=100, batch_size=30, lr=1e-2, verbose=0)
    assert set(grown.decode(grown.encode(grown.tensorize(X)))) == set(X)
    drawn = grown.decode(grown.sample_prior(50, torch.Generator().manual_seed(0)))
    assert len(set(drawn) & set(X)) >= 1  # the prior lies where the data lies


def test_a_file_brings_back_the_same_model(tmp_path):
    one = small(beta=0.3, max_tokens=50).extend(["C[Si](C)C"])
    one.to_file(tmp_path / "m.safetensors", half=False, about={"data": "none"})
    other = SelfiesVAE.from_file(tmp_path / "m.safetensors")
    assert (other.vocabulary, other.beta, other.max_tokens) == (one.vocabulary, 0.3, 50)
    Z = torch.randn(20, one.latent_dim, generator=torch.Generator().manual_seed(0))
    assert other.decode(Z) == one.decode(Z)
    assert SelfiesVAE.from_file(tmp_path / "m.safetensors", max_tokens=7).max_tokens == 7
    with pytest.raises(ParameterError, match="got width"):
        SelfiesVAE.from_file(tmp_path / "m.safetensors", width=7)


def test_a_state_grows_the_model_that_takes_it():
    one = small().extend(["C[Si](C)C"])
    other = small()
    other.set_state(one.get_state())
    other.load_state_dict(one.state_dict())
    assert other.vocabulary == one.vocabulary
    with pytest.raises(ModelError, match="does not begin with this model's"):
        small().set_state({"vocabulary": ["[N]", "[C]"]})


def test_before_training_the_prior_is_standard_normal():
    Z = small().sample_prior(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(Z.T), torch.eye(Z.shape[1]), atol=0.15, rtol=0)


def test_what_training_saw_is_remembered():
    model = small().train()
    inputs = model.tensorize(["CCO", "CC=O", "CC(=O)N"])
    before = {name: p.clone() for name, p in model.named_parameters()}
    model.loss(inputs)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert int((model.memory.n_chunks > 0).sum()) == 3
    means = model.eval().encode(inputs)
    kept = model.memory.means[:3]
    assert torch.cdist(means, kept).min(dim=1).values.max() < 0.05  # remembered in bfloat16
    model.loss(inputs)
    assert int((model.memory.n_chunks > 0).sum()) == 3  # evaluation leaves it alone
    model.memory.log_variances.fill_(-40.0)
    drawn = model.sample_prior(100, torch.Generator().manual_seed(0), completed=False)
    # matrix products would lose half of the digits
    apart = torch.cdist(drawn, kept, compute_mode="donot_use_mm_for_euclid_dist")
    assert apart.min(dim=1).values.max() < 1e-4
    assert len(torch.cdist(drawn, kept).argmin(dim=1).unique()) == 3


def test_the_prior_keeps_the_first_chunks_of_what_is_remembered():
    memory = CodeMemory(10, 2, size=3)
    means = torch.arange(30.0).view(3, 10) + 1.0
    memory.remember(means, torch.full((3, 10), -80.0), torch.tensor([1, 3, 5]))
    drawn = memory.sample(2000, torch.Generator().manual_seed(0), completed=True).view(-1, 5, 2)
    kept = (drawn != 0).all(dim=2).sum(dim=1)
    for i, n_chunks in enumerate(memory.n_chunks.long().tolist()):
        example = memory.means[i].view(5, 2)
        mine = torch.isclose(drawn[:, 0], example[0]).all(dim=1)
        assert set(kept[mine].tolist()) == set(range(1, max(2, n_chunks - 1)))
        for row, n in zip(drawn[mine], kept[mine], strict=True):
            torch.testing.assert_close(row[:n], example[:n])
            assert not row[n:].any()


@pytest.mark.parametrize("n", [-1, 2.5, "3"])
def test_the_number_of_draws_is_checked(n):
    with pytest.raises((ParameterError, ParameterTypeError), match="n must be an integer of at least 0"):
        small().sample_prior(n)


def test_a_full_memory_is_renewed_bit_by_bit():
    torch.manual_seed(0)
    memory = CodeMemory(2, 1, size=40)
    for step in range(30):
        codes = torch.full((16, 2), float(step))
        memory.remember(codes, codes, torch.ones(16))
    there = memory.means[:, 0]
    assert (memory.n_chunks > 0).all()
    assert there.max() == 29
    assert 5 < len(there.unique()) < 30  # of many batches, none of them whole


def test_weighted_retraining_moves_what_the_prior_writes():
    model = small()
    X = ["CCCCCC", "CCOCC", "NCCN"] * 30
    model.fit(X, epochs=50, batch_size=45, lr=1e-2, verbose=0)
    y = np.array([x.count("O") for x in X], dtype=float)

    def oxygens():
        drawn = model.decode(model.sample_prior(300, torch.Generator().manual_seed(0)))
        return np.mean([x.count("O") > 0 for x in drawn if x])

    before = oxygens()
    trainer = Trainer(retrain_epochs=20, batch_size=30, lr=5e-3)
    trainer.fine_tune(model, model.tensorize(X), RankWeighting(k=1e-2)(y), np.random.default_rng(0))
    assert oxygens() > before + 0.2


# ---------------------------------------------------------------- the networks


def test_a_chunk_sees_no_later_one():
    torch.manual_seed(0)
    sizes = ChunkSizes(9, n_chunks=5, chunk=4, chunk_dim=3, width=16, hidden=12)
    decoder = ChunkDecoder(sizes)
    z = torch.randn(4, sizes.latent_dim)
    torch.testing.assert_close(decoder.features(z, 2), decoder.features(z)[:, :8])
    moved = z.clone()
    moved[:, 2 * 3 :] += 1.0
    torch.testing.assert_close(decoder.features(moved)[:, :8], decoder.features(z)[:, :8])
    assert not torch.allclose(decoder.features(moved)[:, 8:], decoder.features(z)[:, 8:])


def test_padding_says_nothing():
    torch.manual_seed(0)
    sizes = ChunkSizes(9, n_chunks=5, chunk=4, chunk_dim=3, width=16, hidden=12)
    encoder = ChunkEncoder(sizes)
    tokens = torch.tensor([[2, 3, 4, 5, 6, 0, 0, 0]])
    longer = torch.nn.functional.pad(tokens, (0, 12))
    for short, long in zip(encoder(tokens), encoder(longer), strict=True):
        torch.testing.assert_close(short, long)
    assert (encoder(tokens)[0].view(5, 3)[2:] == 0).all()


@torch.no_grad()
def test_the_likelihood_sums_to_one_over_all_short_sequences():
    torch.manual_seed(0)
    sizes = ChunkSizes(4, n_chunks=1, chunk=3, chunk_dim=2, width=8, hidden=8, n_heads=2)
    decoder = ChunkDecoder(sizes)
    # END, MASK and two tokens; what is longer than two tokens has the rest of the probability
    rows = [[a, b, END] for a in (1, 2, 3) for b in (1, 2, 3)] + [[a, END, END] for a in (1, 2, 3)]
    tokens = torch.tensor([*rows, [END, END, END]])
    z = torch.randn(1, 2).expand(len(tokens), 2)
    total = torch.exp(-sequence_nll(decoder(z, tokens), tokens)).sum()
    three = torch.tensor([[a, b, c] for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3)])
    logits, targets = decoder(z[:1].expand(27, 2), three)
    steps = torch.nn.functional.cross_entropy(logits, targets, reduction="none").view(27, 3).sum(1)
    assert float(total + torch.exp(-steps).sum()) == pytest.approx(1.0, abs=1e-5)


def random_decoder():
    torch.manual_seed(0)
    decoder = ChunkDecoder(ChunkSizes(9, n_chunks=8, chunk=8, chunk_dim=3, width=16, hidden=12))
    for layer in decoder.past:
        torch.nn.init.normal_(layer.scale)  # they begin at zero
    return decoder.eval()


@torch.no_grad()
def test_writing_step_by_step_gives_the_logits_of_training():
    decoder = random_decoder()
    tokens, z = torch.randint(2, 9, (5, 64)), torch.randn(5, 24)
    expected, _ = decoder(z, tokens)
    features, state, found = decoder.features(z), decoder.begin(5, z.device), []
    for t in range(64):
        if t == 40:
            state.keep(torch.tensor([True, False, True, True, False]))
        rows = [0, 1, 2, 3, 4] if t < 40 else [0, 2, 3]
        found.append((rows, decoder.step(features[rows, t], state)))
        state.push(tokens[rows, t])
    for t, (rows, logits) in enumerate(found):
        torch.testing.assert_close(logits, expected.view(5, 64, 9)[rows, t], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_token_is_remembered_for_some_forty_positions_and_never_seen_before():
    decoder, z = random_decoder(), torch.randn(1, 24)
    tokens = torch.randint(2, 9, (1, 64))
    changed = tokens.clone()
    changed[0, 10] = 2 if tokens[0, 10] != 2 else 3
    differs = (decoder(z, tokens)[0] != decoder(z, changed)[0]).any(dim=1)
    assert not differs[:11].any()
    assert differs[11:15].all()
    assert differs[45:51].any()


@given(share=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 2**31))
def test_chunks_are_hidden_whole(share, seed):
    torch.manual_seed(seed)
    z = torch.randn(200, 24)
    blocks, before = without_chunks(z, share, 3).view(200, 8, 3), z.view(200, 8, 3)
    hidden = (blocks == 0).all(dim=2)
    assert torch.equal(blocks[~hidden], before[~hidden])
    assert float(hidden.float().mean()) == pytest.approx(share, abs=0.06)
