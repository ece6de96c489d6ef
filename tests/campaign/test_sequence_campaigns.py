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
    bound = read_sequence_rules(min_log_likelihood=-3.5)
    init(tmp_path / "enzyme", plate, model="protein", sequence_rules=bound, **SHORT)
    assert open_campaign(tmp_path / "enzyme").model_.min_log_likelihood == -3.5
    with pytest.raises(ParameterError, match="--min-log-likelihood.*for models of sequences"):
        init(tmp_path / "b", plate, model="expressions", sequence_rules=bound)
