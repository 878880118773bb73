"""Takes the pictures in dashboard/screenshots: `python -m tests.dashboard.screenshots`.

They show the bad half hour of the shop that the tests look at, in light and dark, on a desk and on a phone.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect, sync_playwright

from tests.dashboard.conftest import CHROMIUM_ARGS, chromium, collector, send
from tests.dashboard.opened import Opened, pointed_at
from tests.dashboard.shop import bad_half_hour

FOLDER: Final = Path(__file__).parents[2] / "dashboard/screenshots"
WIDTHS: Final = {"desk": 1440, "phone": 390}


def main() -> int:
    """Take them all; 0 where it worked."""
    path = chromium()
    if path is None:
        sys.stderr.write("No Chromium on PATH: `apt-get install chromium`.\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        with collector(Path(folder) / "data") as server:
            incidents = bad_half_hour(time.time_ns())
            send(server.url, [trace for incident in incidents for trace in incident.traces])
            trace = f"traces/{incidents[-1].recommend.id.hex()}"
            for theme in ("light", "dark"):
                for size, width in WIDTHS.items():
                    opened = Opened(browser, width=width, theme=theme, quiet=True)
                    for view, address in (
                        ("overview", ""),
                        ("finding", "findings?kind=contention"),
                        ("trace", trace),
                    ):
                        page = opened.go(server.url, address)
                        _settle(page, view, size)
                        page.screenshot(path=FOLDER / f"{view}-{size}-{theme}.png")
                    opened.check()
                    opened.close()
        browser.close()
    return 0


def _settle(page: Page, view: str, size: str) -> None:
    """Bring a view to what the picture is to show."""
    if view == "finding":
        page.locator("tbody a").first.click()
        expect(page.locator("article.finding .chart canvas")).to_be_visible()
    if view == "trace":
        expect(page.locator("canvas.lanes-canvas")).to_be_visible()
        if size == "desk":
            page.mouse.click(*pointed_at(page, "recently_viewed"))
            expect(page.get_by_role("complementary")).to_be_visible()
            page.mouse.move(5, 5)
        page.evaluate("scrollTo(0, 0)")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


if __name__ == "__main__":
    sys.exit(main())
