"""The frame around every page: time ranges, keys, links to share, warnings, signing in."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.collector.identity_provider import CLIENT, SECRET, Provider
from tests.dashboard.conftest import Open, collector, opening, send
from tests.dashboard.opened import Opened, accessible
from tests.dashboard.shop import incident
from tests.servers import free_port

pytestmark = pytest.mark.browser

HOUR_NS: Final = 3_600_000_000_000


def _params(page: Page) -> dict[str, str]:
    return {
        name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment.partition("?")[2]).items()
    }


def test_a_range_of_the_past_is_written_moved_and_shared(empty: str, open_view: Open) -> None:
    """From and to as people write them, in UTC; then earlier, wider and back to now."""
    send(empty, incident(time.time_ns() - 5 * HOUR_NS).traces)
    page = open_view(empty)
    picker = page.get_by_role("button", name="Time range")
    page.keyboard.press("t")
    page.get_by_label("Times in").select_option("utc")
    page.get_by_label("From", exact=True).fill("nonsense")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("This is no time.")).to_be_visible()
    accessible(page)
    start, end = (time.gmtime(time.time() - hours * 3600) for hours in (6, 4))
    page.get_by_label("From", exact=True).fill(time.strftime("%Y-%m-%d %H:%M", start))
    page.get_by_label("To", exact=True).fill(time.strftime("%Y-%m-%d %H:%M", end))
    page.get_by_role("button", name="Show", exact=True).click()
    assert _params(page) == {
        "since": time.strftime("%Y-%m-%dT%H:%M:00Z", start),
        "until": time.strftime("%Y-%m-%dT%H:%M:00Z", end),
    }
    expect(picker).to_contain_text("UTC")
    expect(page.locator("table.services tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Earlier").click()
    assert _params(page)["until"] < time.strftime("%Y-%m-%dT%H:%M:00Z", end)
    page.get_by_role("button", name="Twice as long").click()
    picker.click()
    page.get_by_role("button", name="Last 6 hours").click()
    assert _params(page) == {"since": "6h"}
    expect(page.locator("table.services tbody tr")).to_have_count(1)


def test_a_stretch_of_a_series_becomes_the_range(shop: str, open_view: Open) -> None:
    """Dragging over a chart zooms in, and the way back is the browser's."""
    page = open_view(shop)
    plot = page.locator(".chart .u-over").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Time range: Past")).to_be_visible()
    assert set(_params(page)) == {"since", "until"}
    page.go_back()
    expect(page.get_by_role("button", name=re.compile("Time range: .*Last hour"))).to_be_visible()


def test_keys_lead_everywhere_and_are_listed(shop: str, open_view: Open) -> None:
    """Two keys go to a page, `j` and Enter open a row, `u` leads back up, `?` lists them all."""
    page = open_view(shop)
    pages = {
        "f": "Findings",
        "c": "Contention",
        "t": "Traces",
        "m": "Middleware",
        "r": "Releases",
        "a": "Alerts",
    }
    for key, title in pages.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("main h1")).to_have_text(title)
    page.keyboard.press("g")
    page.keyboard.press("f")
    expect(page.locator("table.findings tbody tr").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("table.findings tbody tr").nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("article.finding")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("main h1")).to_have_text("Findings")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard")
    expect(listed).to_contain_text("Copy a link to what is shown")
    accessible(page)
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()


def test_a_copied_link_shows_the_same_later(shop: str, browser: Browser) -> None:
    """The range that ends now is fixed to the moment of copying; the rest of the address stays."""
    opened = Opened(browser, width=1440, theme="light", quiet=True)
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened.go(shop, "findings?kind=contention&since=6h")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_contain_text("Link copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(
        rf"{shop}/#/findings\?kind=contention&since=\d{{4}}-[^&]+Z&until=\d{{4}}-[^&]+Z",
        copied.replace("%3A", ":"),
    )
    page.goto(copied)
    page.reload()
    expect(page.locator("table.findings tbody tr")).to_have_count(1)
    opened.check()
    opened.close()


def test_sign_in_form_is_shown_when_required(tmp_path: Path, browser: Browser) -> None:
    """A real login: nothing is shown before it, a wrong password is told, a right one leads on, and out again."""
    made = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "password", "ann"],
        input="correct horse battery",
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "users").write_text(made.stdout)
    (tmp_path / "users").chmod(0o600)
    with (
        collector(
            tmp_path / "data", env={"ASGISCOPE_COLLECTOR_USERS_FILE": str(tmp_path / "users")}
        ) as server,
        opening(browser) as open_view,
    ):
        page = open_view(server.url, "findings", quiet=False)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        accessible(page)
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("name or password is wrong")).to_be_visible()
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("main h1")).to_have_text("Findings")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_identity_provider_leads_in(tmp_path: Path, browser: Browser) -> None:
    """There by the link, back by the provider's word: signed in under the address it vouches for, and out again."""
    secret, port = tmp_path / "secret", free_port()
    secret.write_text(SECRET)
    secret.chmod(0o600)
    with Provider(email="Eve@Example.com", email_verified=True) as provider:
        env = {
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "OIDC_ISSUER": provider.url,
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_SECRET_FILE": str(secret),
            "OIDC_ALLOWED": "@example.com",
        }
        settings = {f"ASGISCOPE_COLLECTOR_{name}": value for name, value in env.items()}
        with collector(tmp_path / "data", port, env=settings) as server:
            opened = Opened(browser, width=1440, theme="light", quiet=False)
            page = opened.go(server.url, "findings")
            expect(page.get_by_label("Password")).to_have_count(0)
            page.get_by_role("link", name="Sign in with your organisation").click()
            out = page.get_by_role("button", name="Sign out")
            expect(out).to_have_attribute("title", re.compile("eve@example.com"))
            expect(page.locator(".howto")).to_be_visible()
            out.click()
            expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            opened.check(also=urlsplit(provider.url).netloc)
            opened.close()


def test_collector_warnings_are_shown_on_every_page(tmp_path: Path, browser: Browser) -> None:
    """A rules file that can no longer be read is told above the middleware, where nobody looked for it."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []")
    with collector(tmp_path / "data", env={"ASGISCOPE_COLLECTOR_ALERTS": str(rules)}) as server:
        rules.write_text("rules: [{name: mistyped, wen: now}]")
        deadline = time.monotonic() + 30
        while "warnings" not in httpx.get(f"{server.url}/readyz").json():
            assert time.monotonic() < deadline, "the collector does not notice the file"
            time.sleep(0.2)
        with opening(browser) as open_view:
            page = open_view(server.url, "middleware")
            banner = page.locator(".banner-warn")
            expect(banner).to_contain_text("The collector reports problems")
            expect(banner).to_contain_text("alerts:")
            page.goto(f"{server.url}/#/alerts")
            expect(page.locator("main .notice").first).to_contain_text("is not used as it is now")


def test_host_whose_clock_is_ahead_is_named_with_the_way_to_its_data(empty: str, open_view: Open) -> None:
    """Nothing of it is in the last hour; the warning says why, and its link shows what it sent."""
    send(empty, incident(time.time_ns() + HOUR_NS).traces, **{"host.name": "web-9"})
    page = open_view(empty)
    warning = page.locator(".banner-warn")
    expect(warning).to_contain_text(
        re.compile(r"The clock of shop on web-9 is \S+\s(h|min) ahead of the collector's")
    )
    expect(page.locator("table.services tbody tr")).to_have_count(0)
    expect(page.locator(".scope select option", has_text="shop")).to_have_count(1)
    warning.get_by_role("link", name="show it").click()
    expect(page.locator("table.services tbody tr")).to_have_count(1)
    accessible(page)
