"""Readable on a phone and on a wide screen, in light and in dark, by eye, by keyboard and by ear."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import httpx
import pytest
from asgiscope_collector.web.app import STATIC
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open
from tests.dashboard.opened import eventually, serious

PAGES: Final = ("overview", "findings", "contention", "traces", "middleware", "releases", "alerts")
WIDTHS: Final = (360, 1440, 3440)
FIRST_VIEW_BYTES: Final = 200_000

# Of every element that holds text of its own: the contrast to what lies behind it (WCAG 2.2, 1.4.3).
CONTRAST: Final = """
() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour, under) => {
    pen.fillStyle = under; pen.fillRect(0, 0, 1, 1);
    pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const text = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
  const light = (colour) => colour.map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
    return chain.reduce((under, colour) => rgb(colour, text(under)), [255, 255, 255]);
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || !element.checkVisibility() || element.closest(".sr-only, :disabled, option")) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const [a, b] = [light(ground), light(rgb(style.color, text(ground)))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.className} ${element.textContent.slice(0, 40)}`);
  }
  return poor;
}
"""


def _views(url: str) -> dict[str, str]:
    """Return every page and its address; the details are those of the costliest finding and of its first trace."""
    costliest = httpx.get(f"{url}/api/findings", params={"since": "1h"}).json()["findings"][0]
    tabs = {f"alerts {tab}": f"alerts?tab={tab}" for tab in ("rules", "silences", "deliveries")}
    return {
        **{page: page for page in PAGES},
        "finding": f"findings/{costliest['id']}",
        "trace": f"traces/{costliest['trace_ids'][0]}",
        "periods": "releases?by=period&since=5m",
        "rule": "alerts?tab=rules&rule=refusals",
        **tabs,
    }


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_contrasts_and_is_accessible(
    demo: str, open_view: Open, theme: str, width: int
) -> None:
    """On the demo's data: nothing sticks out sideways, text has contrast enough, axe finds nothing serious."""
    page = open_view(demo, "", width=width, theme=theme)
    wrong = []
    for name, address in _views(demo).items():
        page.goto(f"{demo}/#/{address}")
        expect(page.locator("main .state[role=status]")).to_have_count(0, timeout=20_000)
        expect(page.locator("main h1")).to_have_count(1)
        assert page.title().endswith("· asgiscope")
        found = [f"{page.evaluate('document.documentElement.scrollWidth')} wide"] if _sticks_out(page) else []
        found += page.evaluate(CONTRAST)
        if width < max(WIDTHS):  # the widest is about room alone
            found += serious(page)
        wrong += [f"{name}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", ground)[0])
    assert red > 200 if theme == "light" else red < 60


def _sticks_out(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.browser
def test_the_keyboard_gets_everywhere(shop: str, open_view: Open) -> None:
    """Tab shows where it is from the first press on, beginning with the way past the frame."""
    page = open_view(shop)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.browser
def test_the_theme_can_be_chosen_and_is_remembered(shop: str, open_view: Open) -> None:
    """A choice overrules the system, on the canvas too, and survives a reload."""
    found = httpx.get(f"{shop}/api/traces", params={"route": "api/recommendations"}).json()["traces"][0]
    page = open_view(shop, f"traces/{found['trace_id']}")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('canvas.lanes-canvas').toDataURL()"
    light, light_ink = page.evaluate(ground), page.evaluate(ink)
    page.get_by_label("Theme").select_option("dark")
    eventually(page, f"({ink}) !== {light_ink!r}")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.get_by_label("Theme")).to_have_value("dark")
    assert page.evaluate(ground) == dark


@pytest.fixture
def prefixed(shop: str) -> Iterator[str]:
    """Yield the address of the collector behind a proxy that gives it a path of its own."""
    prefix = "/tools/asgiscope"

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            answer = httpx.get(shop + self.path.removeprefix(prefix))
            self.send_response(answer.status_code)
            for name in ("content-type", "content-security-policy"):
                self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


@pytest.mark.browser
def test_a_page_under_a_prefix(prefixed: str, open_view: Open) -> None:
    """Everything the page asks for is relative to where it stands, and so is what it tells to send to."""
    page = open_view(prefixed)
    page.locator(".verdict a").first.click()
    expect(page.locator("article.finding h1")).to_be_visible()
    page.goto(f"{prefixed}/#/traces?service=nobody")
    expect(page.locator(".howto")).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={prefixed} ")


def test_the_first_view_is_small() -> None:
    """Everything the browser fetches before the first number stays under 200 kB gzipped."""
    assert (STATIC / "index.html").is_file(), "the page is not built: run `make ui`"
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    packed = {path.with_suffix("") for path in files if path.suffix == ".gz"}
    assert {path.suffix for path in packed} == {".js", ".css"}
    sizes = {path.name: path.stat().st_size for path in files if path not in packed}
    assert sum(sizes.values()) < FIRST_VIEW_BYTES, sizes


def test_the_page_needs_no_exception_from_the_policy() -> None:
    """No inline script and no inline style stand in the page that is served."""
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
