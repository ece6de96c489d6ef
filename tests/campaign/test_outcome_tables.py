"""Several outcomes in tables: columns, errors, replicates, bounds, rows told in part, and what comes back."""

import csv
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_campaign import FAST, OWN, START, score, write

from wrlso import (
    AtLeast,
    AtMost,
    DataError,
    Maximize,
    Minimize,
    ParameterError,
    Reading,
    Record,
    above,
    below,
    campaign,
)
from wrlso.campaign.cells import read_result
from wrlso.campaign.outcome_columns import OutcomeColumns, plainly, read_outcomes
from wrlso.campaign.tables import read_table
from wrlso.report import write_report
from wrlso.storage.info import view_campaign

OUTCOMES = [Maximize("pIC50"), Minimize("logD"), AtLeast("solubility", 50.0)]
HEADER = ["SMILES", "pIC50", "pIC50 sd", "pIC50 n", "logD", "solubility", "lot"]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    rows = [[x, score(x), "", "", len(set(x)), 10 * i, "a"] for i, x in enumerate(START[:12])]
    rows[1][1:4] = [7.5, 0.4, 4]
    rows[2][1], rows[3][4], rows[4][5] = ">9", "< 0.5", "n.d."
    rows[5][1], rows[6][1:6] = "", ["failed", "", "", "", ""]
    campaign.init(
        folder / "camp", write(folder / "a.csv", HEADER, rows), model=OWN, outcomes=OUTCOMES, **FAST
    )
    opt = campaign.open_campaign(folder / "camp", model=OWN)
    campaign.ask(opt, folder / "camp", 3, out=folder / "batch.csv")
    return folder


@pytest.fixture
def camp(template, tmp_path, monkeypatch):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("camp")


def tell(camp, rows, header=("id", "pIC50", "logD", "solubility"), **options):
    path = write(Path("told.csv"), list(header), rows)
    with campaign.recording(camp, model=OWN) as opt:
        return campaign.tell(opt, camp, path, **options)


def records(camp):
    return [(r.status, r.readings, r.n_failures, r.revisions) for r in view_campaign(camp).history]


def test_starting_data_are_read_by_column(camp):
    found = records(camp)
    assert found[1][1]["pIC50"] == [Reading(7.5, 0.2, n=4)]
    assert found[2][1]["pIC50"] == [above(9.0)]
    assert found[3][1]["logD"] == [below(0.5)]
    assert set(found[4][1]) == {"pIC50", "logD"}
    assert set(found[5][1]) == {"logD", "solubility"}
    assert found[6][:2] == ("failed", {})
    assert Path("batch.csv").read_text().splitlines()[0] == "id,SMILES,pIC50,logD,solubility"


def test_rows_are_told_in_part_and_completed_later(camp):
    assert tell(camp, [[12, "7.1", "", ""], [13, "failed", "", ""], [14, ">8", "1.2", ""]])[0] == (
        "told.csv: 2 new values, 1 failed"
    )
    assert tell(camp, [[12, "7.1", "2.0", ""], [13, "failed", "", ""], [14, ">8", "1.2", "60"]])[0] == (
        "told.csv: 2 new values, 1 known already"
    )
    before = records(camp)
    assert before[12][1] == {"pIC50": [Reading(7.1)], "logD": [Reading(2.0)]}
    assert before[14][1]["pIC50"] == [above(8.0)]
    tell(camp, [[12, "7.1", "2.0", ""], [14, ">8", "1.2", "60"], [14, "", "1.2", ""]])
    assert records(camp) == before


@pytest.mark.parametrize("decimal", [".", ","])
def test_telling_an_exported_table_changes_nothing(camp, decimal):
    tell(camp, [[12, "7.1", "", "3"], [13, "", "failed", ""], [14, "<8", "1.2", ""]])
    tell(camp, [[12, "7.3", "", ""]], replicates=True)
    campaign.update(campaign.open_campaign(camp, model=OWN), "12", "solubility=4")
    form = campaign.Form(decimal=decimal, delimiter=";")
    campaign.export(camp, out=Path("all.csv"), form=form)
    before = records(camp)
    assert before[12][1]["pIC50"] == [Reading(7.1), Reading(7.3)]
    with campaign.recording(camp, model=OWN) as opt:
        lines = campaign.tell(opt, camp, Path("all.csv"), form=form)
    assert "all.csv: 0 new values" in "\n".join(lines)
    assert records(camp) == before
    with open("all.csv", encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file, delimiter=";"))[12]
    assert (cells["pIC50"], cells["pIC50 n"], cells["solubility"]) == (f"7{decimal}2", "2", "4")
    assert '"readings"' in campaign.export(camp, as_json=True)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([[12, "x", "", ""]], None, "'pIC50': 'x' is not a number"),
        ([[12, "~5", "", ""]], None, "'pIC50': '~5' is about a value and not one"),
        ([[12, ">", "", ""]], None, "'pIC50': '>' "),
        ([[12, ">failed", "", ""]], None, "is a bound without a number"),
        ([[1, "7.9", "", ""]], None, "told as pIC50 = 7.5 and is now pIC50 = 7.9; to correct it"),
        ([[2, "9", "", ""]], None, "told as pIC50 = >9 and is now pIC50 = 9"),
        ([[12, "1", "", ""], [12, "2", "", ""]], None, "with another value, pIC50 = 2 and not pIC50 = 1"),
        ([[12, "failed", "", ""], [12, "2", "", ""]], None, "with another value"),
        ([[1, "failed", "", ""]], None, "told as pIC50 = 7.5 and is now failed"),
        ([[12, "1", "-1"]], ("id", "pIC50", "pIC50 sd"), "sd must be a finite number > 0, got -1.0"),
        ([[12, "1", "0.5"]], ("id", "pIC50", "pIC50 n"), "n must be a whole number from 1 on, got 0.5"),
        ([[12, ">1", "3"]], ("id", "pIC50", "pIC50 n"), "has neither sd nor n"),
        ([[12, "1", "failed"]], ("id", "pIC50", "status"), "the status is 'failed', but the value is 1"),
        ([[12, "1"]], ("id", "ic50"), "has none of the columns 'pIC50', 'logD', 'solubility'"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_named_and_nothing_is_recorded(camp, rows, header, message):
    before = records(camp)
    with pytest.raises(DataError) as caught:
        tell(camp, rows, *([] if header is None else [header]))
    assert message in " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert records(camp) == before


def test_one_outcome_is_corrected_by_its_name(camp):
    opt = campaign.open_campaign(camp, model=OWN)
    assert "pIC50 = 7.5 is now >8" in campaign.update(opt, "1", "pic50=>8")[0]
    assert "solubility = not measured is now 3" in campaign.update(opt, "4", "solubility=3")[0]
    assert "is now failed" in campaign.update(opt, "1", "failed")[0]
    for value, message in (
        ("8", "NAME=VALUE with one of 'pIC50'"),
        ("logP=8", "got 'logP=8'"),
        ("logD=", "blank"),
    ):
        with pytest.raises(ParameterError, match=message):
            campaign.update(opt, "0", value)


def test_status_and_report_say_goals_limits_and_front(camp, tmp_path):
    text = "\n".join(campaign.status(camp))
    assert "maximize pIC50, minimize logD, solubility at least 50" in text
    assert "limit: solubility at least 50: " in text
    assert "front (id, pIC50, logD, x):" in text
    opt = campaign.open_campaign(camp, model=OWN, autosave=False)
    page = write_report(opt, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Goals and limits" in page
    assert "solubility at least 50" in page
    assert (tmp_path / "report-figures" / "front-0-1.png").exists()
    assert "hypervolume" in repr(opt)


def test_a_goal_without_a_column_or_value_makes_no_campaign(tmp_path):
    for header, cells, message in (
        (["SMILES", "pIC50"], ["1"], "no column for the goal 'logD'"),
        (["SMILES", "pIC50", "logD"], ["", ""], "has no value in 'pIC50', 'logD'"),
    ):
        data = write(tmp_path / "a.csv", header, [[x, *cells] for x in START[:4]])
        with pytest.raises(DataError, match=message):
            campaign.init(tmp_path / "camp", data, model=OWN, outcomes=OUTCOMES, **FAST)
        assert not (tmp_path / "camp").exists()


def test_a_column_of_relations_makes_bounds_of_one_outcome(tmp_path):
    header = ["SMILES", "pIC50", "pIC50 Relation", "logD"]
    data = write(
        tmp_path / "a.csv", header, [[x, i + 1, ">" if i else "=", i] for i, x in enumerate(START[:6])]
    )
    campaign.init(tmp_path / "camp", data, model=OWN, outcomes=OUTCOMES[:2], **FAST)
    found = records(tmp_path / "camp")
    assert [r[1]["pIC50"][0].bound for r in found] == ["", *["above"] * 5]
    assert {r[1]["logD"][0].bound for r in found} == {""}


def test_options_make_outcomes():
    assert read_outcomes(["a"], ["b"], ["a = 3"], ["c=1e2"], ["d"]) == [
        Maximize("a"), Minimize("b"), AtLeast("a", 3.0), AtMost("c", 100.0), Record("d"),
    ]  # fmt: skip
    assert read_outcomes(None, None, None, None, None) is None
    for text in ("a", "a=", "=3", "a=x", "a=inf"):
        with pytest.raises(ParameterError, match=r"must be NAME=NUMBER|must be a text on one"):
            read_outcomes(["b"], None, [text], None, None)


@given(st.floats(-1e6, 1e6), st.sampled_from(["", ">", "<", ">=", "≤"]), st.sampled_from([".", ","]))
def test_a_written_result_is_read_again(value, sign, decimal):
    value = round(value, 3)
    found = read_result(f"{sign} {value:.3f}".replace(".", decimal), decimal=decimal)
    expected = float(f"{value:.3f}")
    side = {"": Reading, ">": above, ">=": above, "<": below, "≤": below}[sign]
    assert found == (side(expected) if sign else expected)


def test_one_number_takes_errors_and_replicates_beside_it(tmp_path):
    table = read_table(
        write(tmp_path / "a.csv", ["x", "y", "y sd", "y n"], [["a", 1, 0.4, 4], ["b", 2, "", ""]])
    )
    columns = OutcomeColumns.beside(table, {"": "y"})
    found = [plainly(columns.read(table, row, ".")[1]) for row in table.rows]
    assert found == [Reading(1.0, 0.2, n=4), 2.0]
