"""What the page shows when there is nothing, or nobody who answers."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.conftest import Open, collector, opening, send
from tests.dashboard.opened import accessible, plain
from tests.dashboard.shop import incident
from tests.servers import free_port

pytestmark = pytest.mark.browser

HOUR_NS = 3_600_000_000_000


def test_empty_store_shows_how_to_send_data(empty: str, open_view: Open) -> None:
    """Three lines that can be copied, with the address of this very collector."""
    page = open_view(empty)
    accessible(page)
    for view in ("", "findings", "traces"):
        page.goto(f"{empty}/#/{view}")
        expect(page.locator(".howto pre")).to_have_count(3)
        lines = [plain(line) for line in page.locator(".howto pre").all()]
        assert lines[0] == "pip install ./instrumentation"
        assert lines[1] == 'INSTALLED_APPS += ["asgiscope"]'
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT={empty} " in lines[2]


def test_nothing_in_the_range_offers_a_longer_one(empty: str, open_view: Open) -> None:
    """Data of some hours ago is a click away."""
    send(empty, incident(time.time_ns() - 5 * HOUR_NS).traces)
    page = open_view(empty, "?since=15m")
    expect(page.locator("main")).to_contain_text("No data in this range (Last 15 min)")
    accessible(page)
    page.get_by_role("link", name="Look at the last 7 days").click()
    expect(page.locator(".verdict").first).to_be_visible()


def test_unreachable_collector_is_reported_and_data_is_kept(tmp_path: Path, browser: Browser) -> None:
    """A banner says since when; what was shown stays; when the collector is back, so is the page."""
    port = free_port()
    with opening(browser) as open_view:
        with collector(tmp_path / "data", port) as server:
            send(server.url, incident(time.time_ns() - 60_000_000_000).traces)
            page = open_view(server.url, quiet=False)
            expect(page.locator(".verdict").first).to_be_visible()
            before = plain(page.locator("table.services tbody"))
        banner = page.locator(".banner")
        expect(banner).to_contain_text("has not answered since", timeout=20_000)
        assert plain(page.locator("table.services tbody")) == before
        expect(page.get_by_role("button", name="Time range: Cut off")).to_be_visible()
        page.get_by_role("link", name="Contention", exact=True).click()
        expect(page.locator(".live")).to_contain_text("Not known: the collector does not answer")
        page.get_by_role("link", name="Findings", exact=True).click()
        alert = page.locator("main [role=alert]")
        expect(alert).to_contain_text("The collector does not answer")
        expect(alert).to_contain_text("asgiscope-collector serve")
        accessible(page)
        with collector(tmp_path / "data", port):
            alert.get_by_role("button", name="Try again").click()
            expect(page.locator("table.findings")).to_be_visible(timeout=20_000)
            expect(banner).to_have_count(0, timeout=20_000)


def test_what_the_collector_complains_of_is_shown(shop: str, open_view: Open) -> None:
    """A question it refuses shows its own words, not a code."""
    page = open_view(shop, "findings?sort=nonsense", quiet=False)
    alert = page.locator("main [role=alert]")
    expect(alert.get_by_role("heading")).to_contain_text("sort")
    accessible(page)
    expect(page.locator(".banner")).to_have_count(0)


def test_an_unknown_view_leads_back(shop: str, open_view: Open) -> None:
    """A mistyped address is no blank page."""
    page = open_view(shop, "nonsense/1/2")
    expect(page.locator("main")).to_contain_text("There is no such view")
    accessible(page)
    page.locator("main").get_by_role("link", name="overview").click()
    expect(page.locator(".verdict").first).to_be_visible()


def test_hidden_page_sends_no_requests(shop: str, open_view: Open) -> None:
    """A page in the background asks nothing; brought back it asks at once."""
    page = open_view(shop)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.wait_for_load_state("networkidle")
    page.evaluate(hide, True)
    asked.clear()
    page.wait_for_timeout(7_000)
    assert asked == []
    with page.expect_request(lambda request: "/api/overview" in request.url, timeout=2_000):
        page.evaluate(hide, False)
