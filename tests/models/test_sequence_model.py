"""The model of sequences: the contract, lengths, what it reads, what it changes, and what it keeps."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models import HasBlocks, HasFeatures, LatentModel, SequenceVAE
from wrlso.sequences import CodingRules, SequenceRules
from wrlso.surrogate import PairCounts
from wrlso.testing import check_latent_model

DNA = ["ACGTACGTAA", "ACGTTCGTAA", "ACCTACGTCA", "TCGTACGTAG"]
MIXED = ["MKTAYIAKQRQISFVK", "MKTAYIAKQR", "MKTAYIWWAKQRQIS", "TAYIAKQRQ"]


def small(alphabet="dna", **options):
    torch.manual_seed(0)
    return SequenceVAE(alphabet, width=16, hidden=16, chunk_dim=2, **options)


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (small(), DNA),
        (small("protein"), MIXED),
        (small("protein", rules=SequenceRules(wild_type=MIXED[0], max_mutations=3, fixed=[1])), MIXED),
        (small("xyz", length=(2, 30)), ["xyz", "x", "yyyyyyyyyyyyyyyy"]),
    ],
    ids=["one length", "lengths", "rules", "letters"],
)
def test_keeps_the_contract(model, X):
    check_latent_model(model, X)


def test_has_the_abilities_that_a_search_uses():
    model = small(length=10)
    assert isinstance(model, LatentModel)
    assert isinstance(model, HasFeatures)
    assert isinstance(model, HasBlocks)


def test_lengths_are_learned_from_the_first_x():
    model = small()
    with pytest.raises(ModelError, match="before the first x"):
        _ = model.latent_dim
    assert model.tensorize(DNA).shape == (4, 16)
    assert {len(x) for x in model.decode(torch.randn(50, model.latent_dim), 1.0)} == {10}
    free = small("protein")
    free.tensorize(MIXED)
    lengths = {len(x) for x in free.decode(torch.randn(300, free.latent_dim) * 3, 2.0)}
    assert min(lengths) >= 8
    assert max(lengths) <= 18
    assert len(lengths) > 2
    with pytest.raises(DataError, match="row 1: .*30 letters, more than the model's longest"):
        free.tensorize(["MKT", "MKT" * 10])


@settings(max_examples=40)
@given(st.lists(st.text("ACGT", min_size=1, max_size=15), min_size=1, max_size=5))
def test_what_is_read_says_which_letters_there_are(X):
    model = small(length=(1, 15))
    inputs = model.tensorize(X)
    assert ["".join("ACGT"[n - 2] for n in row if n) for row in inputs.tolist()] == X
    assert [model.key(f" {x.lower()} ") for x in X] == X
    features = model.features(X)
    assert np.isfinite(features).all()
    assert (features == np.concatenate([model.features([x]) for x in X])).all()


def test_errors_name_rows():
    with pytest.raises(DataError, match="row 1: 'ACNT' has 'N'"):
        small().tensorize(["ACGT", "ACNT"])
    with pytest.raises(DataTypeError, match="sequence of str"):
        small().tensorize("ACGT")
    with pytest.raises(DataError, match="same length"):
        small().cross(DNA, DNA[:2])
    with pytest.raises(ParameterError, match="rules must have the model's letters"):
        small(rules=SequenceRules("rna"))
    with pytest.raises(ParameterTypeError, match="rules must be SequenceRules"):
        small(rules={"length": 3})


@pytest.fixture(scope="module")
def trained():
    """A model of a family: 200 variants of one protein, 24 letters long."""
    rng = np.random.default_rng(0)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    wild = rng.choice(letters, size=24)
    X = []
    for _ in range(200):
        x = wild.copy()
        x[rng.integers(24, size=3)] = rng.choice(letters, size=3)
        X.append("".join(x))
    torch.manual_seed(0)
    model = SequenceVAE(width=32, hidden=48).fit(X, 55, batch_size=16, lr=3e-3, verbose=0)
    return model, "".join(wild), X, letters


def test_a_few_hundred_sequences_are_learned_without_collapse(trained):
    model, wild, X, _ = trained
    Z = model.encode(model.tensorize(X))
    assert int((Z.var(dim=0) > 0.01).sum()) >= 3
    back = model.decode(Z)
    own = np.mean([a == b for x, y in zip(X, back, strict=True) for a, b in zip(x, y, strict=True)])
    wild_only = np.mean([a == b for x in X for a, b in zip(x, wild, strict=True)])
    assert own > wild_only + 0.01  # more than the family's letters come back
    shuffled = ["".join(np.random.default_rng(i).permutation(list(wild))) for i in range(20)]
    assert model.log_probability([wild])[0] > model.log_probability(shuffled).max() + 10


def test_likely_letters_are_those_of_the_family(trained):
    model, wild, X, letters = trained
    rows = [model.alphabet.numbers(x) for x in X[:40]]
    chances = model._likely(rows, [np.array([3, 17])] * 40)
    assert chances.shape == (80, 20)
    assert np.allclose(chances.sum(axis=1), 1.0, atol=1e-5)
    family = [letters.tolist().index(wild[place]) for place in (3, 17)] * 40
    assert np.mean(chances[np.arange(80), family]) > 0.3


def test_what_is_changed_is_near_and_keeps_rules(trained):
    model, wild, X, _ = trained
    model = copy.deepcopy(model)
    model.rules = SequenceRules(wild_type=wild, max_mutations=4, forbidden=["C"])
    generator = torch.Generator().manual_seed(0)
    made = [*model.mutate(X, generator), *model.cross(X, X[::-1], generator)]
    made += model.decode(model.sample_prior(200, generator), 1.0, generator)
    assert all(x is not None and model.rules(x) for x in made)
    assert len(set(made)) > 100


def test_state_and_files_bring_the_same_model_back(trained, tmp_path):
    model, _, X, _ = trained
    other = SequenceVAE(width=32, hidden=48)
    other.set_state(model.get_state())
    other.load_state_dict(model.state_dict())
    inputs = model.tensorize(X)
    assert torch.equal(other.eval().encode(inputs), model.eval().encode(inputs))
    assert (other.features(X) == model.features(X)).all()
    model.to_file(tmp_path / "family.safetensors", half=False)
    read = SequenceVAE.from_file(tmp_path / "family.safetensors")
    assert torch.equal(read.encode(inputs), model.encode(inputs))
    with pytest.raises(ModelError, match="create the model with the original alphabet"):
        small().set_state(model.get_state())


def test_parts_and_pairs_are_counts():
    """AACAA has the pairs AA, AC, CA, AA; at distance two AC, AA, CA."""
    model = small()
    parts = model.parts(["AACAA", "A"]).toarray()
    assert parts.sum(axis=1).tolist() == [4, 0]
    assert parts[0, [0, 1, 4]].tolist() == [2, 1, 1]
    counts = PairCounts(farthest=2)(["AACAA"]).toarray()[0]
    assert counts.sum() == 7
    assert counts[:2].tolist() == [2, 1]
    placed = PairCounts(wild_type="MKT", farthest=1)(["MKT", "MAT"]).toarray()
    assert placed[0] @ placed[1] == 200  # two letters at their places, ten times each, and no pair


def test_spellings_of_a_sequence_are_one():
    assert small("rna").spelled([" acg-t\n", "ACGU"]) == ["ACGU", "ACGU"]
    assert small("ab").spelled(["ab ab"]) == ["abab"]
    assert small("protein", rules=CodingRules()).spelled(["aug aaa uaa"]) == ["ATGAAATAA"]
    with pytest.raises(DataError, match="row 1"):
        small("dna").spelled(["ACGT", "ACGX"])


@pytest.mark.parametrize(
    "rules",
    [
        SequenceRules("dna", gc=(0.4, 0.6), forbidden=["GAATTC", "GGNCC"], max_homopolymer=3),
        CodingRules(wild_type="ATGAAAACCGCGTATATTGCGAAACAGTAA", max_mutations=3, forbidden=["GAATTC"]),
    ],
)
def test_all_of_many_points_end_and_keep_the_rules(rules):
    """Ten thousand latent points, draws and mutants of a model without training."""
    torch.manual_seed(0)
    model = SequenceVAE(rules.letters, rules=rules, width=16, hidden=16)
    start = rules.wild_type or "ACGTTGCATGCCATAGCATT"
    model.tensorize([start])
    generator = torch.Generator().manual_seed(1)
    n = 3400
    made = model.decode(3.0 * torch.randn(n, model.latent_dim, generator=generator), 1.0, generator)
    made += model.decode(model.sample_prior(n, generator), 0.7, generator)
    made += model.mutate([start] * n, generator)
    assert len(made) == 3 * n
    found = [x for x in made if x is not None]
    assert len(found) > 0.9 * len(made)
    assert all(map(rules, found))
