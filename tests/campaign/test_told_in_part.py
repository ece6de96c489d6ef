"""What is told of some outcomes only: nothing told is lost, rows are completed, and every table says it."""

import csv
import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_campaign import FAST, OWN, START, score, write
from test_outcome_tables import OUTCOMES, tell

from wrlso import DataError, ParameterError, Reading, UnknownPointError, above
from wrlso import campaign as work
from wrlso.campaign.corrections import read_correction
from wrlso.campaign.downloads import pending_text
from wrlso.outcomes import aims_of
from wrlso.storage import events
from wrlso.storage.info import view_campaign

NAMES = ("pIC50", "logD", "solubility")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Twelve strings with all outcomes, and three that were asked for, with the ids 12 to 14."""
    folder = tmp_path_factory.mktemp("part")
    rows = [[x, score(x), len(set(x)), 10 * i] for i, x in enumerate(START[:12])]
    data = write(folder / "a.csv", ["SMILES", *NAMES], rows)
    work.init(folder / "camp", data, model=OWN, outcomes=OUTCOMES, **FAST)
    work.ask(work.open_campaign(folder / "camp", model=OWN), folder / "camp", 3, out=folder / "batch.csv")
    return folder


@pytest.fixture
def camp(template, tmp_path, monkeypatch):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRLSO_USER", "anna")
    return Path("camp")


def change(camp, name, *arguments, **options):
    with work.recording(camp, model=OWN) as opt:
        return getattr(work, name)(opt, *arguments, **options)


def record(camp, row):
    return view_campaign(camp).history.records[row]


def cells(camp, row, **options):
    """Return a row of the exported table."""
    return list(csv.DictReader(StringIO(work.export(camp, **options))))[row]


def point(camp, row):
    return json.loads(work.export(camp, as_json=True))["points"][row]


# ---------------------------------------------------------------- one rule for what is told


@pytest.mark.parametrize("word", ["n.d.", "nan", "ND", "not measured"])
def test_a_correction_changes_only_the_outcome_that_it_names(camp, word):
    before = record(camp, 5).readings
    lines = change(camp, "update", "5", f"logD={word}")
    assert lines[0].endswith(f": logD = {before['logD'][0].value:g} is now not measured")
    now = record(camp, 5)
    assert now.status == "observed"
    assert now.readings == {name: told for name, told in before.items() if name != "logD"}
    assert now.revisions == [before]
    opt = work.open_campaign(camp, model=OWN)
    assert opt.history_.records[5].readings == now.readings
    assert opt.history_.observations("logD", opt.history_.observed_rows[5:6]).n[0] == 0
    assert change(camp, "update", "5", "logD=2")[0].endswith("logD = not measured is now 2")


def test_failed_is_said_of_the_whole_experiment_and_can_be_taken_back(camp):
    before = record(camp, 5).readings
    with pytest.raises(ParameterError, match="'failed' is said of a whole experiment, got 'logD=failed'"):
        change(camp, "update", "5", "logD=failed")
    assert record(camp, 5).readings == before
    lines = change(camp, "update", "5", "failed", campaign=camp)
    values = [f"{name}={told[0].value:g}" for name, told in before.items()]
    command = f"wrlso update camp 5 {' '.join(values)}"
    assert lines[-2].endswith(command)
    assert (record(camp, 5).status, record(camp, 5).readings) == ("failed", {})
    change(camp, "update", "5", values)
    assert record(camp, 5).readings == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["failed", "logD=2"], "the new value must be 'failed', or NAME=VALUE"),
        (["logD=2", "logD=3"], "each outcome must be named once, got 'logD' twice"),
        (["nan"], "the new value must be 'failed', or NAME=VALUE"),
        (["logD="], "the new value is blank; give a number, 'n.d.'"),
        (["logD=2", "pIC50=failed"], "'failed' is said of a whole experiment, got 'pIC50=failed'"),
    ],
)
def test_corrections_that_say_two_things_are_refused(camp, values, message):
    before = [(r.readings, r.status) for r in view_campaign(camp).history]
    for call in (
        lambda: change(camp, "update", "5", values),
        lambda: work.commands.check_value(camp, values),
    ):
        with pytest.raises(ParameterError, match=message):
            call()
    assert [(r.readings, r.status) for r in view_campaign(camp).history] == before


def test_one_number_is_not_measured_or_failed():
    form = work.Form(decimal=".")
    for aims in (aims_of(None), aims_of(OUTCOMES[:1])):
        name = aims.names[0]
        assert read_correction("n.d.", form, form, aims) == {name: None}
        assert read_correction("NaN", form, form, aims) == {name: None}
        assert read_correction("failed", form, form, aims) is None
    assert read_correction("> 4", form, form, aims_of(None)) == {"": above(4.0)}
    assert read_correction("pIC50=failed", form, form, aims_of(OUTCOMES[:1])) is None
    with pytest.raises(ParameterError, match="values have no names here"):
        read_correction(["1", "2"], form, form, aims_of(None))
    for aims in (aims_of(None), aims_of(OUTCOMES)):
        with pytest.raises(ParameterError, match="at least one value, got none"):
            read_correction([], form, form, aims)


def test_a_cell_that_fails_beside_one_with_a_value_is_refused(camp):
    with pytest.raises(DataError) as caught:
        tell(camp, [[12, "7.1", "failed", ""]])
    assert (
        "'logD': 'failed' is said of a whole experiment, but 'pIC50' has a value" in caught.value.__notes__[0]
    )
    assert record(camp, 12).status == "pending"
    data = write(
        Path("b.csv"), ["SMILES", *NAMES], [[START[0], "1", "failed", ""], [START[1], "1", "2", "3"]]
    )
    with pytest.raises(DataError, match="1 row of 2 cannot be used"):
        work.init(Path("other"), data, model=OWN, outcomes=OUTCOMES, **FAST)


CELLS = st.sampled_from(["", "nan", "n.d.", "failed", "1", "2", ">3"])
STEP = st.tuples(st.sampled_from(["tell", "update"]), st.sampled_from([12, 13, 3]), st.tuples(*[CELLS] * 3))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=6))
@example(steps=[("update", 3, ("", "", ""))])
def test_nothing_that_was_told_is_ever_lost(camp, steps):
    """Each reading of a point before a change is among its readings or its revisions after it."""
    for kind, row, told in steps:
        before = record(camp, row)
        try:
            if kind == "tell":
                tell(camp, [[row, *told]])
            else:
                change(camp, "update", str(row), [f"{n}={c}" for n, c in zip(NAMES, told, strict=True) if c])
        except (DataError, ParameterError, UnknownPointError):
            after = record(camp, row)
            assert (after.readings, after.status) == (before.readings, before.status)
            continue
        after = record(camp, row)
        for name, readings in before.readings.items():
            kept = after.readings.get(name, [])[: len(readings)] == readings
            assert kept or (after.revisions and after.revisions[-1].get(name) == readings)
            if kind == "update" and not told[NAMES.index(name)]:
                assert kept


# ---------------------------------------------------------------- rows are completed


def test_points_told_in_part_are_awaited_until_they_are_complete(camp):
    lines = tell(camp, [[12, "7.1", "", ""], [13, "", "n.d.", ""]])
    assert lines[0] == "told.csv: 1 new value, 1 of which something is not measured"
    assert (
        lines[1] == "1 point told in part; to write a table to complete: wrlso ask camp --pending --out FILE"
    )
    text = "\n".join(work.status(camp))
    assert "told in part (id, to come, x):\n  12  logD, solubility  " in text
    change(camp, "ask", camp, pending=True, out=Path("again.csv"))
    with open("again.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["id"], *(r[name] for name in NAMES)) for r in rows] == [
        ("12", "7.1", "", ""), ("13", "", "n.d.", ""), ("14", "", "", ""),
    ]  # fmt: skip
    assert pending_text(camp, ".csv") == Path("again.csv").read_text(encoding="utf-8")
    rows[0]["logD"], rows[1]["pIC50"], rows[1]["solubility"] = "2", "6", "40"
    write("again.csv", list(rows[0]), [list(row.values()) for row in rows])
    assert "again.csv: 2 new values, 1 not measured yet" in change(camp, "tell", camp, Path("again.csv"))
    history = view_campaign(camp).history
    assert history.awaited_rows(NAMES).tolist() == [12, 14]
    assert history.records[12].lacks(NAMES) == ["solubility"]
    assert history.records[12].readings == {"pIC50": [Reading(7.1)], "logD": [Reading(2.0)]}
    tell(camp, [[12, "", "", "n.d."]])
    assert view_campaign(camp).history.awaited_rows(NAMES).tolist() == [14]
    assert work.open_campaign(camp, model=OWN).history_.awaited_rows(NAMES).tolist() == [14]
    assert record(camp, 12).readings == history.records[12].readings
    change(camp, "update", "12", "logD=n.d.")
    assert work.history(camp, "12")[-1].endswith("correction  logD = 2 is now logD not measured")
    change(camp, "update", "12", "logD=3")
    assert work.history(camp, "12")[-1].endswith("correction  not measured is now logD = 3")


def test_a_release_ends_the_waiting_for_what_is_missing(camp):
    tell(camp, [[12, "7.1", "", ""]])
    before = record(camp, 12).readings
    assert change(camp, "release", ["12"]) == ["1 point told in part, of which nothing more is awaited"]
    assert record(camp, 12).readings == before
    assert view_campaign(camp).history.awaited_rows(NAMES).tolist() == [13, 14]
    with pytest.raises(UnknownPointError, match="id 12 is observed and not pending"):
        change(camp, "release", ["12"])
    assert "1 new value" in tell(camp, [[12, "7.1", "2", ""]])[0]


def test_a_value_beside_n_d_in_another_file_stays(camp):
    tell(camp, [[12, "7.1", "", "30"]])
    lines = tell(camp, [[12, "n.d.", "2", ""]])
    assert (
        "id 12: pIC50 is n.d. here; pIC50 = 7.1 stays (to correct it: wrlso update camp 12 pIC50=n.d.)"
        in lines
    )
    assert record(camp, 12).readings["pIC50"] == [Reading(7.1)]
    lines = tell(camp, [[13, "n.d.", "n.d.", "n.d."]])
    assert "id 13: nothing of it was measured, and it is still pending" in lines[0]
    assert record(camp, 13).status == "pending"
    tell(camp, [[13, "4", "", ""]])
    assert record(camp, 13).readings == {"pIC50": [Reading(4.0)]}
    assert "0 new values" in tell(camp, [[13, "n.d.", "n.d.", "n.d."]])[0]


# ---------------------------------------------------------------- what tables say


def test_exports_say_relations_failures_and_what_was_not_measured(camp):
    tell(camp, [[12, ">4", "", "n.d."], [13, "failed", "", ""]])
    change(camp, "update", "3", "failed")
    change(camp, "update", "3", ["pIC50=5", "logD=<1"])
    assert [cells(camp, 12)[name] for name in NAMES] == [">4", "", "n.d."]
    assert [cells(camp, 13)[name] for name in NAMES] == ["failed", "", ""]
    assert cells(camp, 3)["corrected_from"].endswith(" | failed")
    whole = json.loads(work.export(camp, as_json=True))
    assert whole["points"][12]["result"] == {"pIC50": ">4", "logD": "", "solubility": "not measured"}
    assert whole["points"][12]["awaited"] == ["logD"]
    assert set(whole["points"][13]["result"].values()) == {"failed"}
    assert whole["points"][3]["corrected_from"][1] == "failed"
    told = [
        (e["id"], e["said"], e.get("was", "")) for e in whole["events"] if e["kind"] in ("tell", "update")
    ]
    assert told[0] == (12, "pIC50 = >4, solubility not measured", "")
    assert told[1] == (13, "failed", "")
    assert told[2][1] == "failed"
    assert told[3] == (3, "pIC50 = 5, logD = <1", "failed")
    relation = {"value": 4.0, "relation": ">", "sd": None, "n": 1}
    assert [e["readings"] for e in whole["events"] if e["id"] == 12 and "readings" in e] == [
        {"pIC50": [relation]}
    ]
    assert "id 3  correction  failed is now pIC50 = 5, logD = <1" in "\n".join(work.history(camp, "3"))


def test_an_exported_table_begins_a_campaign_with_the_same_data(camp):
    tell(camp, [[12, ">4", "", "n.d."], [13, "failed", "", ""]])
    change(camp, "update", "4", "logD=n.d.", reason="solubility")
    change(camp, "note", "5", "IC50")
    work.export(camp, out=Path("all.csv"))
    work.init(Path("next"), Path("all.csv"), model=OWN, outcomes=OUTCOMES, **FAST)
    first, second = view_campaign(camp).history, view_campaign(Path("next")).history
    assert [r.x for r in second] == [r.x for r in first]
    assert [r.readings for r in second] == [r.readings for r in first]
    assert [r.status == "failed" for r in second] == [r.status == "failed" for r in first]
    for row in range(13):
        assert [cells(Path("next"), row)[n] for n in NAMES] == [cells(camp, row)[n] for n in NAMES]


def test_notes_and_reasons_are_events_that_every_form_shows(camp):
    change(camp, "note", "12", "ordered")
    monkey = {"reason": "cannot be made"}
    change(camp, "note", "12", "=due on Friday")
    change(camp, "release", ["13"], **monkey)
    change(camp, "update", "3", "logD=1", reason="typing error")
    with pytest.raises(DataError, match="text must say something, got ' '"):
        change(camp, "note", "12", " ")
    assert [e[:4] for e in events(camp)[-4:]] == [
        (e.time, kind, row, None)
        for e, kind, row in zip(
            events(camp)[-4:], ["note", "note", "release", "update"], [12, 12, 13, 3], strict=True
        )
    ]
    assert [(e.by, e.text) for e in events(camp)[-4:]] == [
        ("anna", "ordered"), ("anna", "=due on Friday"), ("anna", "cannot be made"), ("anna", "typing error"),
    ]  # fmt: skip
    assert [(n["by"], n["text"]) for n in point(camp, 12)["notes"]] == [
        ("anna", "ordered"), ("anna", "=due on Friday"),
    ]  # fmt: skip
    notes = cells(camp, 12)["notes"].split(" | ")
    assert [note.partition(": ")[2] for note in notes] == ["ordered", "=due on Friday"]
    assert (cells(camp, 13)["status"], cells(camp, 13)["reason"]) == ("rejected", "cannot be made")
    assert (point(camp, 13)["status"], point(camp, 13)["reason"]) == ("rejected", "cannot be made")
    lines = work.history(camp)
    assert lines[-3].endswith("anna  id 12  note  =due on Friday")
    assert lines[-2].endswith("anna  id 13  rejected  (cannot be made)")
    assert lines[-1].endswith("(typing error)")
    assert len(work.history(camp, "13")) == 2
    assert "1 rejected" in "\n".join(work.status(camp))


def test_a_note_of_a_former_version_is_still_shown(camp):
    opt = work.open_campaign(camp, model=OWN)
    opt.notes_["point 12"] = "from before"
    opt.note(opt.history_.records[12].x, "from now")
    assert [(n["time"] == "", n["text"]) for n in point(camp, 12)["notes"]] == [
        (True, "from before"), (False, "from now"),
    ]  # fmt: skip
    assert work.history(camp, "12")[0] == "note of a former version: from before"


def test_rejections_and_releases_do_not_contradict(camp):
    with pytest.raises(ParameterError, match="a point with a reason is rejected and not asked again"):
        change(camp, "release", ["13"], reason="toxic", again=True)
    with pytest.raises(ParameterError, match="the reason is blank"):
        change(camp, "release", ["13"], reason=" ")
    with pytest.raises(
        ParameterError, match=r"--all releases every pending point, but points are named, too \(13\)"
    ):
        change(camp, "release", ["13"], every=True)
    assert change(camp, "release", ["13"], reason="toxic") == ["1 point rejected, and not asked again"]
    with pytest.raises(UnknownPointError, match="id 13 is rejected and not pending"):
        change(camp, "release", ["13"], reason="toxic")
    assert change(camp, "release", ["13"], again=True) == ["1 point no longer rejected"]
    assert record(camp, 13).status == "released"
    assert change(camp, "release", [], every=True) == ["2 points released"]
    assert change(camp, "release", [], every=True) == ["no point is pending"]


def test_the_report_shows_notes_and_reasons_with_their_authors(camp):
    pytest.importorskip("matplotlib")
    opt = work.open_campaign(camp, model=OWN)
    opt.notes_["point 11"] = "from <before>"
    change(camp, "note", "12", "ordered")
    change(camp, "release", ["13"], reason="cannot be made")
    work.report(work.open_campaign(camp, model=OWN, autosave=False), Path("report.html"))
    page = Path("report.html").read_text(encoding="utf-8")
    for text in ("Notes and reasons", "ordered", "cannot be made", "rejected", "anna", "from &lt;before&gt;"):
        assert text in page
