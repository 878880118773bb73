"""Contention: what waits right now, who waited for whom, what the shared thread did; and the middleware's hops."""

import re
import time

import httpx
import pytest
from asgiscope import semconv
from asgiscope.semconv import FindingKind, LinkKind
from playwright.sync_api import expect

from tests.dashboard.conftest import Open, send
from tests.dashboard.opened import plain
from tests.dashboard.otlp import MS, Trace, link
from tests.dashboard.shop import EXPORT, LOOP, RECOMMEND, SHARED

pytestmark = pytest.mark.browser


def _waiting(start_ns: int, lasted_ms: int, *, ongoing: bool) -> Trace:
    """Return a call that waits for the shared thread, reported while it lasts or when it has ended."""
    trace = Trace(start_ns, id=b"waiting-right-no")
    root = trace.request(LOOP, "GET", "api/recommendations", lasted_ms, {})
    call = trace.bridge(
        (LOOP, SHARED),
        "shop.catalog.queries.bestsellers",
        RECOMMEND,
        1,
        phases_ms=(lasted_ms, 0 if ongoing else 5, 0),
        parent=root,
        route="api/recommendations",
        values={
            semconv.FINDING: FindingKind.CONTENTION.value,
            semconv.FINDING_COST_NS: lasted_ms * MS,
            **({semconv.ONGOING: True} if ongoing else {}),
        },
    )
    root.span_id, call.span_id = b"requests", b"the-call"
    call.parent_span_id = root.span_id
    export = Trace(start_ns - 2_000 * MS).request(LOOP, "POST", "reports/export", 1, {})
    tags = {**EXPORT.tags, semconv.LINK_FUNCTION: "shop.reports.tasks.export_orders"}
    link(call, export, LinkKind.HELD_BY, lasted_ms, tags)
    return trace


def test_what_waits_right_now_comes_and_goes_by_itself(empty: str, open_view: Open) -> None:
    """The collector tells the page; the wait grows by the second, names its holder, and is gone when it ended."""
    page = open_view(empty, "contention")
    live = page.locator("section.live")
    expect(live).to_contain_text("Nothing waits right now")
    start = time.time_ns() - 3_000 * MS
    send(empty, [_waiting(start, 2_500, ongoing=True)])
    row = live.locator("tbody tr")
    expect(row).to_have_count(1)
    for part in (
        "catalog/api.py:63",
        "shared thread",
        "shop.reports.tasks.export_orders",
        "api/recommendations",
    ):
        expect(row).to_contain_text(part)
    before = plain(row.locator("b").first)
    expect(row.locator("td").first).not_to_have_text(before)
    send(empty, [_waiting(start, 4_000, ongoing=False)])
    expect(live).to_contain_text("Nothing waits right now", timeout=20_000)


def test_matrix_shows_waiters_and_holders(shop: str, open_view: Open) -> None:
    """Rows wait, columns hold; each cell is the time lost and leads to a trace; a phone gets the pairs."""
    page = open_view(shop, "contention")
    asked = httpx.get(f"{shop}/api/contention", params={"since": "1h", "limit": 10}).json()
    matrix = page.locator("table.matrix")
    expect(matrix.locator("tbody tr")).to_have_count(len(asked["waiters"]))
    expect(matrix.locator("thead th").first).to_contain_text("tasks.export_orders")
    expect(matrix.locator("tbody th").first).to_contain_text("catalog/api.py:63")
    cell = matrix.locator("tbody td.heat").first
    expect(cell).to_have_class("heat heat-4")
    expect(page.locator("h2", has_text="Who waits for whom")).to_contain_text(
        re.compile(r"holders are named for (9\d|100)")
    )
    cell.get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("POST reports/export")
    phone = open_view(shop, "contention", width=360)
    expect(phone.locator("table.matrix")).to_be_hidden()
    expect(phone.locator(".pairs li").first).to_contain_text("export_orders")


def test_roles_and_the_shared_thread(shop: str, open_view: Open) -> None:
    """Waits by thread role can be narrowed to one; the strip is drawn and its occupants are named."""
    page = open_view(shop, "contention")
    roles = page.locator("section", has=page.get_by_role("heading", name="By thread role"))
    expect(roles.locator("tbody tr").first).to_contain_text("shared thread")
    assert page.locator(".strip-step i").count() > 5
    expect(page.locator("code", has_text="shop.reports.tasks.export_orders")).to_be_visible()
    roles.get_by_role("link", name="shared thread").click()
    expect(page).to_have_url(f"{shop}/#/contention?executor=shared")
    expect(page.locator("table.matrix tbody tr").first).to_contain_text("catalog/api.py:63")
    page.get_by_role("link", name="Only the shared thread").click()
    expect(page).to_have_url(f"{shop}/#/contention")


def test_a_chain_shows_its_adapters_and_what_to_change_first(demo: str, open_view: Open) -> None:
    """The demo's one synchronous middleware: where Django puts a thread and a loop, and what that costs."""
    page = open_view(demo, "middleware")
    chain = page.locator(".chain-box", has=page.get_by_role("heading", name="shop-api"))
    expect(chain).to_contain_text("The chain costs")
    expect(chain.locator("tr.costly")).to_contain_text("sync_to_async")
    sync = chain.locator("tbody tr", has_text="GeoIPMiddleware")
    expect(sync).to_contain_text("sync only")
    expect(chain.locator(".advice li").first).to_contain_text("vendor_geoip.middleware.GeoIPMiddleware")
    hops = page.locator("section", has=page.get_by_role("heading", name="Hops by route"))
    asked = httpx.get(f"{demo}/api/hops", params={"since": "1h", "limit": 25}).json()["routes"]
    expect(hops.locator("tbody tr")).to_have_count(len(asked))
    expect(hops.locator("tbody tr").first).to_contain_text(asked[0]["route"])
