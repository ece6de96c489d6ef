"""The server is killed while it asks, tells and trains: nothing told is lost, and the campaign goes on."""

from playwright.sync_api import expect

from wrlso import campaign
from wrlso.storage.info import view_campaign

from .conftest import OWN


def history_of(camp):
    return view_campaign(camp).history


def test_nothing_is_lost_when_the_server_is_killed(page, serve, camp):
    with campaign.recording(camp, model=OWN) as opt:
        opt.trainer.retrain_epochs = 3000  # long enough to be killed in the middle
        campaign.tell(opt, camp, table(camp))
    server = serve(camp)

    page.goto(f"{server.address}/batch")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".bar.running")).to_be_visible()
    server.kill(workers=False)  # the process that asks lives on
    server.start()
    pending = len(history_of(camp).rows_with("pending"))
    assert pending in (2, 2 + 8)  # nothing or the whole batch
    assert history_of(camp).records[30].values == [1.5]

    page.goto(f"{server.address}/results")
    page.get_by_label("y of point 31").fill("2.5")
    page.get_by_label("y of point 32").fill("failed")
    page.get_by_role("button", name="Check").first.click()
    page.get_by_role("button", name="Record these results").click(no_wait_after=True)
    server.kill(workers=True)
    server.start()
    states = {history_of(camp).records[row].status for row in (31, 32)}
    assert states in ({"pending"}, {"observed", "failed"})  # none or both

    page.goto(f"{server.address}/model")
    page.get_by_role("button", name="Train now").click()
    expect(page.locator(".bar.running")).to_be_visible()
    server.kill(workers=True)
    server.start()
    page.goto(f"{server.address}/history")
    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    page.goto(f"{server.address}/point/30")
    page.get_by_label("Correct value").fill("3.5")
    page.get_by_label("Why").fill("typing error")
    page.get_by_role("button", name="Correct").click()
    expect(page.locator("#main")).to_contain_text("1.5 is now 3.5")
    assert history_of(camp).records[30].values == [3.5]


def table(camp):
    path = camp.parent / "results.csv"
    path.write_text("id,y\n30,1.5\n", encoding="utf-8")
    return path
