"""Alerts: what fires and where to go from there, the rules behind it, silences, and every attempt to tell."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open
from tests.dashboard.opened import accessible, eventually

pytestmark = pytest.mark.browser


def _firing(demo: str, open_view: Open, view: str = "alerts") -> Page:
    """Return the page once the rule of the demo fires: it is evaluated every few seconds."""
    page = open_view(demo, view)
    expect(page.get_by_role("navigation", name="Views").locator(".badge")).to_be_visible(timeout=30_000)
    return page


def test_alert_shows_summary_severity_and_links(demo: str, open_view: Open) -> None:
    """Sentence, impact, advice; and links to the finding, the trace, the rule and what was sent."""
    page = _firing(demo, open_view)
    row = page.locator("table.alert-table tbody tr", has=page.get_by_role("link", name="Rule refusals"))
    expect(row.first).to_contain_text("Firing")
    expect(row.first).to_contain_text("Critical")
    expect(row.first).to_contain_text("LoyaltyMiddleware")
    row.first.get_by_role("link", name="Finding").click()
    expect(page.locator("article.finding h1")).to_contain_text("LoyaltyMiddleware")


def test_a_rule_shows_its_value_against_its_limit(demo: str, open_view: Open) -> None:
    """The list has the present value and the last hour; one rule has its series and what it said."""
    page = _firing(demo, open_view, "alerts?tab=rules")
    asked = httpx.get(f"{demo}/api/alerts/rules").json()["rules"]
    rows = page.locator("table.rules tbody tr")
    expect(rows).to_have_count(len(asked))
    row = rows.filter(has=page.get_by_role("link", name="refusals", exact=True))
    expect(row).to_contain_text("Firing")
    expect(row.locator(".history .limit")).to_have_count(1)
    row.get_by_role("link").click()
    expect(page).to_have_url(f"{demo}/#/alerts?tab=rules&rule=refusals")
    expect(page.locator(".rule-chart canvas")).to_be_visible()
    expect(page.locator("table.alert-table tbody tr").first).to_contain_text("Firing")


def test_deliveries_list_every_attempt_and_receivers_can_be_tested(demo: str, open_view: Open) -> None:
    """One receiver takes the message, the other refuses it, in its own words; so the test button says."""
    page = _firing(demo, open_view, "alerts?tab=deliveries")
    messages = page.locator("table.messages tbody tr")
    refused = messages.filter(has=page.get_by_role("rowheader", name="pager")).first
    expect(refused).to_contain_text("mailbox full", timeout=20_000)
    expect(refused.locator(".attempts li").first).to_contain_text("507")
    taken = messages.filter(has=page.get_by_role("rowheader", name="team-chat")).first
    expect(taken).to_contain_text("Delivered")
    receivers = page.locator("table.receivers tbody tr")
    for name, said in (("team-chat", "Test delivered"), ("pager", "mailbox full")):
        row = receivers.filter(has=page.get_by_role("rowheader", name=name))
        row.get_by_role("button", name="Send a test").click()
        expect(row.get_by_role("status")).to_contain_text(said)


def test_an_alert_can_be_silenced_and_the_silence_ended(demo: str, open_view: Open) -> None:
    """The form comes filled with what tells the alert from others; the alert says what mutes it."""
    page = _firing(demo, open_view)
    row = page.locator("table.alert-table tbody tr", has=page.get_by_role("link", name="Rule refusals")).first
    row.get_by_role("link", name="Silence …").click()
    values = page.locator(".matcher input").evaluate_all("all => all.map((input) => input.value)")
    assert {"refusals", "shop-api"} <= set(values)
    accessible(page)
    page.get_by_label("Why").fill("known since Tuesday")
    page.get_by_role("button", name="Silence", exact=True).click()
    silence = page.locator("table.silences tbody tr").first
    expect(silence).to_contain_text("alertname=refusals and service=shop-api")
    expect(silence).to_contain_text("known since Tuesday")
    page.get_by_role("link", name="Alerts", exact=True).last.click()
    expect(row).to_contain_text("muted by", timeout=20_000)
    page.get_by_role("link", name="Silences").click()
    silence.get_by_role("button", name="End now").click()
    expect(silence).to_contain_text("Ended")
    eventually(page, "document.querySelector('table.silences button') === null")
