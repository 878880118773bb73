"""Thousands of distinct keys: pages read what they show, and sums; the engine sorts and cuts."""

from typing import Any

import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import ThreadRole
from asgiscope_collector.store.client import Engine

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender, site

KEYS = 1_500
SHOWN = 1_000
"""The most findings of a comparison; every other list is shorter."""


@pytest.fixture(scope="module")
def crawled(running: Running) -> str:
    """Return a service of which each request has a route, a stall, a call and a release of its own."""
    sender = Sender("crawled")
    for number in range(KEYS):
        route = f"/path/{number:04}/"
        request = sender.request("GET", route, hops=2, wait_ns=(number + 1) * MS, duration_ns=10_000 * MS)
        sender.stall(request, blocked_ns=MS, function=f"view_{number:04}")
        sender.bridge_call(
            request,
            f"load_{number:04}",
            executor=ThreadRole.SHARED,
            run_ns=(number + 1) * MS,
            attributes={sc.HTTP_ROUTE: route, **site(f"caller_{number:04}", "shop/views.py", number)},
        )
    running.send(sender)
    return sender.service


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many rows each statement gave that the collector ran."""
    counts: list[int] = []
    rows = Engine.rows

    def counted(self: Engine, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        found = rows(self, sql, parameters)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Engine, "rows", counted)
    return counts


@pytest.mark.parametrize("since", ["1h", "24h"])
@pytest.mark.parametrize(
    "question",
    [
        "overview",
        "findings",
        "blocking",
        "contention",
        "pools",
        "refusals",
        "hops",
        "middleware",
        "releases/compare",
    ],
)
def test_an_answer_reads_no_more_rows_than_it_shows(
    running: Running, crawled: str, rows_read: list[int], question: str, since: str
) -> None:
    """However many keys there are: what is read of each of them is read in the engine."""
    running.get(f"/api/{question}", service=crawled, since=since)
    assert rows_read
    assert max(rows_read) <= SHOWN


def test_sums_of_a_wide_answer_are_of_all_keys(running: Running, crawled: str) -> None:
    """Totals, shares and the order count what is not shown."""
    hops = running.get("/api/hops", service=crawled, limit=2)
    assert [row["route"] for row in hops["routes"]] == [f"/path/{KEYS - 1:04}/", f"/path/{KEYS - 2:04}/"]
    assert (hops["routes_total"], hops["sites_total"]) == (KEYS, KEYS)
    beyond = running.get("/api/hops", service=crawled, offset=KEYS)
    assert (beyond["routes"], beyond["routes_total"]) == ([], KEYS)
    compared = running.get("/api/releases/compare", service=crawled, since="1h")
    assert (len(compared["traffic"]), compared["traffic_total"]) == (200, KEYS)
    assert compared["traffic_distance"] == pytest.approx(0.5)
    assert {row["share"] for row in compared["traffic"]} == {1 / KEYS}
    assert compared["other"]["requests"] == KEYS
    shared = running.get("/api/contention", service=crawled)["shared"]
    assert [each["function"] for each in shared["occupants"][:2]] == [
        f"load_{KEYS - 1:04}",
        f"load_{KEYS - 2:04}",
    ]
    busy = sum(step["busy_ns"] for step in shared["steps"])
    assert busy == sum(range(KEYS + 1)) * MS
    assert [
        sum(step["by"][0] for step in shared["steps"]),
        sum(step["calls"] for step in shared["steps"]),
    ] == [
        KEYS * MS,
        KEYS,
    ]


def test_routes_of_spans_and_of_tallies_are_sorted_together(running: Running, service: str) -> None:
    """One list of two sources, for two services: each as it is counted, the costliest first."""
    sampled, tallied = f"{service}-sampled", f"{service}-tallied"
    sender = Sender(sampled, resource={"service.version": service})
    for number in (1, 4):
        sender.request("GET", f"/{number}/", hops=number, wait_ns=number * 10 * MS, duration_ns=200 * MS)
    running.send(sender)
    meter = Meter(tallied, **{"service.version": service})
    meter.number(sc.METRIC_LOOP_TIME, 10.0)
    for number in (2, 5):
        route = {sc.HTTP_ROUTE: f"/{number}/"}
        meter.histogram(sc.METRIC_REQUEST, [0.2], route, buckets=(-40, [1]))
        meter.number(sc.METRIC_REQUEST_SUMS + "overhead", number / 100, route)
    running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    running.wait_for(lambda: running.collector.spool.size == 0)
    for since in ("1h", "24h"):
        asked = {"version": service, "since": since}
        found = running.get("/api/hops", **asked)
        expected = [(tallied, "/5/"), (sampled, "/4/"), (tallied, "/2/"), (sampled, "/1/")]
        assert [(row["service"], row["route"]) for row in found["routes"]] == expected
        assert [row["overhead_ns"] for row in found["routes"]] == [50 * MS, 40 * MS, 20 * MS, 10 * MS]
        page = running.get("/api/hops", limit=2, offset=1, **asked)
        assert (page["routes"], page["routes_total"]) == (found["routes"][1:3], 4)
        compared = running.get("/api/releases/compare", **asked)["traffic"]
        own = [row for row in compared if row["service"] in (sampled, tallied)]  # others have no such release
        assert [(row["service"], row["requests"]) for row in own] == [
            (sampled, 1), (sampled, 1), (tallied, 1), (tallied, 1)
        ]  # fmt: skip
