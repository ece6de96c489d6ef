"""A whole cycle on the page, with mistakes; what it does is what the shell sees."""

import json
import re
import time

import pytest
from starlette.testclient import TestClient

from wrlso.storage.info import view_campaign
from wrlso.web import make_app
from wrlso.web.room import Room

from .conftest import BASE, OWN
from .forms import draft, post, record

SCRIPT = "<img src=x onerror=alert(1)>"


def wait(client, word):
    for _ in range(600):
        text = client.get("/batch").text
        if f'class="bar {word}"' in text:
            return text
        time.sleep(0.1)
    raise AssertionError(text)


def test_results_are_checked_at_their_rows_and_then_told(client, camp):
    bad = post(client, "/results/check", **{"v30-0": "1.5", "v31-0": "about 2"})
    assert bad.status_code == 422
    assert "about 2" in bad.text
    assert 'class="bad"' in bad.text
    assert record(camp, 30).status == "pending"
    good = post(client, "/results/check", file=("../../x.csv", b"id,y\n30,1.5\n31,failed\n32,\n"))
    assert "1 new value" in good.text
    assert record(camp, 30).status == "pending"
    told = post(client, "/results/tell", draft=draft(good.text))
    assert told.status_code == 200
    assert record(camp, 30).values == [1.5]
    assert [record(camp, row).status for row in (31, 32)] == ["failed", "pending"]
    assert post(client, "/results/tell", draft=draft(good.text)).status_code == 400  # told once


def test_corrections_notes_and_rejections_keep_their_reasons_and_run_nothing(client, camp):
    assert post(client, "/update", id="0", value="9", reason="").status_code == 400
    assert post(client, "/update", id="0", value="9", reason=SCRIPT).status_code == 200
    assert post(client, "/note", id="0", text=SCRIPT).status_code == 200
    assert post(client, "/batch/reject", id="30", reason=SCRIPT).status_code == 200
    assert record(camp, 0).values == [9.0]
    assert record(camp, 0).revisions
    assert (record(camp, 30).status, record(camp, 30).reason) == ("rejected", SCRIPT)
    pages = [client.get(page).text for page in ("/", "/explore", "/history", "/point/0", "/point/30")]
    assert not any(SCRIPT in page for page in pages)
    assert all("&lt;img" in page for page in pages[2:])


def test_changes_have_names_and_the_model_is_looked_at(client, camp):
    post(client, "/name", name="Ann <b>")
    post(client, "/update", id="0", value="9", reason="typing error")
    newest = client.get("/history").text.partition("<tbody>")[2].partition("</tr>")[0]
    assert "<td>Ann &lt;b&gt;</td><td>correction</td>" in newest
    assert ", by Ann &lt;b&gt;</li>" in client.get("/point/0").text
    points = client.get("/map/points").text
    linked = {int(row) for row in re.findall(r'<a href="/point/(\d+)"', points)}
    assert linked == set(range(33))  # all measured points, and the batch that is out
    assert points.count('fill="none"') == 3  # its rings
    quality = client.get("/model/quality").text
    assert quality.count("data:image/png") >= 3
    assert "Cross-validation" in quality
    assert "Effective sample size" in quality


def test_mended_cells_are_checked_again(client, camp):
    bad = post(client, "/results/check", pasted="id,y\n30,~1\n31,2\n99,3\n")
    fields = re.findall(r'<input name="(c[^"]+)" value="([^"]*)"', bad.text)
    assert dict(fields) == {"c2-0": "30", "c2-1": "~1", "c4-0": "99", "c4-1": "3"}
    assert bad.text.count('aria-invalid="true"') == 2
    cells = {"c2-1": "1.5", "c4-0": "32", "c4-1": "'=HYPERLINK(1)"}
    still = post(client, "/results/check", draft=draft(bad.text), **cells)
    assert still.status_code == 422
    assert "HYPERLINK" in still.text
    good = post(client, "/results/check", draft=draft(still.text), **{"c4-1": "failed"})
    assert "2 new values, 1 failed" in good.text


def test_a_batch_is_asked_and_another_one_cancelled(client, camp):
    before = view_campaign(camp).history
    assert post(client, "/model/retrain").status_code == 200
    assert post(client, "/batch/ask", n="2").status_code == 409  # one long work at a time
    post(client, "/cancel")
    assert "as it was" in wait(client, "cancelled")
    assert len(view_campaign(camp).history.events) == len(before.events)
    post(client, "/batch/ask", n="2")
    wait(client, "done")
    assert len(view_campaign(camp).history.rows_with("pending")) == 5


def test_formulas_are_quoted_in_downloads(client, camp):
    """Letters of this model are - and = too: such an x must not run in a spreadsheet."""
    for name in ("all.csv", "batch.csv"):
        cells = [
            cell for line in client.get(f"/download/{name}").text.splitlines()[1:] for cell in line.split(",")
        ]
        assert cells
        assert not any(re.match(r"[=+@]|-[^0-9]", cell) for cell in cells)
    assert json.loads(client.get("/download/all.json").text)["points"][30]["status"] == "pending"


def test_the_version_differs_after_each_change(camp):
    from wrlso import campaign

    room = Room(camp)
    before, seen = room.version(), room.view()
    with campaign.recording(camp, model=OWN) as opt:
        campaign.release(opt, ["30"])
    assert room.version() != before
    assert seen.history.records[30].status == "pending"
    assert room.view().history.records[30].status == "released"


def test_a_rejected_point_is_not_asked_again_and_a_released_one_may_be(camp):
    from wrlso import campaign
    from wrlso._state.screen import screen_of

    opt = campaign.open_campaign(camp, model=OWN)
    first, second = (opt.history_.records[row].x for row in (30, 31))
    opt.release(first, reason="cannot be made").release(second)
    again = campaign.open_campaign(camp, model=OWN)
    screen = screen_of(again.model_, again.history_, None)
    assert (screen(first), screen(second)) == ("rejected", None)


def test_cards_of_molecules_show_what_predictions_lean_on(tmp_path, monkeypatch):
    pytest.importorskip("rdkit")
    from wrlso import campaign
    from wrlso.datasets import load_molecules

    molecules, camp, data = load_molecules(), tmp_path / "camp", tmp_path / "assay.csv"
    pairs = zip(molecules.smiles[:12], molecules.logp[:12], strict=True)
    data.write_text("\n".join(["smiles,y", *(f"{x},{y}" for x, y in pairs)]) + "\n", encoding="utf-8")
    stock = tmp_path / "stock.smi"
    stock.write_text("\n".join(molecules.smiles[12:16]) + "\n", encoding="utf-8")
    campaign.init(camp, data, model="selfies", catalogue=stock, random_state=0)
    campaign.ask(campaign.open_campaign(camp), camp, 2)
    pending = [int(row) for row in view_campaign(camp).history.rows_with("pending")]
    with TestClient(make_app(camp), base_url=BASE) as client:
        page = client.get("/batch").text
        assert all(f'<div id="leaning-{row}"></div>' in page for row in pending)
        assert "sequences (FASTA)" not in page
        part = client.get("/batch/leaning").text
    assert [
        int(row) for row in re.findall(r'<div id="leaning-(\d+)" hx-swap-oob="true"><img', part)
    ] == pending
    assert part.count("data:image/svg+xml") == 2
    assert "Blue atoms raise it" in part
