"""Findings: the list with its filters, and one finding with its evidence."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Open
from tests.dashboard.opened import plain

pytestmark = pytest.mark.browser


def test_row_shows_kind_call_site_and_cost(shop: str, open_view: Open) -> None:
    """Kind, line, sentence, route, count and times stand in the row."""
    page = open_view(shop, "findings")
    row = page.locator("tbody tr", has_text="list_products")
    text = plain(row)
    for part in ("Loop blocked", "catalog/views.py:41", "products/", "blocked the event loop", "60"):
        assert part in text
    assert row.get_by_role("link").get_attribute("href") != ""


def test_filters_narrow_the_list_and_are_in_the_url(shop: str, open_view: Open) -> None:
    """Kind, text and route filter; the address carries them; one click clears them."""
    page = open_view(shop, "findings")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(4)
    page.get_by_label("Kind").select_option("refusal")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(f"{shop}/#/findings?kind=refusal")
    page.get_by_role("button", name="Clear filters").click()
    expect(rows).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("show_cart")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(f"{shop}/#/findings?q=show_cart")
    page.reload()
    expect(page.get_by_label("Search")).to_have_value("show_cart")
    expect(rows).to_have_count(1)
    page.get_by_label("Search").fill("nobody is called so")
    expect(page.locator("main")).to_contain_text("No finding fits these filters")


def test_sorting_asks_the_collector(shop: str, open_view: Open) -> None:
    """Every order that is offered exists, and the rows follow it."""
    page = open_view(shop, "findings")
    select = page.get_by_label("Sort by")
    for value in [option.get_attribute("value") for option in select.locator("option").all()]:
        select.select_option(value)
        expected = httpx.get(
            f"{shop}/api/findings", params={"since": "1h", "sort": value} if value else {"since": "1h"}
        )
        assert expected.status_code == httpx.codes.OK, expected.text
        functions = [finding["call_site"]["function"] for finding in expected.json()["findings"]]
        for row, function in zip(page.locator("tbody tr").all(), functions, strict=True):
            expect(row.locator(".site")).to_contain_text(function)


def test_a_contention_names_its_holders_and_leads_to_a_trace(shop: str, open_view: Open) -> None:
    """Who held the thread, for how long, on which route; what to do; and the evidence a click away."""
    page = open_view(shop, "findings?kind=contention")
    page.locator("tbody a").first.click()
    expect(page.locator("h1")).to_contain_text("recommendations")
    holder = page.locator("table tbody tr").first
    for part in ("shop.reports.tasks.export_orders", "reports/tasks.py:88", "reports/export", "180"):
        expect(holder).to_contain_text(part)
    expect(page.locator(".advice")).to_contain_text("What to do")
    expect(page.locator(".advice pre")).not_to_be_empty()
    link = page.locator(".advice a")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    page.locator(".evidence a").first.click()
    expect(page.locator("h1")).to_contain_text("GET api/recommendations")


def test_a_refusal_shows_what_led_there(shop: str, open_view: Open) -> None:
    """The chain stands in order, outermost first."""
    page = open_view(shop, "findings?kind=refusal")
    page.locator("tbody a").first.click()
    expect(page.locator(".chain li")).to_have_text(
        [
            "middleware allauth.account.middleware.AccountMiddleware",
            "request.user",
            "session load",
            "SELECT django_session",
        ]
    )


def test_a_stall_shows_its_stack_with_the_call_site_marked(shop: str, open_view: Open) -> None:
    """The application's frame that blocked is the one marked; frames of packages are not the application's."""
    page = open_view(shop, "findings?kind=loop_blocked")
    page.locator("tbody a").first.click()
    expect(page.locator(".stack .site")).to_contain_text("shop/catalog/views.py:41 list_products")
    expect(page.locator(".stack .foreign")).to_have_count(0)
    page.get_by_role("button", name="All 4 frames").click()
    expect(page.locator(".stack .foreign")).to_have_count(3)
    expect(page.locator(".source li")).to_have_count(4)
    expect(page.locator(".source .marked .number")).to_have_text("41")
    expect(page.locator(".source .marked code")).to_have_text(
        "    rows = [card(product) for product in products]"
    )
    expect(page.locator(".chart")).to_have_count(1)


def test_all_traces_of_a_finding(shop: str, open_view: Open) -> None:
    """The list of traces can be narrowed to those that show a finding."""
    page = open_view(shop, "findings?kind=parked_thread")
    page.locator("tbody a").first.click()
    page.get_by_role("link", name="All traces with it").click()
    expect(page.locator("table.traces tbody tr").first).to_contain_text("GET /cart/")
    expect(page.locator("table.traces tbody tr", has_text="products/")).to_have_count(0)
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("table.traces tbody tr", has_text="products/").first).to_be_visible()


def test_missing_finding_is_explained(shop: str, open_view: Open) -> None:
    """The collector's own words are shown, with its hint."""
    page = open_view(shop, "findings/0000000000000000", quiet=False)
    alert = page.locator("main [role=alert]")
    problem = httpx.get(f"{shop}/api/findings/0000000000000000").json()
    expect(alert).to_contain_text(problem["error"])
    expect(alert).to_contain_text(problem["hint"])
