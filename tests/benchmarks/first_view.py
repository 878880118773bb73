"""How long until the page is of use: from the address to the first row, and to the answer to the first click.

    python -m tests.benchmarks.first_view [runs]

The real page in Chromium before a real collector with a bad half hour in it, with an empty cache each time. The
click is made in the frame after the first row is painted, and is answered when the view that it asks for is. Wall
time, where the browser draws on the processor; "page cpu" is processor time of the page's main thread alone.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from tests.dashboard.conftest import CHROMIUM_ARGS, chromium, collector, send
from tests.dashboard.shop import bad_half_hour

RUNS: Final = 9
WINDOW: Final = {"width": 1440, "height": 900}

# Each moment is taken after the frame that shows it, in ms from the beginning of the navigation.
PROBE: Final = """
(() => {
  window.moments = new Promise((done) => {
    const painted = () => new Promise((ready) => requestAnimationFrame(() => setTimeout(ready)));
    const shown = (selector) => new Promise((found) => {
      const look = () => document.querySelector(selector) && (watch.disconnect(), found(painted()));
      const watch = new MutationObserver(look);
      watch.observe(document, { subtree: true, childList: true });
      look();
    });
    const view = async () => {
      await shown("main table.services tbody tr");
      const row = performance.now();
      document.querySelector("nav a[href*='findings']").click();
      await shown("main .filters");
      done({ row, answered: performance.now() });
    };
    view();
  });
})()
"""


def visit(browser: Browser, url: str) -> dict[str, float]:
    """One visit of somebody who never was here."""
    context = browser.new_context(viewport={"width": WINDOW["width"], "height": WINDOW["height"]})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.add_init_script(PROBE)
    page.goto(url, wait_until="commit")
    moments: Any = page.evaluate("() => window.moments")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    return {
        "first row ms": moments["row"],
        "click answered ms": moments["answered"],
        "page cpu ms": metrics["TaskDuration"] * 1000,
        "kB over the wire": sum(sizes) / 1000,
        "requests": len(sizes),
    }


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else RUNS
    path = chromium()
    if path is None:
        sys.exit("No Chromium on PATH: `apt-get install chromium`.")
    with (
        tempfile.TemporaryDirectory() as folder,
        collector(Path(folder) / "data") as server,
        sync_playwright() as playwright,
    ):
        send(server.url, [trace for one in bad_half_hour(time.time_ns()) for trace in one.traces])
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        visits = [visit(browser, server.url) for _ in range(runs)]
        browser.close()
    print(f"{runs} visits with an empty cache")
    for name in visits[0]:
        figures = [each[name] for each in visits]
        print(f"{name:18} median {statistics.median(figures):7.1f}   worst {max(figures):7.1f}")


if __name__ == "__main__":
    main()
