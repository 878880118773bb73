"""The list of traces: the newest first, filtered, and as far back as wanted."""

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open
from tests.dashboard.opened import eventually, plain

pytestmark = pytest.mark.browser


def _rows(page: Page) -> list[str]:
    return [plain(row) for row in page.locator("table.traces tbody tr").all()]


def test_row_shows_the_request_and_its_waits(shop: str, open_view: Open) -> None:
    """Method and route, result, duration, and what cost it: waits, stalls, hops, queries."""
    page = open_view(shop, "traces")
    rows = page.locator("table.traces tbody tr")
    refused = rows.filter(has_text="GET /accounts/").first
    expect(refused).to_contain_text("500")
    expect(refused).to_contain_text("1 refused")
    blocking = rows.filter(has_text="GET /products/").first
    expect(blocking.locator("[data-label='Blocked the loop']")).to_contain_text("ms")
    waiting = rows.filter(has_text="GET /api/recommendations").first
    expect(waiting.locator("[data-label='Queue wait']")).to_contain_text("s")


def test_filters_by_result_duration_and_route(shop: str, open_view: Open) -> None:
    """Each filter shows only what fits it, and stands in the address."""
    page = open_view(shop, "traces")
    rows = page.locator("table.traces tbody tr")
    page.get_by_label("Result").select_option("error")
    expect(rows.filter(has_not_text="GET /accounts/")).to_have_count(0)
    page.get_by_label("Result").select_option("")
    page.get_by_label("Duration").select_option("100")
    expect(page).to_have_url(f"{shop}/#/traces?min=100")
    expect(rows.filter(has_text="GET /accounts/")).to_have_count(0)
    page.get_by_label("Route").fill("reports/export")
    expect(rows.filter(has_not_text="POST /reports/export")).to_have_count(0)
    expect(rows.first).to_be_visible()


def test_older_pages_follow_without_gap_or_double(shop: str, open_view: Open) -> None:
    """Every trace of the hour comes once, the newest first."""
    page = open_view(shop, "traces")
    older = page.get_by_role("button", name="Older traces")
    rows = page.locator("table.traces tbody tr")
    known = 50
    while older.count():
        expect(rows).to_have_count(known)
        older.click()
        eventually(
            page, "(known) => document.querySelectorAll('table.traces tbody tr').length > known", known
        )
        expect(page.get_by_role("button", name="Loading …")).to_have_count(0)
        known = rows.count()
    assert known == 300
    moments = page.locator("table.traces time").evaluate_all("all => all.map((time) => time.dateTime)")
    assert moments == sorted(moments, reverse=True)
    links = page.locator("table.traces tbody a").evaluate_all("all => all.map((link) => link.href)")
    assert len(set(links)) == 300
