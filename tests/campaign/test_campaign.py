"""Campaigns from the shell: nothing is told twice or half, files of any form, and three cycles for real."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import string_models
from conftest import make_optimizer, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from string_models import LETTERS, score, strings

from wrlso import (
    VAE,
    CandidatePool,
    DataError,
    LogExpectedImprovement,
    ParameterError,
    SparseGP,
    Trainer,
    UnknownPointError,
    WeightedRetrainingOptimizer,
    campaign,
    storage,
)
from wrlso.campaign import BUILT_IN, Form
from wrlso.campaign.cells import read_value
from wrlso.campaign.model_names import make_model, named_callable
from wrlso.campaign.outcome_columns import OutcomeColumns
from wrlso.campaign.results_table import Columns, plan_tell
from wrlso.campaign.tables import read_table
from wrlso.campaign.views import format_points
from wrlso.exceptions import ModelError, StorageError
from wrlso.storage.info import campaign_settings, view_campaign

COLUMNS = Columns("id", "x", OutcomeColumns({"": ("y", None, None)}), None)
OWN = "string_models:make"
FAST = {
    "trainer": Trainer(initial_epochs=5, retrain_epochs=1, lr=0.01),
    "surrogate": SparseGP(max_iter=10, warm_iter=5),
    "acquisition": LogExpectedImprovement(search=CandidatePool(n_candidates=200)),
    "random_state": 0,
}
START = strings()


def write(path, header, rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A campaign of 30 strings, 24 of them with a value, and one batch of four that is out."""
    folder = tmp_path_factory.mktemp("template")
    data = write(
        folder / "start.csv",
        ["Compound", "SMILES", "pIC50"],
        [[f"C-{i}", x, score(x) if i % 5 else ""] for i, x in enumerate(START)],
    )
    campaign.init(folder / "camp", data, model=OWN, **FAST)
    campaign.ask(
        campaign.open_campaign(folder / "camp", model=OWN), folder / "camp", 4, out=folder / "batch.csv"
    )
    return folder


@pytest.fixture
def camp(template, tmp_path, monkeypatch):
    """A copy of it, the current folder being the one that holds it."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WRLSO_MODEL", raising=False)
    return Path("camp")


def load(camp):
    return campaign.open_campaign(camp, model=OWN)


def tell(camp, file, **options):
    with campaign.recording(camp, model=OWN) as opt:
        return campaign.tell(opt, camp, Path(file), **options)


def batch():
    """The rows of the batch that is out: id, x, value."""
    with open("batch.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def fill(values, file="filled.csv", header=("id", "SMILES", "pIC50"), rows=None):
    rows = [[*row[:2], value] for row, value in zip(rows or batch(), values, strict=True)]
    return write(Path(file), header, rows)


def state(camp):
    records = view_campaign(camp).history.records
    return [(r.x, r.status, r.values, r.n_failures) for r in records], len(storage.events(camp))


# ---------------------------------------------------------------- what is told: properties

X_OF = dict(enumerate(START[:6]))
ROWS = st.lists(
    st.tuples(
        st.sampled_from([*X_OF, None]),
        st.sampled_from([*X_OF.values(), "NNNNNN", "OOOOOO"]),
        st.sampled_from(["", "failed", "1", "2", "3"]),
    ),
    max_size=8,
)


def in_memory():
    """Six points in memory: two with a value (one of them twice), one failed, one corrected; two others."""
    opt = WeightedRetrainingOptimizer(model=string_models.make(), random_state=0)
    x = START
    opt.tell([x[0], x[1], x[1], x[2], x[3]], [1.0, 1.0, 3.0, None, 1.0]).update(x[3], 2.0)
    return opt.tell(START[4:6], [3.0, 3.0])


def plan(opt, rows, **options):
    # a row with an id must carry the x of that id
    cells = [[str(i if i is not None else ""), x if i is None else X_OF[i], y] for i, x, y in rows]
    path = Path("table.csv")
    write(path, ["id", "x", "y"], cells or [["", "", ""]])
    return plan_tell(
        read_table(path),
        Columns("id", "x", OutcomeColumns({"": ("y", None, None)}), None),
        opt.history_,
        opt.model_,
        campaign="camp",
        **options,
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("plans"))
    yield
    os.chdir(before)


@given(rows=ROWS, replicates=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_told_is_not_told_again(here, rows, replicates):
    """A table that could be told has nothing new afterwards, in whatever order its rows are."""
    opt = in_memory()
    if not any(any(row) for row in rows):
        return
    try:
        first = plan(opt, rows, replicates=replicates)
    except DataError as error:
        assert not replicates  # then nothing contradicts
        assert all(note.startswith("row ") for note in error.__notes__)  # noqa: PT017
        return
    if first.X:
        opt.tell(first.X, first.values)
    shuffled = random.Random(len(rows)).sample(rows, len(rows))
    assert plan(opt, shuffled, replicates=replicates).X == []


@given(rows=ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_replicates_end_up_as_often_as_the_table_or_the_campaign_has_them(here, rows):
    opt = in_memory()
    if not any(any(row) for row in rows):
        return
    before = {r.x: Counter(r.values) + Counter({None: r.n_failures}) for r in opt.history_}
    corrected = {(START[3], 1.0)}
    table: dict[str, Counter] = {}
    for i, x, y in rows:
        x = x if i is None else X_OF[i]
        value = None if y == "failed" else float(y or "nan")
        if y and (x, value) not in corrected:
            table.setdefault(x, Counter())[value] += 1
    result = plan(opt, rows, replicates=True)
    if result.X:
        opt.tell(result.X, result.values)
    after = {r.x: Counter(r.values) + Counter({None: r.n_failures}) for r in opt.history_}
    for x in before.keys() | table.keys():
        assert +after[x] == before.get(x, Counter()) | table.get(x, Counter())  # the larger of the counts


@given(order=st.permutations(range(4)), cuts=st.sets(st.integers(1, 3)))
@settings(max_examples=20, deadline=None)
def test_filling_a_batch_in_little_by_little_equals_telling_it_at_once(here, order, cuts):
    values = ["1", "failed", "2", "3"]
    rows = [(i, "", value) for i, value in zip((0, 2, 4, 5), ("1", "failed", "3", "3"), strict=True)]
    rows += [(None, x, value) for x, value in zip(strings(4, seed=9), values, strict=True)]
    opts = [in_memory(), in_memory()]
    done = plan(opts[0], rows)
    opts[0].tell(done.X, done.values)
    filled: set[int] = set()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 4], strict=True):
        filled |= {4 + i for i in order[start:stop]}
        part = plan(opts[1], [(i, x, y if n in filled else "") for n, (i, x, y) in enumerate(rows)])
        if part.X:
            opts[1].tell(part.X, part.values)
    told = [{r.x: (r.status, r.values) for r in opt.history_} for opt in opts]
    assert told[0] == told[1]


# ---------------------------------------------------------------- tell


def test_the_same_file_twice_changes_nothing(camp):
    fill(["1.5", "failed", "", "-2e-1"])
    lines = tell(camp, "filled.csv")
    assert lines[0] == "filled.csv: 2 new values, 1 failed, 1 not measured yet"
    told = state(camp)
    times = {event.time for event in storage.events(camp) if event.kind == "tell"}
    assert len(times) == 1  # all in one transaction
    assert [(s, v) for _, s, v, _ in told[0][-4:]] == [
        ("observed", [1.5]), ("failed", []), ("pending", []), ("observed", [-0.2]),
    ]  # fmt: skip
    assert tell(camp, "filled.csv")[0] == "filled.csv: 0 new values, 3 known already, 1 not measured yet"
    assert state(camp) == told


def test_an_export_can_be_told_and_changes_nothing(camp):
    fill(["1.5", "failed", "", "0.1"])
    tell(camp, "filled.csv")
    fill(["1.7", "", "", "0.3"], "again.csv")
    tell(camp, "again.csv", replicates=True)
    opt = load(camp)
    opt.update(START[1], 7.25)
    opt.update(START[2], None)
    before = state(camp)
    campaign.export(camp, out=Path("all.csv"))
    assert tell(camp, "all.csv")[0].startswith("all.csv: 0 new values, ")
    assert state(camp) == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_batch_survives_a_spreadsheet(camp, encoding, delimiter):
    rows = [
        [f" {i} ", f" {x}", y, "µ; note"]
        for (i, x, _), y in zip(batch(), ["1,5", "", "-3", "failed"], strict=True)
    ]
    rows.insert(2, ["", "", "", ""])
    write(Path("out.csv"), [" ID", "smiles ", "pIC50", "remarks"], rows, delimiter)
    text = Path("out.csv").read_text(encoding="utf-8")
    Path("out.csv").write_bytes(("\r\n" + text + "\r\n\r\n").encode(encoding))
    tell(camp, "out.csv", form=Form(decimal=","))
    assert [(s, v) for _, s, v, _ in state(camp)[0][-4:]] == [
        ("observed", [1.5]), ("pending", []), ("observed", [-3.0]), ("failed", []),
    ]  # fmt: skip


def test_points_that_were_never_asked_for_are_added(camp):
    write(
        Path("colleague.csv"), ["Smiles", "pIC50", "who"], [["NNNNNN", 6, "Ann"], [batch()[0][1], 2, "Ann"]]
    )
    lines = tell(camp, "colleague.csv")
    assert "1 point of these had not been asked for" in lines
    assert lines[-1] == "best so far: 6 (id 34): NNNNNN"
    rows, _ = state(camp)
    assert rows[34] == ("NNNNNN", "observed", [6.0], 0)
    assert rows[30][1:] == ("observed", [2.0], 0)
    write(Path("twice.csv"), ["Smiles", "pIC50"], [["OOOOOO", 1], ["OOOOOO", 2], ["CCCCCC", 1]])
    assert "2 points of these had not been asked for" in tell(camp, "twice.csv", replicates=True)


def test_an_id_with_another_spelling_of_its_x_is_the_same_point(here, monkeypatch):
    monkeypatch.setattr(VAE, "key", lambda self, x: "".join(sorted(x)))
    opt = WeightedRetrainingOptimizer(model=string_models.make()).tell("CCNNOO", 1.0)
    columns = COLUMNS

    def told(x):
        table = read_table(write(Path("table.csv"), ["id", "x", "y"], [[0, x, 2]]))
        return plan_tell(table, columns, opt.history_, opt.model_, campaign="c", replicates=True).X

    assert told("OONNCC") == ["CCNNOO"]
    with pytest.raises(DataError, match="1 row of 1"):
        told("CCCNOO")


def test_ids_alone_or_a_status_are_enough(camp):
    ids = [row[0] for row in batch()]
    write(
        Path("a.csv"),
        ["id", "pIC50", "Status"],
        [[ids[0], "", "FAILED: insoluble"], [f"{ids[1]}.0", 3, "ok"]],
    )
    tell(camp, "a.csv")
    write(Path("b.csv"), ["id", "status"], [[ids[2], "failed"], [ids[3], "failure analysis"]])
    tell(camp, "b.csv")
    statuses = [s for _, s, _, _ in state(camp)[0][-4:]]
    assert statuses == ["failed", "observed", "failed", "pending"]


def test_columns_of_other_names_have_to_be_named(camp):
    x = batch()[0][1]
    write(Path("a.csv"), ["id", "mol", "IC50"], [["CPD-1", x, 5]])
    with pytest.raises(DataError, match="has no column 'pIC50'; its columns are 'id', 'mol', 'IC50'; name"):
        tell(camp, "a.csv")
    with pytest.raises(DataError, match="neither a column 'id' nor 'SMILES'"):
        tell(camp, "a.csv", ids=False)
    form = Form(x="mol", y="ic50")
    with pytest.raises(DataError, match="1 row of 1") as caught:
        tell(camp, "a.csv", form=form)
    assert "add --no-ids" in caught.value.__notes__[0]
    tell(camp, "a.csv", form=form, ids=False)
    assert state(camp)[0][30][2] == [5.0]


def test_every_bad_row_is_named_and_nothing_is_told(camp):
    first, second, third, fourth = batch()
    told = next(i for i in range(30) if i % 5)
    rows = [
        [first[0], first[1], "1,5"],
        [second[0], second[1], "2"],  # good, and still not told
        [third[0], first[1], "1"],
        ["99", "", "1"],
        ["x1", "", "1"],
        ["", "NNNNN", "1"],
        ["", "ABCDEF", ""],
        ["", "", "4"],
        [told, START[told], "17"],
        [fourth[0], fourth[1], "1"],
        [fourth[0], fourth[1], "2"],
        ["", "", ""],
        [third[0], third[1], "~9"],
    ]
    path = write(Path("bad.csv"), ["id", "SMILES", "pIC50"], rows)
    before = state(camp)
    with pytest.raises(
        DataError, match=r"bad.csv: 10 rows of 12 cannot be told, so nothing was recorded"
    ) as caught:
        tell(camp, path)
    assert state(camp) == before
    expected = {
        2: "'1,5' is not a number; if the file has decimal commas",
        4: f"id {third[0]} is {unprotected(third[1])!r} in the campaign, but",
        5: "no point of this campaign has the id 99; they go from 0 to 33",
        6: "id 'x1' is not a number that ask gave",
        7: "the model cannot read 'NNNNN': expected 6 letters",
        8: "the model cannot read 'ABCDEF'",
        9: "a value without an id or an x",
        10: f"told as {score(START[told]):g} and is now 17; to correct it: wrlso update camp {told} 17; if",
        12: "the same point as in row 11 with another value, 2 and not 1",
        14: "'~9' is about a value",
    }
    assert [int(note.split(":")[0][4:]) for note in caught.value.__notes__] == list(expected)
    for note, words_ in zip(caught.value.__notes__, expected.values(), strict=True):
        assert words_ in note


def unprotected(x):
    return x[1:] if x.startswith("'") else x


def test_a_number_beside_a_failed_status_is_refused(camp):
    write(Path("a.csv"), ["id", "pIC50", "status"], [[batch()[0][0], 5, "failed"]])
    with pytest.raises(DataError, match="1 row of 1") as caught:
        tell(camp, "a.csv")
    assert "the status is 'failed', but the value is 5" in caught.value.__notes__[0]


def test_a_typo_is_corrected_once_and_the_old_file_may_be_told_on(camp):
    """Three weeks, one typo: the file with the typo is filled in further, and told again."""
    fill(["1.5", "15", "", ""])
    tell(camp, "filled.csv")
    row = int(batch()[1][0])
    with campaign.recording(camp, model=OWN) as opt:
        lines = campaign.update(opt, str(row), "1.5")
    assert lines[0].endswith("15 is now 1.5")
    fill(["1.5", "15", "0.5", ""])
    lines = tell(camp, "filled.csv")
    assert f"id {row} was corrected from 15 to 1.5 since; the correction stays" in lines
    assert "filled.csv: 1 new value, 2 known already, 1 not measured yet" in lines
    assert [v for _, _, v, _ in state(camp)[0][-4:]] == [[1.5], [1.5], [0.5], []]


def test_repeated_measurements_are_told_on_demand(camp):
    fill(["1", "failed", "", ""])
    tell(camp, "filled.csv")
    fill(["2", "3", "", ""], "again.csv")
    with pytest.raises(DataError, match="2 rows of 4") as caught:
        tell(camp, "again.csv")
    assert all("add --replicates" in note for note in caught.value.__notes__)
    for _ in range(2):
        tell(camp, "again.csv", replicates=True)
        assert [(v, f) for _, _, v, f in state(camp)[0][30:32]] == [([1.0, 2.0], 0), ([3.0], 1)]


def test_values_as_a_spreadsheet_shows_them_are_the_same(camp):
    """It writes 0.123456789 where the campaign has more digits."""
    exact = [1 / 3 * 1e-7, -12345.678901234567, 2 / 3]
    opt = load(camp)
    opt.tell(opt.pending_[:3], exact)
    before = state(camp)
    for digits in (9, 10, 15):
        fill([f"{y:.{digits}g}" for y in exact] + [""])
        for replicates in (False, True):
            tell(camp, "filled.csv", replicates=replicates)
            assert state(camp) == before
    fill([f"{y * (1 + 1e-8):.12g}" for y in exact] + [""])
    with pytest.raises(DataError, match="3 rows of 4"):
        tell(camp, "filled.csv")


def test_results_of_released_points_count(camp):
    with campaign.recording(camp, model=OWN) as opt:
        campaign.release(opt, ["31"])
    fill(["", "5", "", ""])
    tell(camp, "filled.csv")
    assert state(camp)[0][31][1:3] == ("observed", [5.0])


def test_a_file_of_another_campaign_is_refused(camp):
    x = [unprotected(row[1]) for row in batch()]
    other = [["30", next(s for s in strings(50, seed=5) if s not in x), "1"]]
    write(Path("other.csv"), ["id", "SMILES", "pIC50"], other)
    with pytest.raises(DataError, match="cannot be told"):
        tell(camp, "other.csv")


def test_two_people_telling_one_file_at_once_tell_it_once(camp, monkeypatch):
    fill(["1", "2", "3", "4"])

    def plan_slowly(*arguments, **options):
        plan = plan_tell(*arguments, **options)
        time.sleep(0.1)  # time enough for another one to plan the same
        return plan

    monkeypatch.setattr("wrlso.campaign.commands.plan_tell", plan_slowly)
    errors = []

    def work():
        try:
            tell(camp, "filled.csv")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [v for _, _, v, _ in state(camp)[0][-4:]] == [[1.0], [2.0], [3.0], [4.0]]


# ---------------------------------------------------------------- init


def test_init_guesses_columns_and_says_so(tmp_path):
    data = write(
        tmp_path / "a.csv",
        ["Nr", "Structure", "logS", "remark"],
        [
            [i, x, y, ""]
            for i, (x, y) in enumerate(zip(START, ["1.5", "", "nan", "failed", *range(26)], strict=True))
        ]
        + [[30, START[0], "2.5", "again"]],
    )
    lines = campaign.init(tmp_path / "camp", data, model=OWN, direction="minimize", **FAST)
    assert lines[0] == "x is the column 'Structure' (guessed; --x says otherwise)"
    guess = "the values are in the column 'logS' (guessed; --y or --no-y say otherwise): 1.5, 0, 1, …"
    assert lines[1] == guess
    assert "30 points, 27 with a value, 1 failed, 1 row of repeated x, from a.csv" in lines[2]
    assert lines[3] == f"best so far: 0 (id 4): {START[4]}"
    history = view_campaign(tmp_path / "camp").history
    assert [r.status for r in history][:4] == ["observed", "unlabelled", "unlabelled", "failed"]
    assert history.records[0].values == [1.5, 2.5]
    info = storage.campaign_info(tmp_path / "camp")
    assert info["notes"] == {
        "x": "Structure", "y": "logS", "delimiter": ",", "decimal": ".", "model": OWN,
    }  # fmt: skip
    assert info["parameters"]["direction"] == "minimize"


def test_init_from_a_list_and_a_form_that_is_kept(tmp_path):
    (tmp_path / "a.smi").write_text("".join(f"{x} name\n" for x in START))
    lines = campaign.init(tmp_path / "camp", tmp_path / "a.smi", model=OWN, form=Form(y="IC50"), **FAST)
    assert "30 points, 0 with a value" in lines[1]
    text, _ = campaign.ask(load(tmp_path / "camp"), tmp_path / "camp", 2)
    assert text.startswith("id,x,IC50\n")
    rows = [[x, str(score(x)).replace(".", ",")] for x in START]
    data = write(tmp_path / "b.csv", ["x", "y"], rows, ";")
    campaign.init(tmp_path / "comma", data, model=OWN, form=Form(decimal=","), **FAST)
    text = campaign.export(tmp_path / "comma")
    assert text.startswith("id;x;y;status")
    assert f";{START[1]};{str(score(START[1])).replace('.0', '').replace('.', ',')};" in text


def test_init_names_every_bad_row_and_leaves_nothing(tmp_path):
    rows = [[START[0], "1"], ["NNN", "2"], [START[1], "1,5"], ["", "3.5"], ["", ""], ["ABCDEF", "~3"]]
    data = write(tmp_path / "a.csv", ["x", "y"], rows)
    with pytest.raises(DataError, match="4 rows of 5 cannot be used, so no campaign was made") as caught:
        campaign.init(tmp_path / "camp", data, model=OWN, **FAST)
    notes = caught.value.__notes__
    assert [note[:6] for note in notes] == ["row 3:", "row 4:", "row 5:", "row 7:"]
    assert "a value without an x" in notes[2]
    assert "about" in notes[3]
    assert "cannot read 'ABCDEF'" in notes[3]
    assert not (tmp_path / "camp").exists()
    data = write(tmp_path / "a.csv", ["x", "y"], rows[:1])
    with pytest.raises(ParameterError, match="lr must be"):
        campaign.init(tmp_path / "camp", data, model=OWN, trainer=Trainer(lr=-1))
    assert not (tmp_path / "camp").exists()


def test_init_does_not_touch_what_is_there(camp):
    before = state(camp)
    with pytest.raises(ParameterError, match="camp exists already; see: wrlso status camp"):
        campaign.init(camp, Path("start.csv"), model=OWN)
    with pytest.raises(ParameterError, match="exists already"):
        campaign.init(Path("start.csv"), Path("start.csv"), model=OWN)
    assert state(camp) == before


@pytest.mark.parametrize(
    "left", [["work.lock"], ["tell.lock", "pretrained.safetensors", "weights-1.safetensors"]]
)
def test_what_is_left_of_an_init_that_was_killed_is_no_hindrance(tmp_path, left):
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])
    (tmp_path / "camp").mkdir()
    for name in left:
        (tmp_path / "camp" / name).write_bytes(b"half")
    campaign.init(tmp_path / "camp", data, model=OWN, **FAST)
    assert not (tmp_path / "camp" / "pretrained.safetensors").exists()
    assert len(campaign.ask(load(tmp_path / "camp"), tmp_path / "camp", 2)[0].splitlines()) == 3


def test_an_init_that_fails_leaves_nothing_and_spares_what_is_not_its_own(tmp_path, monkeypatch):
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wrlso.storage.folder.put_whole", full)
    with pytest.raises(StorageError, match="could not be written.*No space left"):
        campaign.init(tmp_path / "new" / "camp", data, model=OWN, **FAST)
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pretrained.safetensors").write_bytes(b"mine")
    with pytest.raises(StorageError, match="not empty and no campaign .it holds pretrained.safetensors"):
        campaign.init(tmp_path / "mine", data, model=OWN, **FAST)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["pretrained.safetensors"]


def test_looking_at_a_campaign_writes_nothing(camp):
    def content():
        return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in camp.iterdir()}

    before = content()
    campaign.status(camp)
    campaign.export(camp, as_json=True)
    opt = campaign.open_campaign(camp, model=OWN, autosave=False)
    campaign.report(opt, Path("report.html"))
    assert content() == before


def test_init_and_tell_remember_the_unit_and_the_type(tmp_path):
    header = ["SMILES", "IC50", "Standard Units", "Standard Type", "Relation"]
    rows = [[x, score(x), "nM" if i else "uM", "IC50", "=" if i > 1 else "~"] for i, x in enumerate(START)]
    data = write(tmp_path / "a.csv", header, rows)
    for form, words_ in ((Form(), "cannot be compared"), (Form(only=("standard units=nm",)), "1 row of 29")):
        with pytest.raises(DataError, match=words_):
            campaign.init(tmp_path / "camp", data, model=OWN, form=form, **FAST)
        assert not (tmp_path / "camp").exists()
    chosen = Form(only=("standard units=nm", "RELATION=="))
    lines = campaign.init(tmp_path / "camp", data, model=OWN, form=chosen, **FAST)
    assert lines[0] == "2 rows left out, 28 rows kept (--only)"
    notes = storage.campaign_info(tmp_path / "camp")["notes"]
    assert (notes["unit"], notes["type"]) == ("nM", "IC50")
    before = state(tmp_path / "camp")
    new = [
        ["NNNNNN", 5, "uM", "IC50", "="],
        ["OOOOOO", 6, "nM", "IC50", "="],
        ["NNOONN", 7, "nM", "IC50", "~"],
    ]
    for rows, only, words_ in (
        (new, (), "'Standard Units' is uM .1 row., nM|'Standard Units' is nM .2 rows., uM"),
        (new[:1], (), "is uM, but the values of this campaign are in nM"),
        (new[1:], (), "'Relation' is '~'"),
    ):
        write(tmp_path / "b.csv", header, rows)
        with pytest.raises(DataError) as caught:
            tell(tmp_path / "camp", tmp_path / "b.csv", form=Form(only=only))
        assert re.search(words_, " ".join(caught.value.__notes__))
        assert state(tmp_path / "camp") == before
    write(tmp_path / "b.csv", header, new)
    tell(tmp_path / "camp", tmp_path / "b.csv", form=chosen)
    assert state(tmp_path / "camp")[0][28:] == [("OOOOOO", "observed", [6.0], 0)]


def test_the_same_seed_gives_the_same_campaign(tmp_path):
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])
    asked = []
    for name in "ab":
        campaign.init(tmp_path / name, data, model=OWN, **FAST)
        asked.append(campaign.ask(load(tmp_path / name), tmp_path / name, 3)[0])
    assert asked[0] == asked[1]


# ---------------------------------------------------------------- ask


def test_ask_writes_ids_that_are_rows_and_x_that_come_back(camp):
    opt = load(camp)
    table = read_table(Path("batch.csv"))
    assert table.columns == ("id", "SMILES", "pIC50")
    assert [row.cells[1] for row in table.rows] == opt.pending_
    assert [opt.history_.records[int(row.cells[0])].x for row in table.rows] == opt.pending_
    assert [row.cells[2] for row in table.rows] == [""] * 4


def test_strings_that_look_like_formulas_are_harmless_and_exact(camp):
    opt = load(camp)
    wild = [a + "NNNNN" for a in "=-"]
    opt.tell(wild, [8.0, 9.0])
    text = campaign.export(camp)
    assert "'=NNNNN,8,observed" in text
    assert not any(row.split(",")[1].startswith(("=", "-")) for row in text.splitlines())
    Path("all.csv").write_text(text)
    assert [row.cells[1] for row in read_table(Path("all.csv")).rows] == [r.x for r in opt.history_]


def test_pending_points_can_be_written_again(camp):
    opt = load(camp)
    text, lines = campaign.ask(opt, camp, pending=True)
    assert text == Path("batch.csv").read_text()
    assert lines[0] == "4 points, ids 30-33"
    opt.tell(opt.pending_, [1.0] * 4)
    with pytest.raises(DataError, match="no point is pending"):
        campaign.ask(opt, camp, pending=True)


def test_an_existing_file_is_not_overwritten_and_nothing_is_asked(camp):
    before = state(camp)
    with pytest.raises(ParameterError, match="batch.csv exists already"):
        campaign.ask(load(camp), camp, 2, out=Path("batch.csv"))
    with pytest.raises(ParameterError, match="there is no folder nowhere"):
        campaign.ask(load(camp), camp, 2, out=Path("nowhere/batch.csv"))
    assert state(camp) == before
    campaign.ask(load(camp), camp, 2, out=Path("batch.csv"), force=True)
    assert len(batch()) == 2


def test_points_survive_a_file_that_cannot_be_written(camp, monkeypatch):
    def fail(*_, **options):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("wrlso._utils.files.put_whole", fail)
        opt = load(camp)
        with pytest.raises(OSError, match="the disk is full") as caught:
            campaign.ask(opt, camp, 2, out=Path("week2.csv"))
    assert caught.value.__notes__ == [
        "the 2 points asked for are pending; to write all pending ones: wrlso ask camp --pending --out FILE"
    ]
    assert not list(Path().glob("*week2*"))
    campaign.ask(load(camp), camp, pending=True, out=Path("all.csv"))
    assert [row.cells[0] for row in read_table(Path("all.csv")).rows] == [str(i) for i in range(30, 36)]


# ---------------------------------------------------------------- update, release, retrain


def test_update(camp):
    def update(point, value, **options):
        with campaign.recording(camp, model=OWN) as opt:
            return campaign.update(opt, point, value, **options)

    row = 1
    update("1", "-2,5", form=Form(decimal=","))
    assert state(camp)[0][row][2] == [-2.5]
    update("1", "2.25", form=Form(decimal=","))
    assert state(camp)[0][row][2] == [2.25]
    update("1", "-2.5")
    assert "-2.5 is now failed" in update(START[1], "failed")[0]
    assert state(camp)[0][row][1:3] == ("failed", [])
    assert "failed is now 3" in update("1", "3")[0]
    assert "3 is now not measured" in update("1", "nan")[0]
    assert state(camp)[0][row][1:3] == ("unlabelled", [])
    with pytest.raises(UnknownPointError, match="id 1 is unlabelled and has no value to correct"):
        update("1", "9")
    load(camp).tell(START[1], 2.0)
    assert update("1", "9")[1] == f"best so far: 9 (id 1): {START[1]}"
    before = state(camp)
    for point, value, error, message in (
        ("30", "1", UnknownPointError, "id 30 is pending and has no value to correct; use: wrlso tell"),
        ("99", "1", UnknownPointError, "there is no point with the id 99; ids go from 0 to 33"),
        ("-1", "1", UnknownPointError, "'-1' is neither an id nor a point of this campaign"),
        ("NNNNNN", "1", UnknownPointError, "'NNNNNN' is neither an id nor"),
        ("1", "", ParameterError, "the new value is blank"),
        ("1", "1.5x", DataError, "is not a number"),
    ):
        with pytest.raises(error, match=message):
            update(point, value)
    assert state(camp) == before


def test_release(camp):
    def release(*points, **options):
        with campaign.recording(camp, model=OWN) as opt:
            return campaign.release(opt, points, **options)

    with pytest.raises(UnknownPointError, match="id 1 is observed and not pending, so nothing was released"):
        release("30", "1")
    with pytest.raises(ParameterError, match="give the ids of the points to release, or --all"):
        release()
    with pytest.raises(ParameterError, match="leave out one of them"):
        release("30", every=True)
    x = unprotected(batch()[1][1])
    assert release("31", x) == ["1 point released"]
    assert [s for _, s, _, _ in state(camp)[0][30:]] == ["pending", "released", "pending", "pending"]
    assert release(every=True) == ["3 points released"]


def test_retrain(camp):
    assert campaign.retrain(load(camp))[0].startswith("trained on 24 points with a value, in ")
    assert len(view_campaign(camp).history.trainings) == 2


# ---------------------------------------------------------------- status and export, without the model


def test_status_needs_no_model(camp, monkeypatch):
    monkeypatch.setitem(sys.modules, "string_models", None)
    lines = campaign.status(camp)
    assert lines[:2] == [
        "camp: model string_models:make, maximize",
        "34 points: 24 measured, 4 pending, 6 without a value",
    ]
    assert lines[2].startswith("best so far: ")
    assert lines[3] == "trained 1 time; again after 50 new values"
    assert lines[4] == "pending (id, asked, x):"
    opt_pending = [r.x for r in view_campaign(camp).history if r.status == "pending"]
    assert [line.split()[0] for line in lines[5:9]] == ["30", "31", "32", "33"]
    assert [line.split()[-1] for line in lines[5:9]] == opt_pending
    assert lines[9:] == ["nobody is asking or training now"]


def test_status_says_who_works(camp):
    opt = load(camp)
    with opt._session.working():
        assert campaign.status(camp)[-1].startswith(f"process {os.getpid()} on ")
    assert campaign.status(camp)[-1] == "nobody is asking or training now"


@pytest.mark.parametrize(
    ("retrain_every", "told", "words_"),
    [
        (None, 0, "again only by: wrlso retrain"),
        (1, 1, "again at the next ask"),
        (3, 1, "again after 2 new values"),
    ],
)
def test_status_says_when_the_model_is_trained_next(tmp_path, retrain_every, told, words_):
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])
    campaign.init(tmp_path / "camp", data, model=OWN, retrain_every=retrain_every, **FAST)
    if told:
        load(tmp_path / "camp").tell("NNNNNN", 1.0)
    assert words_ in campaign.status(tmp_path / "camp")[3]


def test_a_view_agrees_with_the_optimizer_that_it_does_without(camp):
    fill(["0.1", "failed", "", ""])
    tell(camp, "filled.csv")
    opt = load(camp).update(START[1], 0.2).release(unprotected(batch()[3][1]))
    info, history = view_campaign(camp)
    authors = info.pop("authors")
    assert len(authors) == len(history.events)
    assert info == storage.campaign_info(camp)
    assert info["counts"] == Counter(r.status for r in opt.history_)
    assert (info["n_asks"], info["n_trainings"]) == (len(opt.history_.asks), len(opt.history_.trainings))
    assert info.items() >= campaign_settings(camp).items()

    def facts(record):
        everything = {name: getattr(record, name) for name in record.__slots__}
        del everything["key"]
        return everything | {"z": None if record.z is None else record.z.tolist()}

    assert list(map(facts, history)) == list(map(facts, opt.history_))
    assert np.array_equal(history.y, opt.y_)
    seen = [(e.kind, e.row, e.value, e.time) for e in history.events]
    assert seen == [(e.kind, e.row, e.value, e.time) for e in opt.history_.events]
    assert history.trainings == opt.history_.trainings


@given(
    values=st.lists(st.decimals(-1000, 1000, places=2, allow_nan=False), min_size=1, max_size=6),
    decimal=st.sampled_from([".", ","]),
)
def test_means_are_written_as_the_decimals_that_they_are(values, decimal):
    """As the mean of what was told, and not of the floats that are near it."""
    history = (
        WeightedRetrainingOptimizer(model=string_models.make())
        .tell([START[0]] * len(values), [float(value) for value in values])
        .history_
    )
    text = format_points(history, [0], "x", {"": "y"}, delimiter=";", decimal=decimal)
    written = read_value(text.splitlines()[1].split(";")[2], decimal=decimal)
    exact = sum(map(Fraction, values)) / len(values)
    assert written == float(exact)
    assert written == pytest.approx(float(history.y[0]), rel=1e-12, abs=1e-12)
    if len(values) in (1, 2, 4, 5):  # the mean ends after four digits at most
        assert len(repr(written).partition(".")[2]) <= 4


def test_replicates_are_exported_as_their_mean(camp):
    fill(["5.1", "", "", ""])
    tell(camp, "filled.csv")
    fill(["5.3", "", "", ""], "again.csv")
    tell(camp, "again.csv", replicates=True)
    assert ",5.2,observed," in campaign.export(camp)
    assert ";5,2;observed;" in campaign.export(camp, form=Form(delimiter=";", decimal=","))
    assert json.loads(campaign.export(camp, as_json=True))["points"][30]["value"] == 5.2


def test_json_holds_everything(camp, monkeypatch):
    fill(["0.1", "failed", "", ""])
    tell(camp, "filled.csv")
    opt = load(camp)
    opt.update(START[1], 0.2)
    expected = [(r.x, r.status, r.values, r.revisions) for r in opt.history_]
    expected_results = [
        "failed" if r.status == "failed" else f"{np.mean(r.values):.10g}" if r.values else ""
        for r in opt.history_
    ]
    monkeypatch.setitem(sys.modules, "string_models", None)
    whole = json.loads(campaign.export(camp, as_json=True))
    assert [(p["x"], p["status"], p["values"], p["corrected_from"]) for p in whole["points"]] == expected
    assert [p["id"] for p in whole["points"]] == list(range(34))
    assert [p["result"] for p in whole["points"]] == expected_results
    assert Counter(e["kind"] for e in whole["events"]) == {"start": 24, "ask": 4, "tell": 2, "update": 1}
    assert whole["events"][-1]["old"] == [score(START[1])]
    assert len(whole["trainings"]) == 1
    assert whole["notes"]["x"] == "SMILES"
    campaign.export(camp, out=Path("all.json"))
    assert json.loads(Path("all.json").read_text()) == whole


def test_an_exported_table_begins_a_campaign_with_the_same_values(camp):
    fill([">0.1", "failed", "", ""])
    tell(camp, "filled.csv")
    opt = load(camp)
    opt.update(START[1], 0.25).tell(START[2], 0.5).update(START[3], float("nan"))
    opt.note(START[4], "0.5")
    campaign.export(camp, out=Path("all.csv"))
    lines = campaign.init(Path("next"), Path("all.csv"), model=OWN, **FAST)
    assert any("the values are in the column 'pIC50'" in line for line in lines)
    first, second = (view_campaign(path).history for path in (camp, Path("next")))
    assert [r.x for r in second] == [r.x for r in first]
    assert [r.status == "failed" for r in second] == [r.status == "failed" for r in first]
    assert [r.current() and r.current()[0::3] for r in second] == [
        r.current() and (pytest.approx(r.current()[0]), r.current()[3]) for r in first
    ]


def test_report(camp):
    pytest.importorskip("matplotlib")
    lines = campaign.report(load(camp), Path("report.html"))
    assert lines == ["report.html"]
    assert START[1] in Path("report.html").read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="report.html exists already and is not overwritten"):
        campaign.report(load(camp), Path("report.html"))
    campaign.report(load(camp), Path("report.html"), force=True)


def test_campaigns_made_in_python_go_on_in_the_shell(tmp_path):
    opt = WeightedRetrainingOptimizer(model=string_models.make(), **FAST)
    opt.fit(START, [score(x) for x in START]).autosave(tmp_path / "camp")
    text, _ = campaign.ask(load(tmp_path / "camp"), tmp_path / "camp", 2)
    assert text.startswith("id,x,y\n30,")
    assert campaign.status(tmp_path / "camp")[0].endswith("camp: model of your own, maximize")


def test_campaigns_whose_x_are_no_text_are_shown_and_not_written_as_tables(tmp_path):
    X = words()
    make_optimizer().fit(X, X.sum(axis=1)).autosave(tmp_path / "camp")
    assert "40 points: 40 measured" in campaign.status(tmp_path / "camp")
    with pytest.raises(DataError, match="x are of type ndarray, which a table cannot hold"):
        campaign.export(tmp_path / "camp")
    points = json.loads(campaign.export(tmp_path / "camp", as_json=True))["points"]
    assert np.array_equal([p["x"] for p in points], X)
    with pytest.raises(ParameterError, match="made in Python with decoder, encoder of your own"):
        load(tmp_path / "camp")


class Sets:
    """Sets of numbers below 12, which a campaign stores through their codec."""

    def transform(self, X):
        return np.array([[float(i in x) for i in range(12)] for x in X])

    def inverse_transform(self, array):
        return [frozenset(np.flatnonzero(row)) for row in array]


def test_objects_that_only_the_codec_knows_are_shown_as_arrays(tmp_path):
    X = Sets().inverse_transform(words())
    make_optimizer(codec=Sets()).fit(X, [len(x) for x in X]).autosave(tmp_path / "camp")
    assert "40 points: 40 measured" in campaign.status(tmp_path / "camp")
    points = json.loads(campaign.export(tmp_path / "camp", as_json=True))["points"]
    assert [p["x"] for p in points] == words().tolist()


def test_a_campaign_without_any_x_is_shown(tmp_path):
    make_optimizer().autosave(tmp_path / "camp")
    assert "best so far: no value yet" in campaign.status(tmp_path / "camp")
    assert campaign.export(tmp_path / "camp").startswith("id,x,y,status")


# ---------------------------------------------------------------- models by name

BOMB = "import pathlib\npathlib.Path('exploded').touch()\ndef make():\n    pathlib.Path('made').touch()\n"


@pytest.mark.parametrize("name", ["bomb:make", "bomb", "../bomb:make", "os:getcwd", ""])
def test_nothing_that_a_campaigns_files_name_is_imported(camp, name):
    for folder in (Path(), camp):
        (folder / "bomb.py").write_text(BOMB)
    load(camp).notes_["model"] = name
    for command in (campaign.status, campaign.export):
        command(camp)
    with pytest.raises(
        ParameterError, match="made by code of your own, and wrlso runs no code because a campaign"
    ):
        campaign.open_campaign(camp)
    assert "bomb" not in sys.modules
    assert not Path("exploded").exists()


def test_what_a_campaigns_files_say_neither_breaks_nor_fools_a_terminal(camp):
    opt = load(camp)
    opt.notes_.update(model="\x1b[2Jlab\n:make", delimiter="ab", decimal="x")
    for line in campaign.status(camp):
        assert line.isprintable()
    assert campaign.export(camp).startswith("id,SMILES,pIC50,status")
    with opt._session.working():
        (camp / "work.lock").write_text("\x1b[2J")
        assert campaign.status(camp)[-1] == "'\\x1b[2J' is asking or training now"


def test_own_models_are_named_again(camp, monkeypatch):
    with pytest.raises(
        ParameterError, match="It was made with 'string_models:make': if you trust that code, pass"
    ):
        campaign.open_campaign(camp)
    monkeypatch.setenv("WRLSO_MODEL", OWN)
    assert len(campaign.open_campaign(camp).pending_) == 4


def test_built_in_names_are_looked_up_in_the_registry_only(tmp_path, monkeypatch):
    monkeypatch.setitem(BUILT_IN, "strings", string_models.make)
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])
    campaign.init(tmp_path / "camp", data, model="strings", **FAST)
    monkeypatch.setenv("WRLSO_MODEL", "nowhere:make")  # not needed, so not looked at
    assert campaign.open_campaign(tmp_path / "camp").best_y_ == max(map(score, START))


def test_the_built_in_model_of_expressions(tmp_path):
    assert list(BUILT_IN)[:3] == ["expressions", "selfies", "junction-tree"]
    assert list(BUILT_IN)[3:] == ["protein", "dna", "rna", "coding-dna"]
    terms = [
        f"{a} {sign} {b}" for a in ("x", "1", "sin( x )") for sign in "+*/" for b in ("x", "2", "exp( x )")
    ]
    data = write(tmp_path / "a.csv", ["expression", "score"], [[x, -i] for i, x in enumerate(terms)])
    lines = campaign.init(tmp_path / "camp", data, model="expressions", **FAST)
    assert "26 points, 26 with a value, 1 row of repeated x" in lines[2]  # x + x and x * 2
    _, lines = campaign.ask(
        campaign.open_campaign(tmp_path / "camp"), tmp_path / "camp", 2, out=tmp_path / "b.csv"
    )
    assert "ids 26-27" in lines[0]
    filled = (tmp_path / "b.csv").read_text().replace(",\n", ",1.5\n")
    (tmp_path / "b.csv").write_text(filled)
    opt = campaign.open_campaign(tmp_path / "camp")
    assert campaign.tell(opt, tmp_path / "camp", tmp_path / "b.csv")[0] == "b.csv: 2 new values"
    assert opt.best_y_ == 1.5


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "molecule",
            ParameterError,
            "there is no model 'molecule'; built in: .*; your own: package.module:factory",
        ),
        (
            "nowhere:make",
            ParameterError,
            "cannot import 'nowhere' of 'nowhere:make': No module named 'nowhere'",
        ),
        (":make", ParameterError, "cannot import '' of ':make'"),
        ("string_models:", ParameterError, "string_models has no function ''"),
        ("string_models:nothing", ParameterError, "string_models has no function 'nothing'"),
        ("string_models:LETTERS", ParameterError, "string_models has no function 'LETTERS'"),
        ("string_models:strings", ModelError, "string_models:strings must return a LatentModel .*, got list"),
    ],
)
def test_names_of_models_that_cannot_be(name, error, message):
    with pytest.raises(error, match=message):
        make_model(name, 0)


def test_own_models_are_the_same_for_the_same_seed(tmp_path, monkeypatch):
    (tmp_path / "unseeded.py").write_text(
        "from torch import nn\nfrom wrlso import VAE\ndef make():\n"
        "    return VAE(nn.Linear(6, 4), nn.Linear(2, 6))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, second, other = (make_model("unseeded:make", seed).encoder.weight for seed in (1, 1, 2))
    assert first.equal(second)
    assert not first.equal(other)


def test_the_current_folder_is_importable(tmp_path, monkeypatch):
    (tmp_path / "in_this_folder.py").write_text("def allowed(x):\n    return True\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert named_callable("in_this_folder:allowed")("x") is True


def test_own_tests_of_candidates_are_named_again(tmp_path, monkeypatch):
    (tmp_path / "rules.py").write_text("def no_carbon(x):\n    return 'C' not in x\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = write(tmp_path / "a.csv", ["x", "y"], [[x, score(x)] for x in START])
    campaign.init(tmp_path / "camp", data, model=OWN, feasible="rules:no_carbon", **FAST)
    with pytest.raises(
        ParameterError, match="tested by your own code .'rules.no_carbon'.: if you trust that code"
    ):
        load(tmp_path / "camp")
    opt = campaign.open_campaign(tmp_path / "camp", model=OWN, feasible="rules:no_carbon")
    assert not any("C" in x for x in opt.ask(3))


def test_what_is_no_campaign_is_said_so(tmp_path):
    for command in (campaign.status, campaign.export, load):
        with pytest.raises(StorageError, match="holds no campaign: journal.sqlite is missing"):
            command(tmp_path)
    with pytest.raises(StorageError, match="holds no campaign: journal.sqlite is missing"):
        tell(tmp_path, "a.csv")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- a shell, for real


class Shell:
    """Runs the program that users run, in one folder."""

    def __init__(self, folder):
        self.folder = folder
        program = Path(sys.executable).with_name("wrlso")
        self.program = [str(program)] if program.exists() else [sys.executable, "-m", "wrlso"]
        root = str(Path(campaign.__file__).parents[2])
        self.environment = os.environ | {"PYTHONPATH": root, "WRLSO_MODEL": "lab:make"}

    def __call__(self, command, code=0):
        result = subprocess.run(
            [*self.program, *command.split()],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stderr if code else result.stdout


def test_three_cycles_in_a_shell(tmp_path):
    """Three weeks, two people, one typo."""
    wrlso = Shell(tmp_path)
    shutil.copy(string_models.__file__, tmp_path / "lab.py")
    write(tmp_path / "start.csv", ["Nr", "word", "activity"], [[i, x, score(x)] for i, x in enumerate(START)])
    said = wrlso(
        "init camp --data start.csv --model lab:make --epochs 30 --learning-rate 0.01 --retrain-every 8"
    )
    assert "30 points, 30 with a value, from start.csv" in said
    known = {x: score(x) for x in START}
    for week in (1, 2, 3):
        said = wrlso(f"ask camp -n 6 --out week{week}.csv")
        assert f"6 points in week{week}.csv, ids {24 + 6 * week}-{29 + 6 * week}" in said
        path = tmp_path / f"week{week}.csv"
        rows = [row.cells for row in read_table(path).rows]
        assert not {x for _, x, _ in rows} & known.keys()
        values = [str(score(x)) for _, x, _ in rows]
        known |= {x: score(x) for _, x, _ in rows}
        if week == 1:  # a spreadsheet, a typo, and two results that are still missing
            values = [*(v.replace(".", ",") for v in values[:3]), "1o", "", ""]
            write(
                path,
                ["id", "word", "activity"],
                [[i, x, v] for (i, x, _), v in zip(rows, values, strict=True)],
                ";",
            )
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b";;\r\n")
            said = wrlso("tell camp week1.csv --decimal-comma", code=1)
            assert said.splitlines() == [
                "wrlso: error: week1.csv: 1 row of 6 cannot be told, so nothing was recorded",
                "  row 5: '1o' is not a number; write it alone, without a unit or sign behind it",
            ]
            path.write_bytes(path.read_bytes().replace(b"1o", b"10"))
            assert "4 new values, 2 not measured yet" in wrlso("tell camp week1.csv --decimal-comma")
        else:
            write(
                path,
                ["id", "word", "activity"],
                [[i, x, v] for (i, x, _), v in zip(rows, values, strict=True)],
            )
            assert "6 new values" in wrlso(f"tell camp week{week}.csv")
    # the second person finds the typo and fills in what was missing
    rows = [row.cells for row in read_table(tmp_path / "week1.csv").rows]
    right = score(rows[3][1])
    assert f"10 is now {right:g}" in wrlso(f"update camp {rows[3][0]} {right:g}")
    values = [*(row[2] for row in rows[:4]), str(score(rows[4][1])).replace(".", ","), "failed"]
    del known[rows[5][1]]
    write(
        tmp_path / "week1.csv",
        ["id", "word", "activity"],
        [[*r[:2], v] for r, v in zip(rows, values, strict=True)],
    )
    said = wrlso("tell camp week1.csv --decimal-comma")
    assert "1 new value, 1 failed, 4 known already" in said
    best = max(known, key=known.get)
    said = wrlso("status camp")
    assert "48 points: 47 measured, 1 failed" in said
    assert f"best so far: {known[best]:g} (id " in said
    assert "trained 2 times" in said
    history = view_campaign(tmp_path / "camp").history
    assert {r.x: r.values[0] for r in history if r.values} == known
    assert all(set(r.x) <= set(LETTERS) for r in history)
