"""DNA that codes for proteins: the code, what is refused, and codons that keep the rules of the DNA."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso._sequences.codons import CODE, STOPS, USAGES, coded_proteins, common_stop, read_usage, split_coding
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.models import SequenceVAE
from wrlso.sequences import CodingRules, sequence_search

proteins = st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=40).filter(
    lambda x: x not in ("WT", "WILDTYPE")  # which are no sequences
)
WILD = "ATGAAAACCGCCTACATCGCTAAGCAGAGACAGATCTAA"  # MKTAYIAKQRQI
SHORT = {"trainer": Trainer(initial_steps=5, retrain_steps=2), "random_state": 0}


def synonyms(protein):
    """Every DNA of a protein."""
    codons = [[codon for codon, residue in CODE.items() if residue == each] for each in protein]
    return ["".join(each) for each in itertools.product(*codons)]


def adaptation(x):
    return sum(math.log(USAGES["e-coli"][x[i : i + 3]]) for i in range(0, len(x), 3))


def test_the_genetic_code():
    """Origin: the standard code has 61 sense codons; Met and Trp have one, Leu, Ser and Arg six."""
    counts = {residue: list(CODE.values()).count(residue) for residue in CODE.values()}
    assert counts.pop("*") == 3
    assert (sum(counts.values()), len(counts)) == (61, 20)
    assert {r for r, n in counts.items() if n == 1} == set("MW")
    assert {r for r, n in counts.items() if n == 6} == set("LSR")
    assert CODE["ATG"], STOPS == ("M", ("TAA", "TAG", "TGA"))


@pytest.mark.parametrize("name", USAGES)
def test_shares_of_each_residue_add_up(name):
    for residue in set(CODE.values()) - {"*"}:
        shares = [USAGES[name][codon] for codon, coded in CODE.items() if coded == residue]
        assert sum(shares) == pytest.approx(1.0, abs=0.021)  # as they are rounded


@given(proteins, st.sampled_from(["", *STOPS]), st.sampled_from(sorted(USAGES)))
def test_what_is_written_codes_for_the_protein(protein, stop, usage):
    x = CodingRules(usage, stop=stop or None).repaired(protein)
    assert split_coding(x) == (x, protein, stop)
    assert split_coding(x.lower().replace("t", "u")) == (x, protein, stop)


RULES = {
    "gc": {"gc": (0.45, 0.55)},
    "narrow": {"gc": (0.5, 0.51), "codon_usage": "yeast"},
    "sites": {"forbidden": ["GAATTC", "GGTCTC", "GAGACC", "GGNCC"], "max_homopolymer": 4},
    "all": {"gc": (0.4, 0.6), "forbidden": ["GAATTC"], "max_homopolymer": 4, "stop": "TGA"},
}


@pytest.mark.parametrize("name", RULES)
def test_proposals_keep_the_rules_of_the_dna(name):
    rules = CodingRules(**RULES[name])

    @settings(max_examples=40)
    @given(proteins)
    def holds(protein):
        x = rules.repaired(protein)
        assert x == rules.repaired(protein)
        if x is not None:
            assert rules(x), rules.broken(x)
            assert split_coding(x)[1] == protein

    holds()


@settings(max_examples=40)
@given(
    st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=4),
    st.sampled_from([{"forbidden": ["GC"]}, {"max_homopolymer": 2}, {"forbidden": ["AAN", "TTT"]}, {}]),
)
def test_codons_are_the_best_ones_that_there_are(protein, options):
    """Equal to a search of every DNA of the protein."""
    rules = CodingRules(**options)
    found = [x for x in synonyms(protein) if rules(x)]
    x = rules.repaired(protein)
    assert (x is None) == (not found)
    if x is not None:
        assert adaptation(x) == pytest.approx(max(map(adaptation, found)))


@settings(max_examples=40)
@given(st.text("ACDEFGHIKLMNPQRSTVWY", min_size=3, max_size=4), st.sampled_from([0.3, 0.5, 0.7]))
def test_a_share_of_gc_is_found_where_there_is_one(protein, low):
    rules = CodingRules(gc=(low, low + 0.1), max_homopolymer=3)
    assert (rules.repaired(protein) is None) == (not any(map(rules, synonyms(protein))))


def test_a_motif_of_the_dna_is_written_where_the_protein_allows_it():
    rules = CodingRules(required=["GGATCC"], forbidden=["protein:C"])
    assert "GGATCC" in rules.repaired("MKGSA")
    assert rules.repaired("MKKKA") is None
    assert rules.broken("TGT") == "the motif C must not occur"


def test_residues_that_stay_keep_the_codons_of_the_wild_type():
    rules = CodingRules("human", wild_type=WILD, max_mutations=2, forbidden=["AGACAG"])
    x = rules.repaired("MKTAYIAKQRQI")
    assert split_coding(x)[1:] == ("MKTAYIAKQRQI", "TAA")
    assert sum(a != b for a, b in zip(x, WILD, strict=True)) <= 3  # one codon, of AGACAG
    x = rules.repaired("MKTAYLAKQRQI")
    assert (x[:15], x[18:27]) == (WILD[:15], WILD[18:27])
    x = rules.repaired("MKTAYAKQRQI")  # one residue left out: both ends stay
    assert x is None or (x[:15] == WILD[:15] and x.endswith("ATCTAA"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ATGAA", "5 letters, which are no whole number of codons"),
        ("ATGTAAAAA", "stop codon TAA at positions 4 to 6"),
        ("ATGNAA", "'N' at position 4, which is ambiguous"),
        ("MKTAY", "'M' at position 1, which is ambiguous"),
        ("TAA", "codes for no residue"),
    ],
)
def test_what_codes_for_no_protein_is_refused_by_row(text, says):
    with pytest.raises(DataError, match=f"X holds 1 sequence that cannot be taken: row 1: .*{says}"):
        coded_proteins(["ATGAAA", text])
    with pytest.raises(DataError, match=f"row 1: .*{says}"):
        sequence_search(["ATGAAA", text], None, alphabet="dna", translate=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"codon_usage": "mouse"}, "codon_usage must be one of 'e-coli'"),
        ({"codon_usage": {"AAA": 1.0}}, "must use some codon of A: GCT"),
        ({"codon_usage": {"AAB": 1.0}}, "must hold codons of DNA"),
        ({"codon_usage": {"AAA": -1.0}}, "numbers of at least 0, got -1.0"),
        ({"wild_type": "ATGTAAAAA"}, "wild_type must be DNA that codes for a protein"),
        ({"stop": "AAA"}, "stop must be one of TAA"),
        ({"gc": (0.97, 1.0)}, "no codons keep them all .* a share of G and C"),
        ({"forbidden": ["NNNNN"]}, "the motif NNNNN must not occur"),
        ({"required": ["protein:AAAA"], "length": 3}, "cannot occur in a sequence of length 3"),
        ({"wild_type": WILD, "max_mutations": 0, "forbidden": ["ATG"]}, "the motif ATG must not occur"),
    ],
)
def test_impossible_rules_are_an_error_at_once(options, says):
    with pytest.raises(ParameterError, match=says):
        CodingRules(**options).check(12)


def test_types_are_checked():
    with pytest.raises(ParameterTypeError, match="codon_usage must be one of e-coli, human, yeast"):
        CodingRules(3).check()
    with pytest.raises(ParameterTypeError, match="forbidden must be a sequence of motifs"):
        CodingRules(forbidden="GAATTC").check()
    with pytest.raises(ParameterError, match="translate=True needs alphabet='dna'"):
        sequence_search(["ATGAAA"], None, translate=True)


def test_each_argument_has_an_effect():
    plain = CodingRules()
    x = "ATGAAAAAAAAAGAATTC"  # MKKKEF
    assert plain(x)
    start = clone(plain).set_params(wild_type="ATGGCTGCTAAAGAATTC")
    for options in (
        {"max_mutations": 1}, {"fixed": [2]}, {"required": ["GGATCC"]}, {"forbidden": ["GAATTC"]},
        {"length": 5}, {"gc": (0.5, 1.0)}, {"max_homopolymer": 3}, {"stop": "TAA"}, {"prefix": "K"},
    ):  # fmt: skip
        changed = clone(start).set_params(**options)
        assert not changed(x)
        assert next(iter(options)).replace("_", " ") in changed.words()
    assert plain.repaired("MKKKEF") != CodingRules("human").repaired("MKKKEF")
    assert start.start == "MAAKEF"
    only = {codon: float(codon in ("AAG", *USAGES["human"])) for codon in CODE} | {"AAA": 0.0}
    assert CodingRules(only).repaired("KK") == "AAGAAG"
    assert read_usage(only)["K"] == {"AAG": 1.0}


def test_a_common_stop_is_written():
    assert common_stop(["ATGTAA", "ATGTAA", "ATGTGA", "ATG"]) == "TAA"
    assert common_stop(["ATGTAA", "ATG", "AAA", "AT"]) is None


def variants(n):
    """DNA of mutants of the wild type, by the codons of yeast."""
    protein, rules = split_coding(WILD)[1], CodingRules("yeast", stop="TAA")
    found = [WILD]
    for i in range(n):
        place, letter = i % (len(protein) - 1) + 1, "AKRDEWLIVF"[i * 7 % 10]
        found.append(rules.repaired(protein[:place] + letter + protein[place + 1 :]))
    return list(dict.fromkeys(found))


def charge(x):
    return float(sum(letter in "KR" for letter in split_coding(x)[1]))


def test_a_search_of_coding_dna_comes_back_bit_for_bit(tmp_path):
    X = variants(20)
    rules = {"max_mutations": 3, "forbidden": ["GAATTC", "protein:C"], "max_homopolymer": 4}
    opt = sequence_search(
        X, [charge(x) for x in X], alphabet="dna", translate=True, wild_type=WILD, retrain_every=3, **rules,
        **SHORT,
    )  # fmt: skip
    opt.save(tmp_path / "plate")
    other = WeightedRetrainingOptimizer.load(tmp_path / "plate", model=SequenceVAE())
    kept = CodingRules(wild_type=WILD, **rules)
    seen = set(coded_proteins(X))
    for _ in range(2):
        batches = [each.ask(3) for each in (opt, other)]
        assert batches[0] == batches[1]
        assert all(kept(x) for x in batches[0])
        assert not seen & set(coded_proteins(batches[0]))
        seen |= set(coded_proteins(batches[0]))
        for each, batch in zip((opt, other), batches, strict=True):
            each.tell(batch, [charge(x) for x in batch])


RICH = ["MAGRPGAGPRAARGGP", "MAGRPAAGPRAARGGA", "MGGRPGAGPRAGRGGP", "MAARPGAGPRAARGPP", "MAGRAGAGPRPARGGP"]
RICHEST = {codon: 1.0 if codon[2] in "GC" else 0.01 for codon in CODE}


def test_rules_that_the_data_keep_are_possible():
    """Proteins of random residues have no such share of G and C, whatever their codons."""
    X = [CodingRules(RICHEST, stop="TGA").repaired(protein) for protein in RICH]
    kept = CodingRules(gc=(0.85, 1.0))
    with pytest.raises(ParameterError, match="must leave some DNA possible"):
        kept.check(16)
    kept.check(16, X)
    assert all(map(kept, X))
    opt = sequence_search(X, range(5), alphabet="dna", translate=True, gc=(0.85, 1.0), **SHORT)
    assert all(map(kept, opt.ask(3)))


@settings(max_examples=6)
@given(st.integers(0, 5), st.booleans(), st.booleans())
def test_genes_keep_their_ends(n_told, by_wild_type, stopped):
    """Before and after the first process; a wild type without a stop does not take it away."""
    X = variants(8)
    X = X if stopped else [x[:-3] for x in X]
    wild = {"wild_type": WILD[:-3], "max_mutations": 4} if by_wild_type else {}
    y = [charge(x) if i < n_told else None for i, x in enumerate(X)]
    opt = sequence_search(X, y, alphabet="dna", translate=True, **wild, **SHORT)
    for x in opt.ask(4):
        assert x.startswith("ATG")
        assert split_coding(x)[2] == ("TAA" if stopped else "")
    assert "prefix M" in opt.model_.rules.words()


def test_ends_that_differ_or_that_may_be_lost_are_not_kept():
    X = variants(8)
    free = sequence_search(X, None, alphabet="dna", translate=True, keep_ends=False, **SHORT).model_.rules
    assert (free.prefix, free.stop) == ("", None)
    mixed = sequence_search([*X, X[1][3:]], None, alphabet="dna", translate=True, **SHORT).model_.rules
    assert (mixed.prefix, mixed.stop) == ("", "TAA")
    with pytest.raises(ParameterError, match="all sequences begin with M, .* keep_ends=False"):
        sequence_search(X, None, alphabet="dna", translate=True, forbidden=["protein:M"], **SHORT)
    sequence_search(
        X, None, alphabet="dna", translate=True, forbidden=["protein:M"], keep_ends=False, **SHORT
    )  # fmt: skip


def test_codon_usage_is_for_coding_dna():
    with pytest.raises(ParameterError, match="codon_usage needs translate=True"):
        sequence_search(["ATGAAA", "ATGAAC"], None, alphabet="dna", codon_usage="human")


def test_what_is_told_is_kept_in_one_spelling():
    X = variants(6)
    opt = sequence_search([x.lower() for x in X], range(len(X)), alphabet="dna", translate=True, **SHORT)
    x = CodingRules(stop="TAA").repaired("MKKKKKKKKKKK")
    opt.tell(f" {x.lower().replace('t', 'u')}", 99.0)
    assert list(opt.X_) == [*X, x]
    assert opt.best_x_ == x


def test_dna_of_one_protein_is_one_point():
    X = variants(12)
    opt = sequence_search(X, [charge(x) for x in X], alphabet="dna", translate=True, **SHORT)
    silent = CodingRules("human", stop="TGA").repaired(split_coding(X[3])[1])
    assert silent != X[3]
    n = len(opt.X_)
    opt.tell(silent, charge(X[3]) + 2.0)
    assert len(opt.X_) == n
    assert opt.y_[3] == charge(X[3]) + 1.0


def test_a_model_keeps_to_what_it_reads():
    model = SequenceVAE(rules=CodingRules())
    assert model.is_coding
    assert model.key("atg aaa") == "MK"
    model.tensorize(["ATGAAAGAA"])
    from wrlso.sequences import SequenceRules

    with pytest.raises(ParameterError, match="rules must be for DNA, which the model has seen"):
        model.keep(SequenceRules())
