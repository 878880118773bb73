"""Releases: a fix that worked is told from one that did not; and decisions about findings."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Open, collector, send
from tests.dashboard.opened import accessible
from tests.dashboard.shop import Incident, incident

pytestmark = pytest.mark.browser

MINUTE_NS = 60_000_000_000


def _round(start_ns: int) -> Incident:
    return incident(start_ns, 1.0)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a collector that saw release 1.0 with every problem, and 1.1 without the refusal and the stall."""
    now = time.time_ns()
    old = [_round(now - 40 * MINUTE_NS + turn * MINUTE_NS // 4) for turn in range(40)]
    new = [_round(now - 20 * MINUTE_NS + turn * MINUTE_NS // 4) for turn in range(40)]
    with collector(tmp_path_factory.mktemp("released") / "data") as server:
        send(server.url, [trace for each in old for trace in each.traces], service_version="1.0")
        fixed = [trace for each in new for trace in (each.export, each.recommend, each.cart)]
        send(server.url, fixed, service_version="1.1")
        yield server.url


def test_two_releases_side_by_side(released: str, open_view: Open) -> None:
    """The newest is compared with the one before; what is gone is said first, then the figures that changed."""
    page = open_view(released, "releases")
    expect(page.get_by_label("Before")).to_have_value("1.0")
    expect(page.get_by_label("After")).to_have_value("1.1")
    expect(page.locator(".tally")).to_contain_text("2 gone")
    row = page.locator("tbody tr.row-link", has_text="list_products")
    expect(row).to_contain_text("Gone")
    refusals = page.locator("table.sides tbody tr", has_text="Refusals")
    expect(refusals).to_contain_text("Better")
    page.get_by_label("Before").select_option("1.1")
    expect(page).to_have_url(f"{released}/#/releases?base=1.1&service=shop")


def test_two_periods_side_by_side(released: str, open_view: Open) -> None:
    """Without versions the range is compared with the time just before it."""
    page = open_view(released, "releases?since=20m")
    page.get_by_role("button", name="Two periods").click()
    expect(page).to_have_url(f"{released}/#/releases?since=20m&by=period")
    expect(page.locator(".tally")).to_contain_text("gone")


def test_releases_are_marked_where_they_matter(released: str, open_view: Open) -> None:
    """The series point at releases; a finding says in which it was seen."""
    page = open_view(released)
    plot = page.locator(".chart .plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    said = set()
    for step in range(60, int(box["width"]), 6):
        page.mouse.move(box["x"] + step, box["y"] + 60)
        said.add(page.locator(".chart .readout").first.inner_text())
    assert any("1.1" in text for text in said)
    page.goto(f"{released}/#/findings?kind=contention")
    page.locator("table.findings tbody a").first.click()
    releases = page.locator("section", has=page.get_by_role("heading", name="By release"))
    expect(releases.locator("tbody tr")).to_have_count(2)
    expect(page.locator(".distribution li").first).to_be_visible()


def test_a_finding_is_ignored_with_a_reason_reopened_and_resolved(tmp_path: Path, open_view: Open) -> None:
    """Each decision is stored and moves the finding in the list; what comes back regresses by itself."""
    with collector(tmp_path / "data") as server:
        now = time.time_ns()
        send(server.url, _round(now - 2 * MINUTE_NS).traces)
        page = open_view(server.url, "findings?kind=refusal", quiet=False)  # it outlives its collector
        page.locator("table.findings tbody a").first.click()
        page.get_by_role("button", name="Ignore …").click()
        accessible(page)
        page.get_by_label("Why can it be ignored?").fill("only the <b>old</b> client")
        page.get_by_role("button", name="Ignore", exact=True).click()
        box = page.locator(".state-box")
        expect(box).to_contain_text("Ignored")
        expect(box).to_contain_text("only the <b>old</b> client")
        accessible(page)
        address = page.url
        page.goto(f"{server.url}/#/findings?kind=refusal")
        expect(page.locator("main")).to_contain_text("No finding fits these filters")
        page.get_by_label("State").select_option("ignored")
        expect(page.locator("table.findings tbody tr")).to_have_count(1)
        page.goto(address)
        page.get_by_role("button", name="Reopen").click()
        expect(box).to_contain_text("Open")
        page.get_by_role("button", name="Resolve").click()
        expect(box).to_contain_text("Resolved")
        send(server.url, _round(time.time_ns()).traces)
        expect(box).to_contain_text("Regressed", timeout=20_000)
        expect(page.locator("section", has_text="Decisions").last).to_contain_text("Ignored")
