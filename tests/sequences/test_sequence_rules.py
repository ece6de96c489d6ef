"""Rules of sequences: what is repaired keeps all of them, and impossible ones are refused at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso._sequences.alignment import edit_distance
from wrlso._sequences.variation import Changes, crossed
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.sequences import SequenceRules

WILD = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
RULES = {
    "mutants": SequenceRules(wild_type=WILD, max_mutations=6, fixed=[1, "10-14"], forbidden=["C", "KK"]),
    "motifs": SequenceRules(
        required=["N{P}[ST]{P}", "HH"], forbidden=["W", "PXP"], max_homopolymer=2, length=20
    ),
    "insertions": SequenceRules(wild_type=WILD, max_mutations=4, length=(31, 35), fixed=["1-3"]),
    "dna": SequenceRules(
        "dna", gc=(0.4, 0.6), forbidden=["GAATTC", "GGNCC"], max_homopolymer=4, length=(30, 60)
    ),
    "rna": SequenceRules("rna", required=["GNRA"], gc=(0.3, 0.7)),
    "letters": SequenceRules("abc", forbidden=["ab"], length=(3, 9)),
    "beginning": SequenceRules("dna", prefix="atg", forbidden=["GAA"], gc=(0.4, 0.5), length=(9, 20)),
    "begun mutants": SequenceRules(wild_type=WILD, max_mutations=4, prefix=WILD[:2], length=(31, 35)),
}


@pytest.mark.parametrize("name", RULES)
def test_what_is_repaired_keeps_all_rules(name):
    rules = RULES[name]
    rules.check()

    @settings(max_examples=40)
    @given(st.text(rules.letters, min_size=12, max_size=40))
    def holds(x):
        found = rules.repaired(x)
        assert found is not None
        assert rules(found), rules.broken(found)
        assert found == rules.repaired(x)
        assert rules.repaired(found) == found

    holds()


def test_each_rule_by_its_definition():
    x = RULES["mutants"].repaired("W" * len(WILD))
    assert edit_distance(WILD, x) <= 6
    assert (x[0], x[9:14]) == (WILD[0], WILD[9:14])
    assert "C" not in x
    assert "KK" not in x
    dna = RULES["dna"].repaired("GAATTC" * 6)
    assert "GAATTC" not in dna
    assert 0.4 <= sum(map(dna.count, "GC")) / len(dna) <= 0.6


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wild_type": WILD, "max_mutations": 1, "required": ["WWW"]}, "the motif WWW must occur"),
        ({"wild_type": WILD, "fixed": ["1-33"], "forbidden": ["MK"]}, "MK must not occur"),
        ({"alphabet": "dna", "required": ["GAATTC"], "forbidden": ["AATT"]}, "stayed broken"),
        ({"alphabet": "dna", "gc": (1, 1), "max_homopolymer": 2, "forbidden": ["GC", "CG"]}, "stayed broken"),
        ({"wild_type": WILD, "max_mutations": 2, "length": 40}, "length must be within max_mutations=2"),
        ({"required": ["AAAA"], "length": 3}, "cannot occur in a sequence of length 3"),
        ({"max_mutations": 3}, "needs wild_type"),
        ({"fixed": [3]}, "needs wild_type"),
        ({"wild_type": WILD, "fixed": [34]}, "from 1 to 33, got 34"),
        ({"wild_type": WILD, "fixed": ["7-3"]}, "from 1 to 33, got '7-3'"),
        ({"wild_type": "MKX"}, "wild_type must be a sequence of protein"),
        ({"gc": (0.4, 0.6)}, "gc is for DNA and RNA"),
        ({"alphabet": "dna", "gc": (0.6, 0.4)}, r"gc\[1\] must be"),
        ({"required": ["B2"]}, "required must hold motifs of the letters"),
        ({"length": (5, 3)}, "length must be an integer of at least 5"),
    ],
)
def test_impossible_rules_are_an_error_at_once(options, says):
    with pytest.raises(ParameterError, match=says):
        SequenceRules(**options).check(40)


def test_types_are_checked():
    with pytest.raises(ParameterTypeError, match="forbidden must be a sequence of motifs"):
        SequenceRules(forbidden="C").check()
    with pytest.raises(ParameterTypeError, match="prefix must be letters, str, got 3"):
        SequenceRules(prefix=3).check()
    with pytest.raises(ParameterError, match="prefix must be letters of dna: 'MK' has 'M' at position 1"):
        SequenceRules("dna", prefix="MK").check()
    with pytest.raises(ParameterTypeError, match="fixed must be a sequence of positions"):
        SequenceRules(wild_type=WILD, fixed="1-3").check()


@pytest.mark.parametrize(
    ("motif", "x", "there"),
    [
        ("N{P}[ST]", "ANASA", True), ("N{P}[ST]", "ANPSA", False), ("NXS", "NWS", True),
        ("N-x-S", "NWS", True), ("ANA", "ANANA", True),
    ],
)  # fmt: skip
def test_motifs_mean_what_prosite_means(motif, x, there):
    assert SequenceRules(forbidden=[motif])(x) != there


def test_each_argument_has_an_effect():
    plain = SequenceRules("dna", wild_type="ACGTACGTAC")
    x = "ACGTTTTTAC"
    assert plain(x)
    for option in (
        {"max_mutations": 2}, {"fixed": [5]}, {"required": ["GGG"]}, {"forbidden": ["TTT"]}, {"length": 9},
        {"gc": (0.5, 1.0)}, {"max_homopolymer": 3}, {"prefix": "AG"},
    ):  # fmt: skip
        changed = clone(plain).set_params(**option)
        assert not changed(x)
        assert changed.broken(x)
        assert str(next(iter(option))).split("_")[-1] in changed.words()
    assert not plain.set_params(alphabet="AC", wild_type=None)(x)


# ------------------------------------------------------------------ changes


@st.composite
def rows(draw):
    length = draw(st.integers(2, 20))
    return [np.array(draw(st.lists(st.integers(0, 3), min_size=2, max_size=length + 1))) for _ in range(6)]


@settings(max_examples=50)
@given(rows(), st.integers(0, 1000), st.booleans())
def test_changes_stay_within_letters_and_lengths(X, seed, is_free):
    lengths = [len(x) for x in X]
    low, high = (min(lengths), max(lengths) + 2) if is_free else (max(lengths), max(lengths))
    before = [x.copy() for x in X]
    changes = Changes(4, None, np.ones((4, 4), dtype=bool), low, high)
    rng = np.random.default_rng(seed)
    for made in (changes.mutated(X, rng), crossed(X, X[1:] + X[:1], low, high, rng)):
        for x, y in zip(X, made, strict=True):
            assert min(low, len(x)) <= len(y) <= max(high, len(x))
            assert ((y >= 0) & (y < 4)).all()
    assert all((a == b).all() for a, b in zip(before, X, strict=True))


def test_every_kind_of_change_comes_up_and_a_length_can_stay():
    x = np.arange(12) % 4
    rng = np.random.default_rng(0)
    free = Changes(4, None, np.ones((4, 4), dtype=bool), 8, 16).mutated([x] * 300, rng)
    assert {len(y) for y in free} > {11, 12, 13}
    held = Changes(4, None, np.ones((4, 4), dtype=bool), 12, 12).mutated([x] * 300, rng)
    assert {len(y) for y in held} == {12}
    distances = [int((x != y).sum()) for y in held]
    assert {1, 2, 3, 5} < set(distances)


def test_new_letters_mostly_make_pairs_that_were_seen():
    """Only the cycle 0 1 2 3 0 is known; of 2,000 changed letters few are beside an unknown neighbour."""
    seen = np.zeros((6, 6), dtype=bool)
    seen[np.arange(6), (np.arange(6) + 1) % 6] = seen[np.arange(6), np.arange(6)] = True
    x = np.zeros(10, dtype=np.int64)
    shares = []
    for known in (seen, np.ones_like(seen)):
        made = Changes(6, None, known, 10, 10).mutated([x] * 1000, np.random.default_rng(0))
        pairs = np.concatenate([np.stack([y[:-1], y[1:]], axis=1) for y in made])
        shares.append(float(seen[pairs[:, 0], pairs[:, 1]].mean()))
    assert 1 - shares[0] < 0.6 * (1 - shares[1])


def test_children_of_different_lengths_are_joined_at_aligned_places():
    """The parents share both ends and differ in how many zeros are between: children keep the ends."""
    a, b = (np.array([3, 1, 2, *[0] * n, 1, 2, 3, 1, 2, 3]) for n in (6, 3))
    made = crossed([a] * 200, [b] * 200, 1, 20, np.random.default_rng(0))
    assert np.mean([y[-6:].tolist() == [1, 2, 3, 1, 2, 3] for y in made]) > 0.9
    assert {len(y) for y in made} >= {12, 15}
