"""A table that contradicts what is recorded: each cell is settled by a choice, and nothing is told before."""

import shutil

import pytest
from test_campaign import FAST, OWN, START, score, write

from wrlso import DataError
from wrlso import campaign as work
from wrlso.campaign.reasons import expectations
from wrlso.outcomes import AtLeast, AtMost, Maximize, aims_of
from wrlso.storage.info import view_campaign

NAMES = ("pIC50", "logD")
OUTCOMES = [Maximize("pIC50"), AtMost("logD", 3.0)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Twelve strings with both outcomes, the last of which has failed, and two that were asked for."""
    folder = tmp_path_factory.mktemp("contradictions")
    rows = [[x, score(x), len(set(x))] for x in START[:12]]
    rows[11][1:] = ["failed", ""]
    data = write(folder / "a.csv", ["SMILES", *NAMES], rows)
    work.init(folder / "camp", data, model=OWN, outcomes=OUTCOMES, **FAST)
    work.ask(work.open_campaign(folder / "camp", model=OWN), folder / "camp", 2)
    return folder / "camp"


@pytest.fixture
def camp(template, tmp_path):
    return shutil.copytree(template, tmp_path / "camp")


def tell(camp, cells, **options):
    path = write(camp.parent / "results.csv", ["id", *NAMES], cells)
    with work.recording(camp, model=OWN) as opt:
        return work.tell(opt, camp, path, **options)


def readings(camp, row):
    found = view_campaign(camp).history.records[row].readings
    return {name: [reading.value for reading in told] for name, told in found.items()}


def test_all_contradictions_are_named_with_what_is_recorded(camp):
    before = readings(camp, 0), readings(camp, 1)
    with pytest.raises(DataError) as refused:
        tell(camp, [[0, "99", "88"], [1, "", "77"], [11, "5", ""]])
    known = view_campaign(camp).history.records
    assert refused.value.recorded == {
        2: {name: f"{name} = {known[0].readings[name][0].value:g}" for name in NAMES},
        3: {"logD": f"logD = {known[1].readings['logD'][0].value:g}"},
        4: {"pIC50": "failed"},
    }
    assert refused.value.cells == {2: list(NAMES), 3: ["logD"], 4: ["pIC50"]}
    assert (readings(camp, 0), readings(camp, 1)) == before


def test_one_choice_settles_one_cell(camp):
    before = readings(camp, 0)
    with pytest.raises(DataError) as refused:
        tell(camp, [[0, "99", "88"]], choices={(2, "pIC50"): "keep"})
    assert list(refused.value.recorded[2]) == ["logD"]
    choices = {(2, "pIC50"): "keep", (2, "logD"): "repeat"}
    tell(camp, [[0, "99", "88"], [12, "1", ""]], choices=choices)
    assert readings(camp, 0) == before | {"logD": [*before["logD"], 88.0]}
    assert readings(camp, 12) == {"pIC50": [1.0]}  # the rest of the table is told as ever


def test_a_correction_by_a_table_equals_one_by_update(camp):
    other = shutil.copytree(camp, camp.parent / "other")
    with pytest.raises(DataError, match="1 row"):
        tell(camp, [[0, "99", ""]], choices={(2, "pIC50"): "correct"})  # says no reason
    lines = tell(camp, [[0, "99", ""]], choices={(2, "pIC50"): "correct"}, reason="misread")
    assert any("1 corrected" in line for line in lines)
    with work.recording(other, model=OWN) as opt:
        work.update(opt, "0", "pIC50=99", reason="misread")
    last, same = (view_campaign(c).history.events[-1] for c in (camp, other))
    assert (last.kind, last.row, last.value, last.data) == (same.kind, same.row, same.value, same.data)


def test_a_failure_and_a_value_contradict_each_other(camp):
    before = readings(camp, 0)
    with pytest.raises(DataError) as refused:
        tell(camp, [[0, "failed", ""]])
    assert list(refused.value.recorded[2]) == ["pIC50"]
    tell(camp, [[0, "failed", ""]], choices={(2, "pIC50"): "keep"})
    assert readings(camp, 0) == before
    tell(camp, [[0, "failed", ""]], choices={(2, "pIC50"): "correct"}, reason="dissolved")
    assert view_campaign(camp).history.records[0].status == "failed"


def test_what_was_expected_is_kept_with_each_ask(camp):
    opt = work.open_campaign(camp, model=OWN, autosave=False)
    for row in (12, 13):
        viewed, loaded = view_campaign(camp).history.records[row], opt.history_.records[row]
        assert viewed.expected == loaded.expected
        assert set(viewed.expected) == set(NAMES)
        assert viewed.expected["pIC50"] == pytest.approx(viewed.prediction)
        assert all(deviation > 0 for _, deviation in viewed.expected.values())


def test_chances_of_opposite_limits_add_up(camp):
    record = view_campaign(camp).history.records[12]
    middle = record.expected["logD"][0]
    for limit in (middle - 1, middle, middle + 0.5):
        below, above = (
            expectations(record, aims_of([Maximize("pIC50"), side("logD", limit)]))[1]
            for side in (AtMost, AtLeast)
        )
        assert below.chances[0][1] + above.chances[0][1] == pytest.approx(1.0)
        assert (below.chances[0][1] > 0.5) == (limit > middle)
        assert below.low < below.mean < below.high
