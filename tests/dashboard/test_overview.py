"""The overview says in one look whether anything is wrong, and where to click."""

import re
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Open, send
from tests.dashboard.opened import plain
from tests.dashboard.shop import incident

pytestmark = pytest.mark.browser


def test_the_verdict_names_service_problem_and_line(shop: str, open_view: Open) -> None:
    """What is worst stands on top and leads to the finding."""
    page = open_view(shop)
    verdicts = page.locator(".verdict")
    texts = [plain(verdicts.nth(index)) for index in range(verdicts.count())]
    assert "60 calls of shop refused in 300 requests, worst: " in texts[0]
    assert "allauth/account/middleware.py:32" in texts[0]
    assert "60 of 300 requests of shop failed" in texts[1]
    assert "Calls of shop wait for their thread" in texts[2]
    assert "catalog/api.py:63" in texts[2]
    verdicts.first.get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("_accounts_redirect")


def test_a_service_is_summed_up_in_a_row(shop: str, open_view: Open) -> None:
    """The numbers of the row are those of the API, with units."""
    page = open_view(shop)
    health = httpx.get(f"{shop}/api/overview", params={"since": "1h"}).json()["services"][0]
    row = page.locator("table.services tbody tr")
    expect(row).to_have_count(1)
    cells = {cell.get_attribute("data-label"): plain(cell) for cell in row.locator("td").all()}
    assert cells["Refusals"].strip().endswith(f"{health['refusals']}")
    assert cells["Shared-thread waits"] == str(health["shared_waits"])
    assert f"{health['wait_p95_ns'] / 1e6:.0f} ms" in cells["Queue wait p95"]
    assert cells["Loop blocked"].strip().endswith("%")
    assert float(cells["Hops a request"]) == pytest.approx(health["hops_per_request"], abs=0.01)


def test_findings_are_ordered_by_cost(shop: str, open_view: Open) -> None:
    """The order is the collector's: what users lost most to comes first."""
    page = open_view(shop)
    expected = httpx.get(f"{shop}/api/overview", params={"since": "1h"}).json()["findings"]
    rows = page.locator("table.findings tbody tr")
    expect(rows).to_have_count(len(expected))
    for row, finding in zip(rows.all(), expected, strict=True):
        expect(row).to_contain_text(finding["call_site"]["function"])


def test_series_are_drawn_and_described(shop: str, open_view: Open) -> None:
    """Each chart has ink, and a label for who cannot see it."""
    page = open_view(shop)
    charts = page.locator(".chart .plot")
    expect(charts).to_have_count(5)
    for chart in charts.all():
        assert "at most" in (chart.get_attribute("aria-label") or "")
    inked = page.evaluate(
        """() => [...document.querySelectorAll(".chart canvas")].map((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.some((value) => value > 0);
        })"""
    )
    assert inked == [True] * 5


def test_service_and_range_are_in_the_url_and_in_links(shop: str, open_view: Open) -> None:
    """A choice survives a reload and goes along to other views."""
    page = open_view(shop)
    page.get_by_label("Service").select_option("shop")
    page.get_by_role("button", name="Time range").click()
    page.get_by_role("button", name="Last 24 hours").click()
    expect(page).to_have_url(f"{shop}/#/overview?service=shop&since=24h")
    page.reload()
    expect(page.get_by_role("button", name=re.compile("Time range: .*Last 24 hours"))).to_be_visible()
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page).to_have_url(f"{shop}/#/traces?service=shop&since=24h")
    page.go_back()
    expect(page.locator(".verdict").first).to_be_visible()


def test_what_arrives_shows_up_by_itself(empty: str, open_view: Open) -> None:
    """From nothing to numbers without a reload; and the number goes on growing."""
    page = open_view(empty)
    expect(page.locator("main")).to_contain_text("No data in this range (Last hour)")
    send(empty, incident(time.time_ns() - 5_000_000_000).traces)
    errors = page.locator("table.services td[data-label=Errors]")
    expect(errors).to_have_text(re.compile(r"\b1$"), timeout=20_000)
    send(empty, incident(time.time_ns() - 3_000_000_000).traces)
    expect(errors).to_have_text(re.compile(r"\b2$"), timeout=20_000)


def test_rows_do_not_move_under_the_pointer(empty: str, open_view: Open) -> None:
    """While a mouse points into the list its rows keep their places; then they follow the data again."""
    send(empty, incident(time.time_ns() - 5_000_000_000).traces)
    page = open_view(empty)
    times = page.locator("table.findings tbody tr", has_text="list_products").locator("td").first
    expect(times).to_have_text("1")
    page.locator("table.findings tbody").hover(force=True)
    send(empty, incident(time.time_ns() - 3_000_000_000).traces)
    errors = page.locator("table.services td[data-label=Errors]")
    expect(errors).to_have_text(re.compile(r"\b2$"), timeout=20_000)
    expect(times).to_have_text("1")
    page.mouse.move(5, 5)
    expect(times).to_have_text("2")
