# ruff: noqa: T201 - a program: what it prints is its result
"""Soak for SOAK_SECONDS (1800): `python -m tests.soak`, or `make soak`.

Two sites under load send to a collector; a browser has its page open and goes from view to view. In the first
half each is restarted: the sites by SIGTERM, the collector by SIGTERM and by SIGKILL, the page by loading it
anew. In the second half nothing is: memory, descriptors, threads and answer times of each have to stay flat
then, and of the disk what it takes for a span. A sender of its own keeps the ids of what was acknowledged: it
is stored, once.
"""

import itertools
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.dashboard.conftest import CHROMIUM_ARGS, chromium, collector
from tests.e2e.environments import make
from tests.e2e.running import Site
from tests.servers import Server
from tests.soak.measured import Allowed, ends, folder_mib, is_flat, usage

SERVERS: Final = ("daphne", "gunicorn", "hypercorn", "uvicorn", "uvicorn-worker", "uvloop")
DJANGO: Final = ("django>=5.2,<5.3", "httpx", *SERVERS)
PATHS: Final = tuple(
    f"/{name}/"
    for name in ("one", "all-of-them", "listing", "page", "gathered", "contended", "visits", "sync-page")
)
VIEWS: Final = ("overview", "findings", "contention", "traces", "middleware", "releases", "alerts")
QUESTIONS: Final = ("overview", "findings", "traces", "hops", "contention")
WITNESS: Final = "witness"
REQUEST_SECONDS: Final = 0.1
"""Between two requests to a site."""
SAMPLES: Final = 300
ALLOWED: Final = {
    "memory MiB": Allowed(0.15, 40),
    "descriptors": Allowed(0.1, 12),
    "threads": Allowed(0.1, 6),
    "answer ms": Allowed(1.0, 50),
    "bytes a span": Allowed(0.5, 200),
    "objects MiB": Allowed(0.25, 10),
}
"""Times are those of a machine that does other work too."""


@dataclass
class Load:
    """What threads do all the time, until they are told to stop; counters are theirs alone."""

    stop: threading.Event = field(default_factory=threading.Event)
    restarting: threading.Event = field(default_factory=threading.Event)
    """Set while the collector is down, starts, or has just started."""
    answered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged: set[str] = field(default_factory=set)
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds since the last sample, by who was asked."""

    def visit(self, site: Site) -> None:
        """Ask a site for one page after the other; while it is restarted it refuses."""
        with httpx.Client(base_url=site.url, timeout=30, trust_env=False) as http:
            for path in itertools.cycle(PATHS):
                if self.stop.wait(REQUEST_SECONDS):
                    return
                try:
                    began = time.perf_counter()
                    http.get(path)
                except httpx.TransportError:
                    self.failed[site.service] += 1
                else:
                    self.took[site.service].append((time.perf_counter() - began) * 1000)
                    self.answered[site.service] += 1

    def witness(self, url: str) -> None:
        """Send spans and keep the ids of those that were acknowledged."""
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
            while not self.stop.wait(REQUEST_SECONDS):
                sender = Sender(WITNESS)
                request = sender.request("GET", "/witness/")
                ids = {request.span_id, sender.stall(request, blocked_ns=MS).span_id}
                try:
                    answer = http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
                except httpx.TransportError:
                    self.failed[WITNESS] += 1
                    continue
                if answer.status_code == httpx.codes.OK:
                    self.acknowledged |= ids

    def ask(self, url: str) -> None:
        """Ask the collector what pages ask."""
        with httpx.Client(
            base_url=url, timeout=30, trust_env=False, headers={"Cache-Control": "no-cache"}
        ) as http:
            for question in itertools.cycle(QUESTIONS):
                if self.stop.wait(REQUEST_SECONDS * 5):
                    return
                try:
                    began = time.perf_counter()
                    answer = http.get(f"/api/{question}")
                except httpx.TransportError:
                    self.failed["api"] += 1
                    continue
                # 503 is right while it starts or stops, and nowhere else.
                restarting = (
                    answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and self.restarting.is_set()
                )
                if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR and not restarting:
                    self.failed[f"api {answer.status_code}"] += 1
                self.took["collector"].append((time.perf_counter() - began) * 1000)


class Soak:
    """The parts, and what was measured of them."""

    def __init__(self, folder: Path, serving: Server, sites: list[Site], browser: Browser) -> None:
        self.folder = folder
        self.collector = serving
        self.sites = sites
        self.load = Load()
        self.page: Page = browser.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.goto(serving.url)
        self.samples: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.views = itertools.cycle(VIEWS)

    def run(self, seconds: float) -> None:
        """Load, restart and measure for so long."""
        threads = [threading.Thread(target=self.load.visit, args=(site,)) for site in self.sites]
        threads.append(threading.Thread(target=self.load.witness, args=(self.collector.url,)))
        threads.append(threading.Thread(target=self.load.ask, args=(self.collector.url,)))
        for thread in threads:
            thread.start()
        restarts: list[tuple[str, Callable[[], Any]]] = [
            ("first site, SIGTERM", lambda: self._restart(self.sites[0], signal.SIGTERM)),
            ("collector, SIGTERM", lambda: self._restart(self.collector, signal.SIGTERM)),
            ("page, loaded anew", self.page.reload),
            ("collector, SIGKILL", lambda: self._restart(self.collector, signal.SIGKILL)),
            ("second site, SIGTERM", lambda: self._restart(self.sites[1], signal.SIGTERM)),
        ]
        began, count = time.monotonic(), len(restarts)
        due = [began + seconds / 2 * (place + 1) / (count + 1) for place in range(count)]
        quiet = began + seconds * 0.55  # what was restarted last has warmed up by then
        try:
            while due or time.monotonic() < max(began + seconds, quiet + seconds * 0.4):
                now = time.monotonic()
                if due and now >= due[0]:
                    name, restart = restarts.pop(0)
                    due.pop(0)
                    restart()
                    quiet = max(quiet, time.monotonic() + seconds * 0.05)
                    print(f"  restarted: {name}", flush=True)
                elif now < quiet:
                    self._forget()
                else:
                    self._sample()
                self.page.goto(f"{self.collector.url}/#/{next(self.views)}")
                time.sleep(seconds / SAMPLES)
        finally:
            self.load.stop.set()
            for thread in threads:
                thread.join()

    def _restart(self, server: Server, sig: signal.Signals) -> None:
        self.load.restarting.set()
        server.stop(sig)
        server.__enter__()
        time.sleep(1)
        self.load.restarting.clear()

    def _forget(self) -> None:
        for times in self.load.took.values():
            times.clear()

    def _sample(self) -> None:
        for name, server in (("collector", self.collector), *((site.service, site) for site in self.sites)):
            assert server.process is not None
            for figure, value in usage(server.process.pid).items():
                self.samples[name, figure].append(value)
            times, self.load.took[name] = self.load.took[name], []
            if times:
                self.samples[name, "answer ms"].append(statistics.median(times))
        spans = len(self.load.acknowledged) + sum(self.load.answered.values())
        disk = folder_mib(self.folder / "data") * (1 << 20)
        self.samples["disk", "bytes a span"].append(disk / max(1, spans))
        try:
            heap = self.page.evaluate("performance.memory.usedJSHeapSize")
        except Error as error:
            self.problems.append(str(error))
        else:
            self.samples["page", "objects MiB"].append(heap / (1 << 20))

    def report(self) -> bool:
        """Print the table, and return whether everything is flat."""
        flat = True
        print("| what | figure | first quarter | last quarter | flat |")
        print("|---|---|---|---|---|")
        for (name, figure), values in sorted(self.samples.items()):
            first, last = ends(values)
            same = is_flat(values, ALLOWED[figure])
            flat &= same
            print(f"| {name} | {figure} | {first:.0f} | {last:.0f} | {'yes' if same else 'NO'} |")
        return flat


def main() -> int:
    """Soak; 1 if something grew, failed or was lost."""
    seconds = float(os.environ.get("SOAK_SECONDS", "1800"))
    folder = Path(tempfile.mkdtemp(prefix="asgiscope-soak-"))
    print(f"{seconds:.0f} s; logs in {folder}", flush=True)
    environment = make(*DJANGO)
    with ExitStack() as running:
        serving = running.enter_context(collector(folder / "data"))
        sites = []
        for name in ("magazine-1", "magazine-2"):
            (folder / name).mkdir()
            site = Site("magazine", environment, folder / name, endpoint=serving.url, service=name)
            sites.append(running.enter_context(site))
        playwright = running.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=[*CHROMIUM_ARGS, "--enable-precise-memory-info"]
        )
        running.callback(browser.close)
        soak = Soak(folder, serving, sites, browser)
        soak.run(seconds)
        flat = soak.report()
        for site in sites:
            site.stop()
        deadline = time.monotonic() + 120
        while httpx.get(f"{serving.url}/api/status").json()["spool_bytes"] and time.monotonic() < deadline:
            time.sleep(0.2)
        shown = {
            each["service"]: each["requests"]
            for each in httpx.get(f"{serving.url}/api/overview?since=24h", timeout=60).json()["services"]
        }
    stored = store_contents(folder / "data", WITNESS)
    load, wrong = soak.load, list(soak.problems)
    lost = load.acknowledged - stored["spans"].keys()
    twice = sum(count > 1 for count in stored["spans"].values())
    if lost or twice or stored["rollups"] != stored["raw"]:
        wrong.append(f"{len(lost)} acknowledged spans are lost, {twice} stored twice, sums: {stored}"[:500])
    print(f"{len(load.acknowledged)} spans acknowledged to the witness, {len(lost)} lost, {twice} twice")
    for site in sites:
        name = site.service
        answered, refused = load.answered[name], load.failed[name]
        print(f"{name}: {answered} requests answered, {shown.get(name, 0)} shown, {refused} refused")
        # One that was answered and is not ready when SIGTERM comes, and the checks whether the site answers.
        if abs(shown.get(name, 0) - answered) > max(20, answered // 100):
            wrong.append(f"{name}: {shown.get(name, 0)} requests are shown, {answered} were answered")
    failures = {name: count for name, count in load.failed.items() if name.startswith("api ")}
    if failures:
        wrong.append(f"the API answered {failures}")
    print("\n".join(wrong) or "nothing lost, nothing wrong")
    if flat and not wrong:
        shutil.rmtree(folder)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
