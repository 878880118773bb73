"""A real browser before a real collector."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from asgiscope_collector.web.app import STATIC
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard.demo import RULES, fill, receivers
from tests.dashboard.opened import Opened
from tests.dashboard.otlp import Trace, body
from tests.dashboard.shop import SERVICE, bad_half_hour
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare

CHROMIUM_ARGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Open = Callable[..., Page]
# Playwright's own five seconds are short for a browser, a collector and another worker on two cores.
expect.set_options(timeout=20_000)


def chromium() -> str | None:
    """Return where this machine's Chromium is."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


def collector(data: Path, port: int | None = None, env: Mapping[str, str] | None = None) -> Server:
    """Return a collector over the folder `data`, not yet started."""
    port = port or free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--data", str(data)]
    prepare(data)
    log = data.parent / "collector.log"
    env = {**PROMPT, **(env or {})}
    return Server(command, port, cwd=data.parent, env=env, log=log, ready="/readyz", ready_status=200)


def send(url: str, traces: Sequence[Trace], service: str = SERVICE, **resource: str) -> None:
    """Deliver traces and wait until they are stored: spans, and then what is summed up of them."""
    answer = httpx.post(
        f"{url}/v1/traces",
        content=body(service, traces, resource),
        headers={"content-type": "application/x-protobuf"},
        timeout=20,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/api/status").json()["spool_bytes"]:
        assert time.monotonic() < deadline, "the collector took the spans but does not store them"
        time.sleep(0.05)
    shown = httpx.get(f"{url}/api/traces/{traces[-1].id.hex()}")
    assert shown.status_code == httpx.codes.OK, shown.text


# Not for the session: Playwright's synchronous interface leaves an event loop running in the main thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; where it is missing, a failure under CI and a skip elsewhere."""
    assert (STATIC / "index.html").is_file(), "the page is not built: run `make ui`"
    path = chromium()
    if path is None:
        reason = "no Chromium on PATH: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a collector that holds a bad half hour of the shop."""
    with collector(tmp_path_factory.mktemp("shop") / "data") as server:
        send(server.url, [trace for incident in bad_half_hour(time.time_ns()) for trace in incident.traces])
        yield server.url


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a collector that holds what the demo shop sent, with an alert that fires."""
    folder = tmp_path_factory.mktemp("demo")
    data, rules = fill(folder), folder / "rules.yaml"
    with receivers() as receiver:
        rules.write_text(RULES.format(url=receiver))
        with collector(data, env={"ASGISCOPE_COLLECTOR_ALERTS": str(rules)}) as server:
            yield server.url


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a collector that nothing was ever sent to."""
    with collector(tmp_path / "data") as server:
        yield server.url


@contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Yield a function that opens views; all it opened is checked for errors, and closed, at the end."""
    opened: list[Opened] = []

    def open_view(
        url: str, view: str = "", *, width: int = 1440, theme: str = "light", quiet: bool = True
    ) -> Page:
        opened.append(Opened(browser, width=width, theme=theme, quiet=quiet))
        return opened[-1].go(url, view)

    try:
        yield open_view
        for page in opened:
            page.check()
    finally:
        for page in opened:
            page.close()


@pytest.fixture
def open_view(browser: Browser) -> Iterator[Open]:
    """Open a view of the page: `open_view(url, "findings?kind=refusal")`."""
    manager: AbstractContextManager[Open] = opening(browser)
    with manager as open_one:
        yield open_one
