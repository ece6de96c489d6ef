"""Alphabets, alignment and FASTA: what is read as meant, what is refused, and figures of the literature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrlso._sequences.alignment import aligned_places, edit_distance
from wrlso._sequences.alphabets import listed_sequences, make_alphabet, substitution_odds
from wrlso._sequences.fasta import format_fasta, parse_fasta
from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

PROTEIN, DNA, RNA = (make_alphabet(name) for name in ("protein", "dna", "rna"))
words = st.text("ACGT", min_size=1, max_size=12)


def numbers(*sequences):
    return [DNA.numbers(x) for x in sequences]


@given(words)
def test_numbers_and_text_are_inverse(x):
    assert DNA.text(DNA.numbers(x)) == x


@pytest.mark.parametrize(
    ("alphabet", "text", "meant"),
    [
        (PROTEIN, " mkt\nAY* ", "MKTAY"),
        (PROTEIN, "MK--T.AY", "MKTAY"),
        (DNA, "augc", "ATGC"),
        (RNA, "ATGC", "AUGC"),
        (make_alphabet("ab-"), "a-b b", "a-bb"),
    ],
)
def test_what_is_plain_is_read(alphabet, text, meant):
    assert alphabet.read(text) == meant
    assert alphabet.read(meant) == meant


@pytest.mark.parametrize(
    ("alphabet", "text", "says"),
    [
        (PROTEIN, "MK*TAY", r"a stop \(\*\) at position 3"),
        (PROTEIN, "MKXTAY", "'X' at position 3, which is ambiguous or rare"),
        (DNA, "ACNT", "'N' at position 3, which is ambiguous or rare"),
        (DNA, " - ", "at least one letter"),
        (PROTEIN, "wt", "is what a wild type is called"),
        (PROTEIN, "A42G", "is a name of mutations"),
        (PROTEIN, "p.A42G,L7*", "is a name of mutations"),
        (PROTEIN, "MK1A", "'1' at position 3; the letters of protein are ACDEF"),
        (make_alphabet("ab"), "aB", "'B' at position 2; the letters of the alphabet are ab"),
    ],
)
def test_what_is_not_is_refused(alphabet, text, says):
    with pytest.raises(DataError, match=says):
        alphabet.read(text)


def test_rows_are_named():
    with pytest.raises(DataError, match=r"X holds 2 sequences.*row 1: .*row 3: "):
        listed_sequences(["ACG", "AXG", "A", ""], DNA)
    with pytest.raises(DataTypeError, match="must be a sequence of str, got str"):
        listed_sequences("ACGT", DNA)
    with pytest.raises(DataTypeError, match="got int in row 1"):
        listed_sequences(["A", 3], DNA)


@pytest.mark.parametrize(
    ("letters", "error"), [("A", ParameterError), ("AAC", ParameterError), (7, ParameterTypeError)]
)
def test_alphabets_that_are_none(letters, error):
    with pytest.raises(error, match="alphabet must be 'protein', 'dna', 'rna'"):
        make_alphabet(letters)


def test_letters_of_a_known_alphabet_are_that_alphabet():
    assert make_alphabet("TGCA") == DNA
    assert make_alphabet(list(PROTEIN.letters)[::-1]) == PROTEIN


def test_odds_of_substitutions_are_those_of_blosum62():
    """Origin: BLOSUM62 of Biopython 1.88 has 3 for I and V, -4 for W and D, 4 for Y and F less one."""
    odds = substitution_odds(PROTEIN.letters)
    place = PROTEIN.letters.index
    assert np.allclose(odds.sum(axis=1), 1.0)
    assert (np.diag(odds) == 0).all()
    assert odds[place("I"), place("V")] / odds[place("I"), place("L")] == pytest.approx(2 ** ((3 - 2) / 2))
    assert odds[place("W"), place("Y")] / odds[place("W"), place("D")] == pytest.approx(2 ** ((2 + 4) / 2))
    assert substitution_odds("ACGT") is None


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_an_alignment_keeps_the_order_and_pairs_equal_sequences(pairs):
    found = aligned_places(numbers(*[a for a, _ in pairs]), numbers(*[b for _, b in pairs]))
    for (a, b), places in zip(pairs, found, strict=True):
        assert len(places) == len(a)
        there = places[places >= 0]
        assert (np.diff(there) > 0).all()
        assert (there < len(b)).all()
        if a == b:
            assert (places == np.arange(len(a))).all()


@given(words, st.integers(0, 12))
def test_a_letter_left_out_has_no_partner(x, place):
    place = min(place, len(x) - 1)
    shorter = x[:place] + x[place + 1 :]
    if shorter:
        (places,) = aligned_places(numbers(x), numbers(shorter))
        assert (places >= 0).sum() == len(shorter)
        assert all(x[i] == shorter[j] for i, j in enumerate(places) if j >= 0)


@given(words, words, words)
def test_the_number_of_mutations_is_a_distance(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    if len({len(a), len(b), len(c)}) == 1:
        assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_edit_distances_of_textbooks():
    assert edit_distance("KITTEN", "SITTING") == 3
    assert edit_distance("ABCD", "BCDA") == 4  # of one length: substitutions


@given(
    st.lists(st.tuples(words, st.text("ab 1", min_size=1, max_size=5).map(str.strip)), min_size=1, max_size=5)
)
def test_fasta_comes_back(records):
    text = format_fasta([x * 20 for x, _ in records], [name for _, name in records])
    assert [(name, x) for _, name, x in parse_fasta(text, "f")] == [(name, x * 20) for x, name in records]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ACGT\n>a\nC", "expected a line with > and a name first"),
        (">a\n>b\nC", "none below 'a' in line 1"),
        ("", "is empty"),
    ],
)
def test_what_is_no_fasta(text, says):
    with pytest.raises(DataError, match=says):
        parse_fasta(text, "x.fasta")
