"""How fluid a trace of ten thousand spans is: the time from one frame to the next while it is panned and zoomed.

    python -m tests.benchmarks.frames [spans]

The real page in Chromium before a real collector. Without a graphics processor the browser draws on the same cores
that run the page and the collector, so the script's own share of each frame is printed beside the frames: at
60 frames a second a frame has 16.7 ms. "page cpu" is processor time of the page's main thread, whose measure a busy
machine does not change.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import CDPSession, Page, expect, sync_playwright

from tests.dashboard.conftest import CHROMIUM_ARGS, chromium, collector, send
from tests.dashboard.otlp import Trace
from tests.dashboard.shop import LOOP, RECOMMEND, SHARED

SPANS: Final = 10_000
SECONDS: Final = 4
WINDOW: Final = {"width": 1440, "height": 900}

# Times of requestAnimationFrame, and within each frame the time that drawing took: the callbacks that run in it.
PROBE: Final = """
() => {
  const real = window.requestAnimationFrame.bind(window);
  window.probe = { frames: [], scripts: [] };
  let scripts = 0;
  window.requestAnimationFrame = (callback) => real((at) => {
    const before = performance.now();
    callback(at);
    scripts += performance.now() - before;
  });
  const tick = (at) => {
    window.probe.frames.push(at);
    window.probe.scripts.push(scripts);
    scripts = 0;
    real(tick);
  };
  real(tick);
}
"""


def busy_trace(spans: int) -> Trace:
    """Return a request of many bridge calls on two threads, each with a query, and stalls in between."""
    trace = Trace(time.time_ns() - 60_000_000_000)
    root = trace.request(LOOP, "GET", "bulk/", spans * 0.5, {})
    while len(trace.spans) < spans:
        start = len(trace.spans) * 0.5
        call = trace.bridge(
            (LOOP, SHARED),
            f"shop.load_{len(trace.spans) % 50}",
            RECOMMEND,
            start,
            phases_ms=(0.3, 0.6, 0.05),
            parent=root,
            route="bulk/",
        )
        trace.add("SELECT shop_product", start + 0.35, 0.4, SHARED.tags, parent=call)
    return trace


def processor_s(session: CDPSession) -> float:
    """Seconds of processor time of the page's main thread so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def measure(page: Page, session: CDPSession, move: str) -> dict[str, float]:
    """Milliseconds a frame while `move` (JavaScript, called once a frame with its number) acts on the lanes."""
    before_s = processor_s(session)
    result: Any = page.evaluate(
        """([move, ms]) => new Promise((done) => {
          const act = { pan: (lanes, n) => key(lanes, n % 240 < 120 ? "ArrowRight" : "ArrowLeft"),
                        zoom: (lanes, n) => key(lanes, n % 40 < 20 ? "+" : "-") }[move];
          const press = (key) => new KeyboardEvent("keydown", { key, bubbles: true });
          const key = (lanes, name) => lanes.dispatchEvent(press(name));
          const lanes = document.querySelector(".lanes");
          window.probe.frames.length = window.probe.scripts.length = 0;
          const start = performance.now();
          let n = 0;
          const step = () => {
            if (performance.now() - start > ms) return done(window.probe);
            act(lanes, n += 1);
            setTimeout(step, 8);
          };
          step();
        })""",
        [move, SECONDS * 1000],
    )
    used_s = processor_s(session) - before_s
    frames = [after - before for before, after in zip(result["frames"], result["frames"][1:], strict=False)]
    scripts = [script for script in result["scripts"] if script > 0]
    cut = statistics.quantiles(frames, n=20)
    return {
        "frames a second": 1000 / statistics.mean(frames),
        "frame p50 ms": statistics.median(frames),
        "frame p95 ms": cut[18],
        "script p50 ms": statistics.median(scripts),
        "script p95 ms": statistics.quantiles(scripts, n=20)[18],
        "page cpu ms a frame": used_s * 1000 / max(len(frames), 1),
    }


def main() -> None:
    """Measure and print."""
    spans = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else SPANS
    path = chromium()
    if path is None:
        sys.exit("No Chromium on PATH: `apt-get install chromium`.")
    trace = busy_trace(spans)
    with (
        tempfile.TemporaryDirectory() as folder,
        collector(Path(folder) / "data") as server,
        sync_playwright() as playwright,
    ):
        send(server.url, [trace])
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        page = browser.new_page(viewport={"width": WINDOW["width"], "height": WINDOW["height"]})
        page.add_init_script(f"({PROBE})()")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        began = time.perf_counter()
        page.goto(f"{server.url}/#/traces/{trace.id.hex()}?limit={spans + 10}")
        expect(page.locator("canvas.lanes-canvas")).to_be_visible(timeout=60_000)
        print(f"{spans} spans on screen after {time.perf_counter() - began:.2f} s")
        for move in ("pan", "zoom"):
            page.get_by_role("button", name="Fit").click()
            for _ in range(0 if move == "zoom" else 4):
                page.get_by_role("button", name="Zoom in").click()
            figures = measure(page, session, move)
            print(f"{move:5} " + "   ".join(f"{name} {value:6.1f}" for name, value in figures.items()))
        browser.close()


if __name__ == "__main__":
    main()
