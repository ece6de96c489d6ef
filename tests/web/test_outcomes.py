"""Several outcomes and a limit: rows are completed, and each outcome is expected in its own unit."""

import re
import shutil
from pathlib import Path

import pytest

from wrlso.campaign.outcome_columns import aims_of_campaign
from wrlso.campaign.reasons import expectations
from wrlso.storage.info import view_campaign

from .conftest import served
from .forms import draft, post, record


@pytest.fixture
def camp(two):
    return two


@pytest.fixture(scope="module")
def looking(two_template, tmp_path_factory):
    yield from served(Path(shutil.copytree(two_template, tmp_path_factory.mktemp("looking") / "camp")))


def test_cards_say_what_is_expected_of_each_outcome(looking, two_template):
    info, history = view_campaign(two_template)
    found = expectations(history.records[30], aims_of_campaign(info))
    assert [each.name for each in found] == ["pIC50", "tox"]
    assert all(each.low < each.mean < each.high for each in found)
    ((limit, chance),) = found[1].chances
    assert limit == "at most 6"
    assert 0 < chance < 1
    card = looking.get("/batch").text.partition('<li class="card">')[2].partition("</li>")[0]
    assert "Expected pIC50 (95 % interval)" in card
    assert f'{found[1].interval} uM</dd><dd class="text">Chance of at most 6 uM: ' in card


def test_bounds_and_failures_are_shown_as_they_are(looking):
    for page in ("/history", "/explore"):
        row = looking.get(page).text.partition('href="/point/4"')[2].partition("</tr>")[0]
        assert "&gt;4" in row
        assert not re.search(r"<td[^>]*>4\s*<", row)
    assert "<dd>&gt;4" in looking.get("/point/4").text
    assert "failed" in looking.get("/point/5").text
    assert looking.get("/point/5").text.count("<dd>failed") == 3  # the state, and both outcomes


def test_rows_are_completed_on_the_page(client, camp):
    first = post(client, "/results/check", **{"v30-0": "5.5", "v31-0": "failed"})
    post(client, "/results/tell", draft=draft(first.text))
    assert record(camp, 30).lacks(["pIC50", "tox"]) == ["tox"]
    text = client.get("/results").text
    row = text.partition('href="/point/30"')[2].partition("</tr>")[0]
    assert "<td>5.5</td>" in row
    assert re.findall(r'<input name="([^"]+)"', row) == ["v30-1"]
    assert 'href="/point/31"' not in text
    assert "measured in part" in client.get("/explore").text
    second = post(client, "/results/check", **{"v30-1": "<2"})
    post(client, "/results/tell", draft=draft(second.text))
    assert {name: told[0].bound for name, told in record(camp, 30).readings.items()} == {
        "pIC50": "", "tox": "below",
    }  # fmt: skip
    assert "v30-1" not in client.get("/results").text


def test_a_correction_changes_one_outcome(client, camp):
    before = record(camp, 0).readings["tox"]
    answer = post(client, "/update", id="0", outcome="pIC50", value="9", reason="misread")
    assert answer.status_code == 200
    assert record(camp, 0).readings["pIC50"][0].value == 9
    assert record(camp, 0).readings["tox"] == before


def test_who_makes_a_point_and_what_becomes_of_others(client, camp):
    post(client, "/name", name="Ann")
    post(client, "/batch/accept", id="30")
    post(client, "/note", id="30", text="from the freezer")
    assert post(client, "/batch/reject", id="31", reason="explosive", again="1").status_code == 400
    assert post(client, "/batch/reject", id="31").status_code == 400
    assert record(camp, 31).status == "pending"
    post(client, "/batch/reject", id="31", reason="explosive")
    post(client, "/batch/reject", id="32", again="1")
    card = client.get("/batch").text.partition('<li class="card">')[2].partition("</li>")[0]
    assert re.search(r"<dt>Will be made by</dt><dd>Ann <span", card)
    assert re.search(r"from the freezer <span class=\"soft\">\(Ann, ", card)
    rows = re.findall(r"<tr>.*?</tr>", client.get("/history").text)[1:5]
    said = [re.sub(r"<[^>]*>", "|", row) for row in rows]
    assert "released" in said[0]
    assert "rejected" in said[1]
    assert "explosive" in said[1]
    assert "from the freezer" in said[2]
    assert "will be made" in said[3]
    assert all("Ann" in line for line in said)
    assert 'href="/point/31"' in client.get("/explore?status=rejected").text
    assert 'href="/point/31"' not in client.get("/explore?status=released").text
    post(client, "/batch/reject", id="31", again="1")  # thought better of
    assert record(camp, 31).status == "released"
