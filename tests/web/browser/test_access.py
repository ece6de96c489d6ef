"""axe-core (4.14.1, MPL-2.0, in ``axe/``) finds nothing serious on any page, in light and in dark."""

from pathlib import Path

import pytest

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
PAGES = ["/", "/batch", "/results", "/explore", "/explore?q=nothing+is+like+this", "/point/0", "/point/30",
         "/model", "/map", "/history", "/settings", "/point/999"]  # fmt: skip


def violations(page):
    """Return what axe calls serious or critical on a page, in light and in dark."""
    page.evaluate(AXE)
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for problem in page.evaluate("axe.run()")["violations"]:
            if problem["impact"] in ("serious", "critical"):
                nodes = [node["html"][:200] for node in problem["nodes"]]
                found.append((page.url, scheme, problem["id"], problem["help"], nodes[:3]))
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", ["camp", "two"])
def test_nothing_serious_on_any_page(page, serve, request, which):
    server = serve(request.getfixturevalue(which))
    found = []
    for address in PAGES:
        page.goto(f"{server.address}{address}")
        page.locator("[aria-busy]").wait_for(state="detached")  # what is loaded late
        for summary in page.locator("summary").all():
            summary.click()
        found += violations(page)
    page.goto(f"{server.address}/results")
    for text in ("about 3", "3"):
        name = "y" if which == "camp" else "pIC50"
        field = page.get_by_label(f"{name} of point 30").or_(page.get_by_label(f"{name} in row 2"))
        field.fill(text)
        page.get_by_role("button", name="Check").first.click()
        page.wait_for_url("**/results/check")
        found += violations(page)
    page.get_by_role("button", name="Record these results").click()
    page.wait_for_url("**/results/tell")
    found += violations(page)
    assert not found


def test_everything_is_reached_without_a_mouse(page, serve, camp):
    """The first key leads over the menu; each control that is seen has the focus once, in order."""
    server = serve(camp, "--read-only")
    page.goto(f"{server.address}/explore")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("NNN")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=NNN**")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
