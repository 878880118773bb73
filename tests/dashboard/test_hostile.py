"""Everything a span holds is somebody else's text: it is shown, and never acts."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
from asgiscope import semconv
from asgiscope.semconv import FindingKind, LinkKind, ThreadRole
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open, collector, send
from tests.dashboard.demo import receivers
from tests.dashboard.opened import pointed_at
from tests.dashboard.otlp import MS, Site, Thread, Trace, Value, link

pytestmark = pytest.mark.browser

SCRIPT: Final = "<script>alert(1)</script>"
IMAGE: Final = "<img src=x onerror=alert(2)>"
TURNED: Final = "\u202egpj.elif"
ATTACKS: Final = f"\"'>{SCRIPT}{IMAGE}<svg/onload=alert(3)>{{{{7*7}}}}${{7*7}}"
SITE: Final = Site(f"view{IMAGE}", f"/srv/{SCRIPT}/{TURNED}/views.py", 41)
LOOP: Final = Thread(1, f"Main{IMAGE}", ThreadRole.EVENT_LOOP)
SHARED: Final = Thread(2, f"pool{SCRIPT}", ThreadRole.SHARED)
SERVICE: Final = f"shop{IMAGE}"
ROUTE: Final = f"route/{ATTACKS}"

VERSIONS: Final = (f"1.0{IMAGE}", f"2.0{SCRIPT}")
RULES: Final[dict[str, Any]] = {
    "defaults": False,
    "network": {"allow_private": ["127.0.0.0/8"]},
    "rules": [
        {
            "name": "refusals",
            "when": {"type": "refusals", "over": 0, "window": "60m"},
            "labels": {"team": ATTACKS},
            "annotations": {
                "runbook": "https://wiki.example.com/refusals?kind=$kind",
                "note": ATTACKS.replace("$", "$$") + " $summary",
                "script": "javascript:alert(6)",
            },
        }
    ],
}

Attacked = tuple[str, Trace]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """Yield a collector whose spans are written by an attacker, and the trace to look at."""
    start = time.time_ns() - 60_000_000_000
    other, trace = Trace(start), Trace(start)
    holder = other.bridge(
        (LOOP, SHARED),
        f"hold{ATTACKS}",
        SITE,
        0,
        phases_ms=(0, 90, 0),
        parent=other.request(LOOP, "POST", ROUTE, 100, {}),
        route=ROUTE,
    )
    root = trace.request(
        LOOP, "GET", ROUTE, 200, {f"name{IMAGE}": ATTACKS, "javascript:alert(4)": "javascript:alert(5)"}
    )
    waiter = trace.bridge(
        (LOOP, SHARED),
        f"wait{ATTACKS}",
        SITE,
        5,
        phases_ms=(80, 10, 1),
        parent=root,
        route=ROUTE,
        values=_finding(FindingKind.CONTENTION, 80),
    )
    link(
        waiter,
        holder,
        LinkKind.HELD_BY,
        80,
        {**SITE.tags, semconv.LINK_FUNCTION: f"hold{ATTACKS}", semconv.HTTP_ROUTE: ROUTE},
    )
    stall = trace.add(
        semconv.SPAN_BLOCKED,
        120,
        50,
        {
            **LOOP.tags,
            **SITE.tags,
            semconv.HTTP_ROUTE: ROUTE,
            **_finding(FindingKind.LOOP_BLOCKED, 50),
            semconv.BLOCKED_NS: 50 * MS,
            semconv.CAUSE: "call",
            semconv.BLOCKING_OPERATION: f"SELECT {ATTACKS}",
            semconv.SOURCE: [f"def {ATTACKS}():", f"    {TURNED}{SCRIPT}{IMAGE}"],
            semconv.SOURCE_LINE: 40,
            semconv.CODE_STACKTRACE: f'File "{SCRIPT}", line 1\nFile "{TURNED}", line 2, in {IMAGE}',
        },
        parent=root,
    )
    link(stall, root, LinkKind.DELAYED, 50, {semconv.HTTP_ROUTE: ROUTE})
    trace.add(
        semconv.SPAN_REFUSED,
        180,
        0.1,
        {
            **LOOP.tags,
            **SITE.tags,
            semconv.HTTP_ROUTE: ROUTE,
            **_finding(FindingKind.REFUSAL, 0),
            semconv.CHAIN: [SCRIPT, IMAGE],
        },
        parent=root,
        error=ATTACKS,
    )
    trace.add(
        f"work {ATTACKS}",
        185,
        5,
        {**LOOP.tags, semconv.DB_SYSTEM: "sqlite", semconv.DB_TEXT: ATTACKS},
        parent=root,
    )
    for_other_pages(trace, root)
    older = Trace(start - 60_000_000_000)
    older.request(LOOP, "GET", ROUTE, 100, {})
    folder = tmp_path_factory.mktemp("attacked")
    with receivers(ATTACKS) as receiver:
        pager = {"receivers": [{"name": "pager", "type": "webhook", "url": f"{receiver}/full"}]}
        (folder / "rules.yaml").write_text(json.dumps(RULES | pager))
        env = {"ASGISCOPE_COLLECTOR_ALERTS": str(folder / "rules.yaml")}
        with collector(folder / "data", env=env) as server:
            send(server.url, [older], SERVICE, **{"service.version": VERSIONS[0]})
            send(server.url, [other, trace], SERVICE, **{"service.version": VERSIONS[1]})
            decided(server.url)
            yield server.url, trace


def for_other_pages(trace: Trace, root: Span) -> None:
    """What the pages of middleware and of decisions show."""
    trace.add(
        semconv.SPAN_MIDDLEWARE_CHAIN,
        0,
        0.1,
        {
            semconv.CHAIN_NAMES: [f"shop.{ATTACKS}", IMAGE, "view"],
            semconv.CHAIN_MODES: ["sync", f"both{SCRIPT}", "async"],
            semconv.CHAIN_ADAPTED: ["", "sync_to_async", f"async_to_sync{IMAGE}"],
        },
    )
    trace.bridge(
        (LOOP, SHARED),
        f"middleware{ATTACKS}",
        SITE,
        100,
        phases_ms=(1, 1, 1),
        parent=root,
        route=ROUTE,
        values={**_finding(FindingKind.SYNC_MIDDLEWARE, 2), semconv.MIDDLEWARE: f"shop.{ATTACKS}"},
    )


def decided(url: str) -> None:
    """Ignore a finding and silence an alert, for hostile reasons."""
    query = {"since": "1h", "kind": FindingKind.SYNC_MIDDLEWARE.value}
    (found,) = httpx.get(f"{url}/api/findings", params=query).json()["findings"]
    for path, body in (
        (f"findings/{found['id']}/state", {"state": "ignored", "reason": ATTACKS}),
        (
            "alerts/silences",
            {
                "matchers": [{"name": "team", "value": f"other {ATTACKS}"}],
                "duration_ns": 3_600_000_000_000,
                "comment": ATTACKS,
            },
        ),
    ):
        answer = httpx.post(f"{url}/api/{path}", json=body)
        assert answer.is_success, answer.text


def _finding(kind: FindingKind, cost_ms: int) -> Mapping[str, Value]:
    return {semconv.FINDING: kind.value, semconv.FINDING_COST_NS: cost_ms * MS, semconv.FINDING_VICTIMS: 1}


def _untouched(page: Page) -> None:
    """No element of the attacker's making; `Opened.check` sees to dialogs, errors and requests."""
    assert (
        page.locator("#app script, #app img, #app [onerror], #app [onload], #app svg:not(.icon)").count() == 0
    )
    links = page.locator("a").evaluate_all("all => all.map((link) => link.protocol)")
    assert set(links) <= {"http:", "https:"}
    assert "\u202e" not in page.locator("body").inner_text()


@pytest.mark.parametrize("view", ["", "findings", "traces", "contention", "middleware", "releases"])
def test_lists_show_text_as_text(attacked: Attacked, open_view: Open, view: str) -> None:
    """Names with markup in them stand there letter by letter."""
    page = open_view(attacked[0], view)
    expect(page.locator("main table").first).to_be_visible()
    text = page.locator("main").inner_text()
    assert IMAGE in text
    _untouched(page)


@pytest.mark.parametrize("kind", ["contention", "loop_blocked", "refusal", "sync_middleware&state=ignored"])
def test_findings_show_text_as_text(attacked: Attacked, open_view: Open, kind: str) -> None:
    """The detail too: place, source, holders, stack, chain, route, and why it is ignored."""
    page = open_view(attacked[0], f"findings?kind={kind}")
    page.locator("tbody a").first.click()
    expect(page.locator("article.finding")).to_contain_text(IMAGE)
    expect(page.locator("article.finding")).to_contain_text(SCRIPT)
    _untouched(page)


def test_releases_are_compared_by_their_hostile_names(attacked: Attacked, open_view: Open) -> None:
    """Both versions stand in the choice and over the figures."""
    page = open_view(attacked[0], "releases")
    for version in VERSIONS:
        expect(page.locator("main")).to_contain_text(version)
    _untouched(page)


def test_alerts_show_text_as_text(attacked: Attacked, open_view: Open) -> None:
    """What fires, with the rule's own words; the rule; the silence and its reason; what the receiver answered."""
    page = open_view(attacked[0], "alerts")
    row = page.locator("table.alert-table tbody tr").first
    expect(row).to_contain_text("Firing", timeout=30_000)
    expect(row).to_contain_text(ATTACKS)
    expect(row).to_contain_text("javascript:alert(6)")
    expect(row.get_by_role("link", name="wiki.example.com")).to_have_attribute("rel", "noopener noreferrer")
    _untouched(page)
    for view in ("rules", "rules&rule=refusals", "silences", "deliveries"):
        page.goto(f"{attacked[0]}/#/alerts?tab={view}")
        wanted = "refusals" if view == "rules" else ATTACKS
        expect(page.locator("main")).to_contain_text(wanted, timeout=20_000)
        _untouched(page)


def test_a_trace_shows_text_as_text(attacked: Attacked, open_view: Open) -> None:
    """Headline, tooltip, panel and table; and the arrow marks of turned text do not turn it."""
    url, trace = attacked
    page = open_view(url, f"traces/{trace.id.hex()}")
    expect(page.locator("h1")).to_contain_text(SCRIPT)
    page.mouse.click(*pointed_at(page, f"sync_to_async wait{ATTACKS}"))
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text(f"hold{ATTACKS}")
    expect(page.locator("table.spans")).to_contain_text(ATTACKS)
    _untouched(page)
    page.locator("table.spans").get_by_role("button", name=f"GET {ROUTE}").click()
    expect(panel.locator("dt", has_text="javascript:alert(4)")).to_be_visible()
    expect(panel.locator("dd", has_text="javascript:alert(5)")).to_be_visible()
    _untouched(page)


@pytest.mark.parametrize(
    "view",
    [
        f"findings?q={IMAGE}&route={SCRIPT}&kind=%22onfocus=alert(1)",
        f"traces?service={IMAGE}&route={SCRIPT}&finding=javascript:alert(1)",
        f"traces/{'0' * 31}%22%3E{SCRIPT}?span={IMAGE}",
        f"findings/..%2F..%2F{SCRIPT}",
        f"?service={IMAGE}&since={SCRIPT}",
    ],
)
def test_addresses_are_hostile_too(attacked: Attacked, open_view: Open, view: str) -> None:
    """A link somebody sends cannot make the page do anything."""
    page = open_view(attacked[0], view, quiet=False)
    expect(page.locator("main")).not_to_be_empty()
    _untouched(page)
