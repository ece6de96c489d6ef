"""From ``wrlso init`` to the third batch: results typed, pasted and uploaded, each with a mistake."""

import pytest
from playwright.sync_api import expect
from string_models import strings

from wrlso import campaign
from wrlso.storage.info import view_campaign

from .conftest import OWN


@pytest.fixture
def fresh(tmp_path):
    """A campaign without a batch, as init leaves it."""
    data = tmp_path / "start.csv"
    rows = [f"{x},{i % 7}.5" for i, x in enumerate(strings()[:30])]
    data.write_text("\n".join(["x,y", *rows]) + "\n", encoding="utf-8")
    campaign.init(tmp_path / "camp", data, model=OWN, training={"initial_epochs": 1}, random_state=0)
    return tmp_path / "camp"


def ask(page, server, n):
    page.goto(f"{server.address}/batch")
    before = page.locator(".card").count()
    page.get_by_label("How many").fill(str(n))
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".card")).to_have_count(before + n, timeout=60_000)  # without a reload
    expect(page.locator(".bar.done")).to_contain_text(f"{n} point")


def record_of(page, words):
    page.get_by_role("button", name="Record these results").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The results are recorded")
    expect(page.locator("#main")).to_contain_text(words)


def statuses(camp, *rows):
    records = view_campaign(camp).history.records
    return [records[row].status for row in rows]


def test_three_batches_with_typed_pasted_and_uploaded_results(page, serve, fresh, tmp_path):
    server = serve(fresh)
    page.goto(server.address)
    expect(page.get_by_text("Nothing is waited for.")).to_be_visible()

    ask(page, server, 2)
    page.get_by_role("link", name="Results").first.click()
    page.get_by_label("y of point 30").fill("1,5")  # of a campaign of decimal points
    page.get_by_label("y of point 31").fill("failed")
    page.get_by_role("button", name="Check").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("These results cannot be recorded yet")
    expect(page.locator("tbody.bad")).to_contain_text("1,5")
    assert statuses(fresh, 30, 31) == ["pending", "pending"]
    page.get_by_label("y in row 2").fill("1.5")  # at its place; the other cell is kept
    page.get_by_role("button", name="Check again").click()
    record_of(page, "1 new value, 1 failed")
    assert statuses(fresh, 30, 31) == ["observed", "failed"]

    ask(page, server, 2)
    page.goto(f"{server.address}/results")
    page.get_by_label("Cells of a spreadsheet").fill("id\ty\n32\t2.5\n77\t3\n")
    page.get_by_role("button", name="Check").last.click()
    expect(page.locator("tbody.bad")).to_contain_text("77")
    page.get_by_label("id in row 3").fill("33")
    page.get_by_role("button", name="Check again").click()
    record_of(page, "2 new values")

    ask(page, server, 2)
    with page.expect_download() as taken:
        page.get_by_role("link", name="table (CSV)").click()
    lines = taken.value.path().read_text(encoding="utf-8").splitlines()
    filled = tmp_path / "filled.csv"
    for cells, problem in ((("~4", "2"), "about a value"), (("4", "2"), None)):
        text = [lines[0], *(line + cell for line, cell in zip(lines[1:], cells, strict=True))]
        filled.write_text("\n".join(text), encoding="utf-8")
        page.goto(f"{server.address}/results")
        page.get_by_label("Or a file").set_input_files(filled)
        page.get_by_role("button", name="Check").last.click()
        if problem:
            expect(page.locator("tbody.bad")).to_contain_text(problem)
    record_of(page, "2 new values")
    history = view_campaign(fresh).history
    assert [history.records[row].values for row in (30, 32, 33, 34, 35)] == [
        [1.5],
        [2.5],
        [3.0],
        [4.0],
        [2.0],
    ]
    assert len(history.rows_with("pending")) == 0


def test_tabs_and_the_shell_see_each_other(page, serve, camp):
    server = serve(camp)
    other = page.context.new_page()
    page.goto(f"{server.address}/batch")
    other.goto(f"{server.address}/point/30")
    expect(page.locator(".card")).to_have_count(3)
    other.get_by_label("Note").fill("is in the freezer")
    other.get_by_role("button", name="Add note").click()
    expect(page.locator(".card").first).to_contain_text("is in the freezer")
    other.goto(f"{server.address}/results")
    other.get_by_label("y of point 31").fill("2")
    with campaign.recording(camp, model=OWN) as opt:  # what the shell does
        campaign.tell(opt, camp, table(camp, "id,y\n30,1.5\n"))
    expect(page.locator(".card")).to_have_count(2)
    expect(other.get_by_text("The campaign has changed.")).to_be_visible()  # typing is not disturbed
    expect(other.get_by_label("y of point 31")).to_have_value("2")
    other.get_by_role("button", name="Check").first.click()
    other.get_by_role("button", name="Record these results").click()
    expect(page.locator(".card")).to_have_count(1)
    assert statuses(camp, 30, 31, 32) == ["observed", "observed", "pending"]


def table(camp, text):
    path = camp.parent / "results.csv"
    path.write_text(text, encoding="utf-8")
    return path
