"""One trace as thread lanes: what waited, for whom, and who held the thread."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import Open, collector, send
from tests.dashboard.opened import accessible, eventually, plain, pointed_at
from tests.dashboard.otlp import Trace
from tests.dashboard.shop import LOOP, SERVICE, Incident, incident

pytestmark = pytest.mark.browser

ServedIncident = tuple[str, Incident]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedIncident]:
    """Yield a collector that holds one incident, and the incident."""
    story = incident(time.time_ns() - 120_000_000_000)
    with collector(tmp_path_factory.mktemp("incident") / "data") as server:
        send(server.url, story.traces)
        yield server.url, story


def _open(open_view: Open, served: ServedIncident, trace: Trace, *, width: int = 1440) -> Page:
    url, _ = served
    return open_view(url, f"traces/{trace.id.hex()}", width=width)


def _panel(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Selected span")


def _ink(page: Page) -> str:
    """Return what is drawn at present, as something to compare."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return str(page.evaluate("document.querySelector('canvas.lanes-canvas').toDataURL()"))


def test_the_headline_names_the_holder(served: ServedIncident, open_view: Open) -> None:
    """Before anything is clicked: what cost the request, and who held the thread."""
    page = _open(open_view, served, served[1].recommend)
    expect(page.locator("h1")).to_contain_text("GET api/recommendations")
    verdict = plain(page.locator(".trace-verdict"))
    assert "calls waited for the shared thread (ThreadPoolExecutor-0_0)" in verdict
    assert "held by shop.reports.tasks.export_orders" in verdict


def test_the_shares_add_up_to_the_request(served: ServedIncident, open_view: Open) -> None:
    """The slices of the bar fill it, and queue wait, stalls and queries are named."""
    page = _open(open_view, served, served[1].recommend)
    label = page.locator(".share-bar").get_attribute("aria-label") or ""
    for slice_name in ("query", "delayed by loop stalls", "queue wait", "other"):
        assert slice_name in label
    shares = [float(share) for share in re.findall(r"([\d.]+)\s*%", label)]
    assert sum(shares) == pytest.approx(100, abs=1.5)


def test_pointing_at_a_wait_names_waiter_and_holder(served: ServedIncident, open_view: Open) -> None:
    """The tooltip says how long the call waited, for which thread, and who held it."""
    page = _open(open_view, served, served[1].recommend)
    pointed_at(page, "recently_viewed")
    said = plain(page.locator(".tooltip"))
    assert "for the shared thread (ThreadPoolExecutor-0_0)" in said
    assert "held by shop.reports.tasks.export_orders" in said
    assert "of reports/export" in said


def test_a_click_selects_and_the_address_keeps_it(served: ServedIncident, open_view: Open) -> None:
    """The panel shows every attribute; the address leads back to it; Escape lets go."""
    page = _open(open_view, served, served[1].recommend)
    page.mouse.click(*pointed_at(page, "similar_products"))
    expect(_panel(page)).to_contain_text("asgiref.wait_ns")
    expect(_panel(page)).to_contain_text("ThreadPoolExecutor-0_0")
    accessible(page)
    assert "span=" in page.url
    page.reload()
    expect(_panel(page)).to_contain_text("shop.catalog.queries.similar_products")
    page.locator(".lanes").press("Escape")
    expect(_panel(page)).to_have_count(0)
    assert "span=" not in page.url


def test_the_holder_is_a_ghost_that_leads_to_its_own_trace(served: ServedIncident, open_view: Open) -> None:
    """The call that held the thread belongs to another request; one click opens it, with the call selected."""
    page = _open(open_view, served, served[1].recommend)
    page.mouse.click(*pointed_at(page, "Held the thread"))
    _panel(page).get_by_role("link", name="Open the trace it belongs to").click()
    expect(page.locator("h1")).to_contain_text("POST reports/export")
    expect(_panel(page)).to_contain_text("sync_to_async shop.reports.tasks.export_orders")


def test_a_stall_of_another_request_crosses_the_loop_lane(served: ServedIncident, open_view: Open) -> None:
    """The victim sees what blocked the loop, and where."""
    page = _open(open_view, served, served[1].recommend)
    pointed_at(page, "The event loop was blocked")
    said = plain(page.locator(".tooltip"))
    assert "because of SELECT shop_product" in said
    assert "catalog/views.py:41" in said


def test_a_stall_names_its_victims(served: ServedIncident, open_view: Open) -> None:
    """The trace that blocked the loop lists the requests it delayed, each a link."""
    page = _open(open_view, served, served[1].products)
    page.mouse.click(*pointed_at(page, "The event loop was blocked"))
    expect(_panel(page)).to_contain_text("Requests delayed")
    _panel(page).get_by_role("link", name="api/recommendations").click()
    expect(page.locator("h1")).to_contain_text("GET api/recommendations")


def test_the_keyboard_reaches_everything(served: ServedIncident, open_view: Open) -> None:
    """Arrows walk through the spans, each said aloud; the view zooms, pans and fits."""
    page = _open(open_view, served, served[1].recommend)
    lanes = page.locator(".lanes")
    lanes.focus()
    whole = _ink(page)
    page.keyboard.press("+")
    zoomed = _ink(page)
    page.keyboard.press("ArrowRight")
    panned = _ink(page)
    assert len({whole, zoomed, panned}) == 3
    page.keyboard.press("0")
    assert _ink(page) == whole
    names = []
    for _ in range(4):
        page.keyboard.press("ArrowDown")
        names.append(plain(_panel(page).locator("h2")))
    assert names == [
        "sync_to_async shop.reports.tasks.export_orders",
        "GET api/recommendations",
        "sync_to_async shop.catalog.queries.similar_products",
        "sync_to_async shop.catalog.queries.recently_viewed",
    ]
    expect(page.locator("[role=status].sr-only")).to_contain_text("Waited")
    page.keyboard.press("Enter")
    assert _ink(page) != whole


def test_the_wheel_zooms_and_a_drag_pans(served: ServedIncident, open_view: Open) -> None:
    """The wheel zooms around the pointer; where all is shown it scrolls the page on; a drag moves the view."""
    page = _open(open_view, served, served[1].recommend)
    x, y = pointed_at(page, "recently_viewed")
    whole = _ink(page)
    page.mouse.wheel(0, -400)
    zoomed = _ink(page)
    assert zoomed != whole
    assert "recently_viewed" in plain(page.locator(".tooltip"))
    page.mouse.down()
    page.mouse.move(x - 120, y, steps=4)
    page.mouse.up()
    assert _ink(page) not in {whole, zoomed}
    expect(_panel(page)).to_have_count(0)
    page.get_by_role("button", name="Fit").click()
    page.mouse.move(x, y)
    assert _ink(page) == whole
    before = page.evaluate("scrollY")
    for _ in range(4):  # the first show how far the holder of the other request reaches out
        page.mouse.wheel(0, 300)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    eventually(page, "(before) => scrollY > before", before)


def test_search_dims_the_rest_and_walks_through_what_it_found(
    served: ServedIncident, open_view: Open
) -> None:
    """`/` leads to the search; Enter goes from one find to the next; the table shows the finds alone."""
    page = _open(open_view, served, served[1].recommend)
    whole = _ink(page)
    page.keyboard.press("/")
    page.keyboard.type("select shop_product")
    # Three queries, and the stall that such a query of another request caused.
    expect(page.locator(".find [role=status]")).to_contain_text("4 spans found")
    expect(page.locator("table.spans tbody tr")).to_have_count(4)
    assert _ink(page) != whole
    names = []
    for _ in range(3):
        page.keyboard.press("Enter")
        names.append((plain(_panel(page).locator("h2")), page.url))
    assert [name for name, _ in names] == ["event_loop blocked", "SELECT shop_product", "SELECT shop_product"]
    assert len({url for _, url in names}) == 3


def test_critical_path_is_drawn_listed_and_can_be_isolated(served: ServedIncident, open_view: Open) -> None:
    """What decided how long the request took: its steps in words, and a key that dims the rest."""
    page = _open(open_view, served, served[1].recommend)
    steps = page.locator(".steps li")
    expect(steps.filter(has_text="bestsellers waits")).to_have_count(1)
    expect(steps.filter(has_text="similar_products")).to_have_count(0)
    whole = _ink(page)
    page.locator(".lanes").focus()
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Critical path")).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith("?critical=only")
    assert _ink(page) != whole
    steps.filter(has_text="bestsellers waits").get_by_role("button").click()
    expect(_panel(page)).to_contain_text("On the critical path for")


def test_table_shows_the_content_of_the_timeline(served: ServedIncident, open_view: Open) -> None:
    """Span, thread, wait, run and holder stand in the table; a row's button selects."""
    page = _open(open_view, served, served[1].recommend)
    row = page.locator("table.spans tbody tr", has_text="bestsellers")
    text = plain(row)
    assert "shared thread · ThreadPoolExecutor-0_0" in text
    assert "shop.reports.tasks.export_orders" in text
    assert "and 1 more" in text
    row.get_by_role("button").click()
    expect(_panel(page).get_by_role("link", name="shop.reports.tasks.export_orders")).to_be_visible()
    expect(row).to_have_attribute("aria-current", "true")


def test_a_refusal_is_marked_and_explained(served: ServedIncident, open_view: Open) -> None:
    """The headline says what was refused and where; the mark on the loop's lane says what led there."""
    page = _open(open_view, served, served[1].account)
    verdict = plain(page.locator(".trace-verdict"))
    assert verdict.startswith("Django refused synchronous work in async code at ")
    assert "allauth/account/middleware.py:32" in verdict
    page.get_by_role("button", name="async_unsafe refused").click()
    expect(_panel(page)).to_contain_text("You cannot call this from an async context")
    expect(_panel(page)).to_contain_text("session load")


def test_lanes_of_every_role(served: ServedIncident, open_view: Open) -> None:
    """A parked thread and a pool's worker have their lanes too."""
    page = _open(open_view, served, served[1].cart)
    pointed_at(page, "Parked its thread")
    pointed_at(page, "exchange_rates")


def test_a_trace_of_thousands_of_spans_stays_usable(served: ServedIncident, open_view: Open) -> None:
    """A cut trace says so and loads more; the table builds a part of its rows; search still works."""
    url, _ = served
    trace = Trace(time.time_ns() - 200_000_000_000)
    root = trace.request(LOOP, "GET", "bulk/", 4000, {})
    for turn in range(2_999):
        trace.add(f"work {turn}", turn, 0.8, LOOP.tags, parent=root)
    send(url, [trace], SERVICE)
    page = open_view(url, f"traces/{trace.id.hex()}")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("The first 2,000 of 3,000 spans")
    expect(page.locator("table.spans tbody tr")).to_have_count(200)
    notice.get_by_role("button").click()
    expect(notice).to_have_count(0)
    page.get_by_placeholder("Search spans").fill("work 2998")
    expect(page.locator("table.spans tbody tr")).to_have_count(1)


def test_lanes_taller_than_the_view_scroll(served: ServedIncident, open_view: Open) -> None:
    """Many calls that wait at once need many rows; selecting the last one brings it into view."""
    url, _ = served
    trace = Trace(time.time_ns() - 210_000_000_000)
    root = trace.request(LOOP, "GET", "gather/", 900, {})
    for turn in range(80):
        trace.add(f"waits {turn:02}", turn, 800, LOOP.tags, parent=root)
    send(url, [trace], SERVICE)
    page = open_view(url, f"traces/{trace.id.hex()}")
    lanes = page.locator(".lanes")
    assert lanes.evaluate("(lanes) => lanes.scrollHeight > lanes.clientHeight && lanes.clientHeight <= 640")
    lanes.focus()
    page.keyboard.press("ArrowUp")
    expect(_panel(page).locator("h2")).to_have_text("waits 79")
    eventually(page, "document.querySelector('.lanes').scrollTop > 500")


@pytest.mark.parametrize("address", ["traces/zz", f"traces/{'0' * 32}"])
def test_missing_trace_is_explained(served: ServedIncident, open_view: Open, address: str) -> None:
    """An id that is none, and one that nobody knows: both get the collector's words and a way on."""
    page = open_view(served[0], address, quiet=False)
    alert = page.locator("main [role=alert]")
    expect(alert.get_by_role("heading")).not_to_be_empty()
    expect(alert.get_by_role("button", name="Try again")).to_be_visible()
