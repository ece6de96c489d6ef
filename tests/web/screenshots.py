"""Takes twenty pictures of the page of a campaign; a program, not a test.

``PYTHONPATH=.:tests python -m web.screenshots http://127.0.0.1:8765 FOLDER`` after ``wrlso serve CAMPAIGN``.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from web.browser.conftest import launch

LOOKS = {
    "phone": ({"viewport": {"width": 390, "height": 844}}, "screen", ["/", "/batch", "/results", "/explore"]),
    "tablet": (
        {"viewport": {"width": 820, "height": 1180}}, "screen",
        ["/", "/batch", "/results", "/map", "/point/0"],
    ),
    "desktop": (
        {"viewport": {"width": 1280, "height": 900}}, "screen",
        ["/", "/batch", "/results", "/explore", "/history"],
    ),
    "dark": (
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}, "screen",
        ["/", "/batch", "/model", "/settings"],
    ),
    "print": ({"viewport": {"width": 800, "height": 1130}}, "print", ["/", "/batch"]),
}  # fmt: skip


def main():
    address, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        for look, (options, media, pages) in LOOKS.items():
            context = browser.new_context(**options)
            context.set_default_timeout(120_000)
            page = context.new_page()
            page.emulate_media(media=media)
            for name in pages:
                page.goto(f"{address}{name}")
                page.locator("[aria-busy]").wait_for(state="detached")
                for picture in page.locator("img[loading=lazy]").all()[:30]:
                    picture.scroll_into_view_if_needed()
                page.evaluate("window.scrollTo(0, 0)")
                page.wait_for_timeout(500)
                called = name.strip("/").replace("/", "-") or "overview"
                page.screenshot(path=folder / f"{look}-{called}.png", full_page=look in ("tablet", "print"))
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
