"""A catalogue in the shell: read, asked, told and shown with names; and a backtest of a table."""

import csv
import io

import numpy as np
import pytest
from string_models import score, strings

from wrlso import DataError, ParameterError, SparseGP, Trainer, campaign
from wrlso.campaign import Form
from wrlso.campaign.backtest_table import backtest_table
from wrlso.campaign.catalogue_table import read_candidates

OWN = "string_models:make"
FAST = {"trainer": Trainer(initial_epochs=2, lr=0.01), "surrogate": SparseGP(max_iter=5), "random_state": 0}
FORM = Form(x="SMILES", y="pIC50")
STOCK = strings(n=60, seed=7)


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def start(tmp_path):
    return write(tmp_path / "start.csv", ["SMILES", "pIC50"], [[x, score(x)] for x in strings()])


@pytest.fixture
def listed(tmp_path):
    """Sixty strings with names, two that cannot be read, and one that is there twice."""
    lines = [f"{x} V-{i}" for i, x in enumerate(STOCK)] + ["CCC short", "??? odd", f"{STOCK[0]} again"]
    path = tmp_path / "list.smi"
    path.write_text("smiles id\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def begin(tmp_path, start, listed, **options):
    folder = tmp_path / "stock"
    return folder, campaign.init(folder, start, model=OWN, form=FORM, catalogue=listed, **FAST, **options)


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_cycle_of_a_catalogue(tmp_path, start, listed):
    folder, lines = begin(tmp_path, start, listed)
    n = len(set(STOCK))
    assert f"{n} candidates in list.smi (1 row of repeated x)" in lines
    assert "2 rows of list.smi cannot be read and are left out:" in lines
    assert any(line.startswith("  row 62: the model cannot read 'CCC'") for line in lines)
    assert any(line.startswith("  row 63: the model cannot read '???'") for line in lines)
    batch = tmp_path / "batch.csv"
    campaign.ask(campaign.open_campaign(folder, model=OWN), folder, 4, out=batch)
    rows = table(batch.read_text(encoding="utf-8"))
    assert list(rows[0]) == ["id", "name", "SMILES", "pIC50"]
    assert all(STOCK[int(row["name"].removeprefix("V-"))] == row["SMILES"] for row in rows)
    told = [[row["id"], row["name"], row["SMILES"], score(row["SMILES"])] for row in rows]
    write(batch, rows[0], told)
    with campaign.recording(folder, model=OWN) as opt:
        lines = campaign.tell(opt, folder, batch)
    assert "batch.csv: 4 new values" in lines
    assert f"{len(STOCK) + 3} candidates in the catalogue" in campaign.status(folder)
    exported = {row["id"]: row for row in table(campaign.export(folder))}
    assert [exported[row["id"]]["name"] for row in rows] == [row["name"] for row in rows]
    assert exported["0"]["name"] == ""
    opt = campaign.open_campaign(folder, model=OWN)
    assert set(opt.ask(5)) <= set(STOCK)
    pytest.importorskip("matplotlib")
    campaign.report(opt, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"<small>{row['name']}</small>" in page for row in rows)


def test_the_model_may_propose_too(tmp_path, start, listed):
    folder, _ = begin(tmp_path, start, listed, generate=True)
    assert any("the model proposes, too" in line for line in campaign.status(folder))


def test_names_come_from_a_column(tmp_path):
    rows = [["V-1", STOCK[0], "3"], ["V-2", STOCK[1], "4"]]
    path = write(tmp_path / "list.csv", ["Catalog ID", "SMILES", "price"], rows)
    found, read = read_candidates(path, Form(), None)
    assert list(found) == STOCK[:2]
    assert list(found.names) == ["V-1", "V-2"]
    assert read.remarks == ["names of candidates are in the column 'Catalog ID' of list.csv"]


def test_a_list_of_which_nothing_can_be_read_makes_no_campaign(tmp_path, start):
    path = tmp_path / "list.txt"
    path.write_text("???\n!!!\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"list.txt: none of 2 candidates can be read") as caught:
        begin(tmp_path, start, path)
    assert len(caught.value.__notes__) == 2
    assert not (tmp_path / "stock").exists()


# ------------------------------------------------------------------ backtest


def test_backtest_of_a_table(tmp_path):
    X = strings(n=40, seed=3)
    cells = ["failed" if i == 3 else "" if i == 4 else score(x) for i, x in enumerate(X)]
    path = write(tmp_path / "assay.csv", ["SMILES", "pIC50"], list(zip(X, cells, strict=True)))
    options = {"n_repeats": 2, "n_queries": 4, "batch_size": 4, "n_jobs": 1, "random_state": 0}
    lines = backtest_table(path, model=OWN, form=FORM, out=tmp_path / "out.csv", **options)
    assert "1 row without a value left out" in lines
    assert "1 row failed: queries that find nothing" in lines
    assert lines[-1].startswith(("The search would have", "There is no evidence"))
    rows = table((tmp_path / "out.csv").read_text(encoding="utf-8"))
    assert {row["queries"] for row in rows} == set("01234")
    pytest.importorskip("matplotlib")
    for kind in ("html", "svg", "png"):
        out = tmp_path / f"out.{kind}"
        from wrlso.campaign.backtest_table import write_result
        from wrlso.run import BacktestResult

        starts, asked = np.array([[0, 1], [2, 3]]), np.array([[4, 5], [6, 7]])
        write_result(BacktestResult(np.arange(30.0), "maximize", 1, starts, {"search": asked}), out)
        assert out.stat().st_size > 1000


WRONG = [
    (
        ["SMILES", "pIC50"],
        [["CCCCC?", 1.0]],
        {},
        DataError,
        "1 row of 1 cannot be used, so nothing was",
    ),
    (["SMILES", "pIC50"], [[STOCK[0], 1.0]], {"out": "x.pdf"}, ParameterError, "--out must end in .html"),
    (["SMILES", "pIC50"], [[STOCK[0], ""]], {}, DataError, "has no value in any of its 1 row"),
    (["SMILES", "other"], [[STOCK[0], 1.0]], {}, DataError, "has no column 'pIC50'"),
    (
        ["SMILES", "pIC50"],
        [[STOCK[0], 1.0]],
        {},
        DataError,
        "20 different x with a value at least, got 1",
    ),
]


@pytest.mark.parametrize(("header", "rows", "options", "error", "words"), WRONG)
def test_tables_that_cannot_be_replayed(header, rows, options, error, words, tmp_path):
    path = write(tmp_path / "assay.csv", header, rows)
    if "out" in options:
        options = {"out": tmp_path / options["out"]}
    with pytest.raises(error, match=words):
        backtest_table(path, model=OWN, form=FORM, **options)


def test_a_list_has_nothing_to_replay(listed):
    with pytest.raises(DataError, match="list.smi has no values to replay"):
        backtest_table(listed, model=OWN)
