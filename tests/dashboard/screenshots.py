"""Takes the pictures in dashboard/screenshots: `python -m tests.dashboard.screenshots`.

They show what the demo shop really sends, in light and dark, on a desk and on a phone.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Page, expect, sync_playwright

from tests.dashboard.conftest import CHROMIUM_ARGS, chromium, collector
from tests.dashboard.demo import RULES, fill, receivers
from tests.dashboard.opened import Opened
from tests.tools import ROOT

FOLDER: Final = ROOT / "dashboard/screenshots"
WIDTHS: Final = {"desk": 1440, "phone": 390}
LISTS: Final = ("overview", "contention", "middleware", "alerts")


def main() -> int:
    """Take them all; 0 where it worked."""
    path = chromium()
    if path is None:
        sys.stderr.write("No Chromium on PATH: `apt-get install chromium`.\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, receivers() as receiver, sync_playwright() as playwright:
        folder = Path(name)
        data, rules = fill(folder), folder / "rules.yaml"
        rules.write_text(RULES.format(url=receiver))
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        with collector(data, env={"ASGISCOPE_COLLECTOR_ALERTS": str(rules)}) as server:
            views = {**{view: f"{view}?since=15m" for view in LISTS}, **_details(server.url)}
            for theme in ("light", "dark"):
                for size, width in WIDTHS.items():
                    opened = Opened(browser, width=width, theme=theme, quiet=True)
                    for view, address in views.items():
                        page = opened.go(server.url, address)
                        _settle(page, view, size)
                        page.screenshot(path=FOLDER / f"{view}-{size}-{theme}.png")
                    opened.check()
                    opened.close()
        browser.close()
    return 0


def _details(url: str) -> dict[str, str]:
    """Return a finding that blocks the loop, and a trace in which calls waited for one another."""
    blocking = _costliest(url, "loop_blocked")
    waiting = _costliest(url, "contention", service="shop-api")
    return {
        "finding": f"findings/{blocking['id']}?since=15m",
        "trace": f"traces/{waiting['trace_ids'][0]}?since=15m",
    }


def _costliest(url: str, kind: str, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/api/findings", params={"since": "1h", "kind": kind, **query})
    found: dict[str, Any] = answer.json()["findings"][0]
    return found


def _settle(page: Page, view: str, size: str) -> None:
    """Bring a view to what the picture is to show."""
    if view == "alerts":
        expect(page.locator("table.alert-table tbody tr").first).to_be_visible(timeout=30_000)
    if view == "trace":
        expect(page.locator("canvas.lanes-canvas")).to_be_visible()
        if size == "desk":
            page.locator(".steps button").filter(has_text="waits").last.click()
            expect(page.get_by_role("complementary")).to_be_visible()
    page.mouse.move(5, 5)
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


if __name__ == "__main__":
    sys.exit(main())
