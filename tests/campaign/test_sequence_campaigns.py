"""Campaigns of sequences from the shell: FASTA in and out, rules as options, errors that say what to do."""

import csv

import pytest

from wrlso.campaign import ask, init, open_campaign, status, tell
from wrlso.campaign.sequence_options import read_sequence_rules
from wrlso.campaign.tables import read_table
from wrlso.exceptions import DataError, ParameterError
from wrlso.sequences import SequenceRules

WILD = "MKTAYIAKQR"
X = [WILD, "MKTAYLAKQR", "MKSAYIAKQR", "MRTAYIAKQR", "MKTGYIAKQR", "MKTAYIAKHR", "MKTAYIWKQR", "MKTVYIAKQK"]
SHORT = {"training": {"initial_epochs": 1, "retrain_epochs": 1}}
ONE = {"wild_type": WILD, "max_mutations": 1}
RULES = ONE | {"max_mutations": 3, "fixed": "1,4-5", "forbidden": ["C"], "length": "10"}


@pytest.fixture
def plate(tmp_path):
    path = tmp_path / "plate1.csv"
    rows = [f"v{i},{x.lower() if i else x},{i / 10}" for i, x in enumerate(X)]
    path.write_text("\n".join(["name,sequence,activity", *rows]))
    return path


def test_a_plate_at_a_time(plate, tmp_path):
    campaign = tmp_path / "enzyme"
    init(campaign, plate, model="protein", sequence_rules=read_sequence_rules(**RULES), **SHORT)
    _, lines = ask(open_campaign(campaign), campaign, 3, out=tmp_path / "plate2.csv")
    assert "3 points" in lines[0]
    with (tmp_path / "plate2.csv").open() as file:
        found = list(csv.DictReader(file))
    kept = SequenceRules(wild_type=WILD, max_mutations=3, fixed=[1, 4, 5], forbidden=["C"], length=10)
    assert all(kept(row["sequence"]) for row in found)
    for row in found:
        row["activity"] = "0.5"
    with (tmp_path / "plate2.csv").open("w") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    tell(open_campaign(campaign), campaign, tmp_path / "plate2.csv")
    assert any("11 measured" in line for line in status(campaign))
    assert any("max mutations 3" in line for line in status(campaign))
    ask(open_campaign(campaign), campaign, 2, out=tmp_path / "next.fasta")
    table = read_table(tmp_path / "next.fasta")
    assert [table.named(row, "name") for row in table.rows] == ["11", "12"]
    assert all(kept(x) for x in table.column("x"))


def test_fasta_starts_a_campaign_without_values(tmp_path):
    path = tmp_path / "library.fasta"
    path.write_text("".join(f">v{i} some enzyme\n{x[:6]}\n{x[6:]}\n" for i, x in enumerate(X)))
    lines = init(tmp_path / "library", path, model="protein", **SHORT)
    assert any("8 points, 0 with a value" in line for line in lines)


def test_mistakes_are_named_by_row_and_option(plate, tmp_path):
    path = tmp_path / "stop.csv"
    path.write_text(plate.read_text().replace("mktaylakqr", "mkt*ylakqr"))
    with pytest.raises(DataError, match="1 row of 8 cannot be used") as caught:
        init(tmp_path / "a", path, model="protein", **SHORT)
    assert "a stop (*) at position 4" in "".join(caught.value.__notes__)
    with pytest.raises(ParameterError, match="the rules must leave some sequence possible"):
        init(tmp_path / "a", plate, model="protein", sequence_rules=ONE | {"required": ["WW"]})
    with pytest.raises(ParameterError, match="--wild-type, --max-mutations.*for models of sequences"):
        init(tmp_path / "a", plate, model="expressions", sequence_rules=ONE)
    with pytest.raises(ParameterError, match=r"--gc must be such as 0.4..0.6, got 'high'"):
        read_sequence_rules(gc="high")
    assert not (tmp_path / "a").exists()


def test_options_are_read():
    given = read_sequence_rules(fixed="1, 60-70", gc="0.4..0.6", length="50..60", max_homopolymer=3)
    assert given == {"fixed": ["1", "60-70"], "gc": (0.4, 0.6), "length": (50, 60), "max_homopolymer": 3}
    assert read_sequence_rules(length="57") == {"length": (57, 57)}


def test_a_bound_of_plausibility_is_kept(plate, tmp_path):
    formulas = tmp_path / "formulas.csv"
    formulas.write_text("x,y\nx*x,1\nx+1,2\nsin(x),3\n")
    init(tmp_path / "enzyme", plate, model="protein", plausibility=0.3, **SHORT)
    assert open_campaign(tmp_path / "enzyme").acquisition.search.plausibility == 0.3
    with pytest.raises(ParameterError, match="plausibility is for a model"):
        init(tmp_path / "b", formulas, model="expressions", plausibility=0.3)


def test_the_first_letter_that_all_have_is_kept(plate, tmp_path):
    said = init(tmp_path / "enzyme", plate, model="protein", **SHORT)
    assert any("all proteins begin with M, and so do new ones (--any-ends" in line for line in said)
    opt = open_campaign(tmp_path / "enzyme")
    assert opt.model_.rules.prefix == "M"
    assert all(x.startswith("M") for x in opt.ask(4))
    said = init(
        tmp_path / "any", plate, model="protein", sequence_rules=read_sequence_rules(keep_ends=False), **SHORT
    )  # fmt: skip
    assert not any("begin with M" in line for line in said)
    assert open_campaign(tmp_path / "any").model_.rules is None


def coding(x):
    from wrlso.sequences import CodingRules

    return CodingRules("human", stop="TAA").repaired(x)


def test_coding_dna_is_searched_by_its_protein(tmp_path):
    from wrlso._sequences.codons import split_coding

    data, campaign, usage = tmp_path / "plate1.csv", tmp_path / "genes", tmp_path / "usage.csv"
    data.write_text("\n".join(["dna,activity", *(f"{coding(x).lower()},{i / 10}" for i, x in enumerate(X))]))
    usage.write_text("codon,residue,share\n" + "".join(f"{c},?,{share}\n" for c, share in usage_of_yeast()))
    options = {"wild_type": coding(WILD), "max_mutations": 2, "forbidden": ["GAATTC", "protein:C"]}
    rules = read_sequence_rules(translate=True, codon_usage=str(usage), **options)
    init(campaign, data, model="dna", sequence_rules=rules, **SHORT)
    ask(open_campaign(campaign), campaign, 3, out=tmp_path / "plate2.fasta", plate=96)
    found = read_table(tmp_path / "plate2.fasta")
    made = [split_coding(x) for x in found.column("x")]
    assert {stop for _, _, stop in made} == {"TAA"}
    assert all(sum(a != b for a, b in zip(p, WILD, strict=True)) <= 2 and "C" not in p for _, p, _ in made)
    results = tmp_path / "plate2.csv"
    ask(open_campaign(campaign), campaign, 3, pending=True, out=results)
    lines = results.read_text().splitlines()
    results.write_text("\n".join([lines[0], *(line.rstrip(",") + ",0.5" for line in lines[1:])]))
    opt = open_campaign(campaign)
    assert "3 new values" in tell(opt, campaign, results)[-2]
    assert "codons of your own table" in "\n".join(status(campaign))


def usage_of_yeast():
    from wrlso._sequences.codons import USAGES

    return USAGES["yeast"].items()


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("protein", {"translate": True}, "--translate needs --model dna"),
        ("dna", {"codon_usage": "human"}, "--codon-usage needs --translate"),
        ("dna", {"translate": True, "codon_usage": "mouse"}, "--codon-usage must be one of e-coli, human"),
        ("dna", {"translate": True, "gc": "0.97..1"}, "no codons keep them all"),
    ],
)
def test_options_of_coding_dna_are_checked(tmp_path, model, options, says):
    data = tmp_path / "a.csv"
    data.write_text("dna,y\n" + "".join(f"{coding(x)},1\n" for x in X))
    with pytest.raises(ParameterError, match=says):
        init(tmp_path / "c", data, model=model, sequence_rules=read_sequence_rules(**options))
    assert not (tmp_path / "c").exists()


def test_rows_that_code_for_no_protein_are_named(tmp_path):
    data = tmp_path / "a.csv"
    data.write_text(f"dna,y\n{coding(X[0])},1\nATGTAAAAA,2\nATGA,3\n")
    with pytest.raises(DataError) as error:
        init(tmp_path / "c", data, model="dna", sequence_rules=read_sequence_rules(translate=True))
    said = str(error.value) + "\n".join(error.value.__notes__)
    assert "row 3" in said
    assert "stop codon TAA at positions 4 to 6" in said
    assert "4 letters, which are no whole number of codons" in said


@pytest.mark.parametrize(
    ("model", "rows", "options", "says"),
    [
        ("protein", [x + "GHHHHHH" for x in X], {}, "all sequences have a His tag (HHHHHH) at their end"),
        ("protein", [*X, WILD[:-1]], {}, "sequences have 2 lengths, from 9 to 10 letters"),
        ("protein", [x + "HHHHHH" for x in X], ONE, "no sequence has at most 1 mutations of the wild type"),
        ("dna", ["acguACGU", "ACG TAC-GA"], {}, "2 points, 2 with a value"),
        ("protein", [*X, WILD], {}, "1 row of repeated x"),
        ("protein", [x + "*" for x in X], {}, "8 points, 8 with a value"),
    ],
)
def test_what_people_have_is_read_and_said(tmp_path, model, rows, options, says):
    data = tmp_path / "a.csv"
    data.write_text("sequence,y\n" + "".join(f"{x},{i}\n" for i, x in enumerate(rows)))
    said = init(
        tmp_path / "c", data, model=model, sequence_rules=read_sequence_rules(**options),
        training={"initial_epochs": 0.5},
    )  # fmt: skip
    assert says in "\n".join(said)
