"""A cycle with two outcomes, a limit and a failure: rows are completed, and a stale tab loses nothing."""

from playwright.sync_api import expect

from wrlso import campaign
from wrlso.storage.info import view_campaign

from .conftest import OWN


def record_of(camp, row):
    return view_campaign(camp).history.records[row]


def check_and_record(page, words):
    page.get_by_role("button", name="Check").first.click()
    page.get_by_role("button", name="Record these results").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The results are recorded")
    expect(page.locator("#main")).to_contain_text(words)


def test_a_cycle_of_two_outcomes(page, serve, two):
    server = serve(two)
    page.goto(f"{server.address}/batch")
    card = page.locator(".card").first
    expect(card).to_contain_text("Expected pIC50 (95 % interval)")
    expect(card).to_contain_text("Chance of at most 6 uM")
    card.get_by_role("button", name="Copy").click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    note = card.get_by_label("Note")
    card.locator("summary").click()
    note.focus()
    page.keyboard.press("Control+v")
    expect(note).to_have_value(record_of(two, 30).x)
    card.get_by_role("button", name="I will make point 30").click()
    page.goto(f"{server.address}/batch")
    expect(card).to_contain_text("Will be made by")

    stale = page.context.new_page()
    stale.goto(f"{server.address}/results")
    stale.get_by_label("pIC50 of point 30").fill("5.8")
    stale.get_by_label("tox (uM) of point 30").fill("3")
    stale.get_by_label("pIC50 of point 31").fill("6")

    page.goto(f"{server.address}/results")
    page.get_by_label("pIC50 of point 30").fill("5.5")
    page.get_by_label("pIC50 of point 31").fill("failed")
    check_and_record(page, "1 new value, 1 failed")
    assert record_of(two, 30).lacks(["pIC50", "tox"]) == ["tox"]
    page.goto(f"{server.address}/results")
    expect(page.get_by_label("pIC50 of point 30")).to_have_count(0)
    expect(page.get_by_label("tox (uM) of point 30")).to_be_visible()

    # the other tab: all three values come back, two of them beside what was recorded
    expect(stale.get_by_text("The campaign has changed.")).to_be_visible()
    stale.get_by_role("button", name="Check").first.click()
    expect(stale.get_by_text("recorded: pIC50 = 5.5")).to_be_visible()
    expect(stale.get_by_text("recorded: failed")).to_be_visible()
    stale.get_by_label("recorded: pIC50 = 5.5").select_option("correct")
    stale.get_by_label("recorded: failed").select_option("keep")
    stale.get_by_role("button", name="Check again").click()
    expect(stale.locator("tbody.bad")).to_contain_text("say below why it is corrected")
    stale.get_by_label("Why recorded values are corrected").fill("misread")
    stale.get_by_role("button", name="Check again").click()
    stale.get_by_role("button", name="Record these results").click()
    expect(stale.get_by_role("heading", level=1)).to_have_text("The results are recorded")
    record = record_of(two, 30)
    assert {name: told[0].value for name, told in record.readings.items()} == {"pIC50": 5.8, "tox": 3.0}
    assert record_of(two, 31).status == "failed"

    page.goto(f"{server.address}/batch")
    page.get_by_label("How many").fill("2")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".card")).to_have_count(3, timeout=60_000)
    page.goto(f"{server.address}/history")
    expect(page.locator("#main")).to_contain_text("pIC50 = 5.5 is now pIC50 = 5.8")
    expect(page.locator("#main")).to_contain_text("misread")
    page.goto(f"{server.address}/model")
    expect(page.get_by_role("heading", name="tox (uM)")).to_be_visible(timeout=60_000)


def test_a_file_that_is_too_large_is_refused_in_words(page, serve, two, tmp_path):
    server = serve(two)
    large = tmp_path / "large.csv"
    large.write_bytes(b"id,pIC50\n" + b"30,1.5\n" * 900_000)
    page.goto(f"{server.address}/results")
    place = page.get_by_label("Or a file")
    place.set_input_files(large)
    assert "larger than 5 MB" in place.evaluate("field => field.validationMessage")
    page.evaluate(
        "document.querySelector('[type=file]').setCustomValidity('')"
    )  # a browser that does not ask
    page.get_by_role("button", name="Check").last.click()
    expect(page.locator("main")).to_contain_text("at most 5 MB")
    page.get_by_role("link", name="Results").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Results")
    with campaign.recording(two, model=OWN) as opt:
        assert len(opt.pending_) == 3
