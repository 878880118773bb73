"""`/api/blocking`: what stopped event loops, against the spans that were sent."""

import time

import pytest
from asgiscope import semconv as sc

from tests.collector.conftest import Json, Running
from tests.collector.spans import MS, SECOND, Sender

NO_BACKGROUND = {"messages": 0, "tasks": 0, "background_ns": 0}


def test_call_sites_by_route_and_share(running: Running, service: str) -> None:
    """Two sites over two routes and two processes: sums, victims, shares of the time the loops were watched."""
    start = time.time_ns() // (60 * SECOND) * 60 * SECOND - 180 * SECOND
    workers = [Sender(service, instance=f"worker {n}") for n in range(2)]
    for n in range(60):
        shop = workers[n % 2]
        request = shop.request("GET", f"/route/{n % 3 % 2}/", start_ns=start + n * SECOND)
        victim = shop.request("GET", "/victim/", start_ns=start + n * SECOND)
        shop.stall(
            request,
            blocked_ns=300 * MS,
            function="slow",
            delayed=[(victim, 200 * MS)],
            start_ns=request.start_ns,
        )
        if n % 6 == 0:
            shop.stall(request, blocked_ns=10 * MS, function="quick", start_ns=request.start_ns)
    running.send(*workers)
    found = running.get("/api/blocking", service=service)
    slow, quick = found["sites"]
    assert (slow["call_site"]["function"], slow["count"], slow["total_ns"]) == ("slow", 60, 60 * 300 * MS)
    assert (quick["count"], quick["total_ns"], quick["max_ns"]) == (10, 100 * MS, 10 * MS)
    assert slow["victims"] == {"requests": 60, "total_ns": 60 * 200 * MS, **NO_BACKGROUND}
    assert [(route["route"], route["count"]) for route in slow["routes"]] == [
        ("/route/0/", 40),
        ("/route/1/", 20),
    ]
    assert found["total"] == 2
    assert found["blocked_ns"] == slow["total_ns"] + quick["total_ns"]
    assert found["loop_ns"] == 2 * 60 * SECOND
    assert slow["loop_share"] == pytest.approx(slow["total_ns"] / found["loop_ns"])
    assert found["loop_share"] == pytest.approx(found["blocked_ns"] / found["loop_ns"])
    assert sum(point["blocked_ns"] for point in found["series"]) == found["blocked_ns"]
    assert max(point["loop_share"] for point in found["series"]) == pytest.approx(found["loop_share"])
    second = running.get("/api/blocking", service=service, limit=1, offset=1)
    assert (second["sites"], second["total"]) == ([quick], 2)
    beyond = running.get("/api/blocking", service=service, offset=2)
    assert (beyond["sites"], beyond["total"]) == ([], 2)
    assert running.get("/api/blocking", service=service, route="/nowhere/")["sites"] == []


def test_messages_and_tasks_that_a_call_site_delayed_are_counted_apart(
    running: Running, sender: Sender
) -> None:
    """By call site and by the route that blocked, as the finding and its routes have them."""
    for route, messages, tasks in (("/report/", 2, 0), ("/report/", 1, 1), ("/", 0, 3), ("/quiet/", 0, 0)):
        delayed = {
            sc.FINDING_MESSAGES: messages,
            sc.FINDING_TASKS: tasks,
            sc.FINDING_BACKGROUND_NS: (messages + tasks) * 10 * MS,
        }
        sender.stall(sender.request("GET", route), blocked_ns=20 * MS, function="slow", attributes=delayed)
    running.send(sender)

    def background(victims: Json) -> tuple[int, int, int]:
        return victims["messages"], victims["tasks"], victims["background_ns"] // MS

    for since in ("1h", "24h"):
        (site,) = running.get("/api/blocking", service=sender.service, since=since)["sites"]
        detail = running.get(f"/api/findings/{site['finding_id']}", since=since)
        assert background(site["victims"]) == background(detail["victims"]) == (3, 4, 70)
        for routes in (site["routes"], detail["by_route"]):
            assert {row["route"]: background(row["victims"]) for row in routes} == {
                "/report/": (3, 1, 40),
                "/": (0, 3, 30),
                "/quiet/": (0, 0, 0),
            }
