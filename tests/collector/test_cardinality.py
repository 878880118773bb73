"""Distinct keys are bounded by minute: the most expensive are kept by name, the rest is summed and visible."""

import time
from collections import Counter

import pytest
from asgiscope import semconv as sc
from asgiscope_collector.ingest.cardinality import OTHER, KeyLimits
from asgiscope_collector.otlp import items_of, request_of
from asgiscope_collector.wal.segment import encode_record

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender

NOW = time.time_ns() // (60 * SECOND) * 60 * SECOND


def names(signal: str, whole: list[bytes], attribute: str) -> Counter[str]:
    """Return how many items have each value of an attribute."""
    found: Counter[str] = Counter()
    for body in whole:
        for _, items in items_of(signal, request_of(signal, body)):
            for _, _, attributes, _ in items:
                found.update(each.value.string_value for each in attributes if each.key == attribute)
    return found


def routes(count: int, *, service: str = "shop", first: int = 0, start_ns: int = NOW) -> bytes:
    """Requests of so many routes; a later one is more expensive."""
    sender = Sender(service)
    for number in range(first, first + count):
        sender.request("GET", f"/{number}/", start_ns=start_ns, duration_ns=(number + 1) * MS)
    return sender.body()


def test_most_expensive_keys_are_kept_and_the_others_named_so() -> None:
    """What they were called stands beside it; a route's method is no name of its own."""
    limits = KeyLimits(per_service=3, overall=100)
    renamed = limits.apply("traces", encode_record(routes(10)))
    assert renamed is not None
    assert names("traces", renamed, sc.HTTP_ROUTE) == {OTHER: 7, "/7/": 1, "/8/": 1, "/9/": 1}
    assert sum(names("traces", renamed, sc.ORIGINAL + sc.HTTP_ROUTE).values()) == 7
    assert names("traces", renamed, sc.HTTP_METHOD) == {"GET": 10}
    assert limits.others() == {"route": 7}


def test_kept_keys_stay_for_the_minute_and_the_next_one_starts_empty() -> None:
    """Also where a later segment has more expensive ones; few keys change nothing."""
    limits = KeyLimits(per_service=3, overall=100)
    assert limits.apply("traces", encode_record(routes(3))) is None
    renamed = limits.apply("traces", encode_record(routes(3) + routes(2, first=5)))
    assert renamed is not None
    assert names("traces", renamed, sc.HTTP_ROUTE) == {"/0/": 1, "/1/": 1, "/2/": 1, OTHER: 2}
    assert limits.apply("traces", encode_record(routes(3, first=5, start_ns=NOW - 60 * SECOND))) is None


def test_all_services_together_are_bounded_by_cost() -> None:
    """Where each alone is within its bound; the first that comes takes not all the room."""
    limits = KeyLimits(per_service=10, overall=4)
    renamed = limits.apply(
        "traces", encode_record(routes(4, service="a")) + encode_record(routes(4, service="b"))
    )
    assert renamed is not None
    assert [names("traces", [body], sc.HTTP_ROUTE) for body in renamed] == [
        {OTHER: 2, "/2/": 1, "/3/": 1}
    ] * 2


def test_call_sites_links_and_releases_are_keys_too() -> None:
    """A function and its file are one key; a version made of a clock is one of many."""
    limits = KeyLimits(per_service=2, overall=100)
    whole = []
    for number in range(5):
        sender = Sender("shop", resource={"service.version": f"v{number}"})
        request = sender.request("GET", "/", start_ns=NOW)
        sender.stall(request, blocked_ns=number * MS, function=f"view_{number}", file="views.py")
        sender.bridge_call(request, f"call_{number}", held_by=[(request, MS, f"held_{number}")], wait_ns=MS)
        whole.append(encode_record(sender.body()))
    renamed = limits.apply("traces", b"".join(whole))
    assert renamed is not None
    assert names("traces", renamed, sc.HTTP_ROUTE) == {"/": 15}
    assert names("traces", renamed, sc.CODE_FUNCTION)[OTHER] >= 3
    assert names("traces", renamed, sc.BRIDGE_FUNCTION)[OTHER] >= 3
    held: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for body in renamed:
        for resource, items in items_of("traces", request_of("traces", body)):
            versions.update(
                each.value.string_value for each in resource.attributes if each.key == "service.version"
            )
            for _, _, _, links in items:
                for link in links:
                    held.update(a.value.string_value for a in link.attributes if a.key == sc.LINK_FUNCTION)
    assert held[OTHER] == 3
    assert versions[OTHER] == 3
    assert set(limits.others()) == {"call site", "call", "link", "release"}


def test_data_points_are_bounded_as_spans_are() -> None:
    """By their values; nothing else tells their series apart."""
    limits = KeyLimits(per_service=2, overall=100)
    meter = Meter("shop")
    for number in range(5):
        meter.number("asgiscope.request.hops", number, {sc.HTTP_ROUTE: f"/{number}/"}, time_ns=NOW)
    renamed = limits.apply("metrics", encode_record(meter.body()))
    assert renamed is not None
    assert names("metrics", renamed, sc.HTTP_ROUTE) == {OTHER: 3, "/3/": 1, "/4/": 1}
    assert not names("metrics", renamed, sc.ORIGINAL + sc.HTTP_ROUTE)


@pytest.mark.parametrize(("distinct", "suspect"), [(50, False), (2_000, True)])
def test_only_a_segment_that_seems_to_have_many_keys_is_read(distinct: int, suspect: bool) -> None:
    """By a sample of its bytes."""
    sender = Sender("shop")
    for number in range(4_000):
        sender.request("GET", f"/{number % distinct}/")
    limits = KeyLimits(per_service=1_000, overall=10_000)
    assert limits.is_suspect(encode_record(sender.body())) is suspect


def test_keys_that_come_a_few_at_a_time_are_suspect_in_the_end() -> None:
    """Each segment has few, the minute has many."""
    limits = KeyLimits(per_service=1_000, overall=10_000)
    suspect = [limits.is_suspect(encode_record(routes(100, first=number * 100))) for number in range(15)]
    assert not any(suspect[:10])
    assert all(suspect[10:])


def test_twelve_thousand_routes_of_a_minute_are_five_thousand_and_one_row(
    running: Running, service: str
) -> None:
    """Stored whole, listed by name as far as they are kept, summed exactly beside."""
    start = time.time_ns()
    sender = Sender(service)
    for number in range(12_000):
        sender.request("GET", f"/{number}/", start_ns=start, duration_ns=(number + 1) * 1000)
    answer = running.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
    assert answer.is_success, answer.text
    running.wait_for(lambda: running.collector.spool.size == 0)
    rows = running.rows(
        "SELECT uniqExact(Route) AS routes, sum(Requests) AS requests, "
        "sumIf(Requests, endsWith(Route, {other:String})) AS other "
        "FROM asgiscope_requests WHERE ServiceName = {s:String}",
        s=service,
        other=OTHER,
    )
    assert rows == [{"routes": 5_001, "requests": 12_000, "other": 7_000}]
    assert running.get("/api/status")["other_keys"]["route"] >= 7_000
