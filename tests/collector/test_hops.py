"""`/api/hops`: crossings by route and by call site."""

from asgiscope import semconv as sc
from asgiscope.semconv import ThreadRole

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender, site


def test_routes_and_sites_by_what_crossing_costs(running: Running, sender: Sender) -> None:
    """Sums of the requests, and of the calls below them; the costliest first."""
    for n in range(10):
        route = f"/route/{n % 2}/"
        request = sender.request(
            "GET", route, hops=4 + n % 2, wait_ns=(n % 2 + 1) * MS, resume_ns=MS, run_ns=5 * MS
        )
        for function, wait_ns in (("load", MS), ("save", 0)):
            sender.bridge_call(
                request,
                function,
                wait_ns=wait_ns,
                resume_ns=MS,
                executor=ThreadRole.REQUEST,
                attributes={sc.HTTP_ROUTE: route, **site(f"{function}_caller", "shop/views.py", n)},
            )
    running.send(sender)
    found = running.get("/api/hops", service=sender.service)
    assert [
        (row["route"], row["requests"], row["hops"], row["hops_per_request"]) for row in found["routes"]
    ] == [
        ("/route/1/", 5, 25, 5.0),
        ("/route/0/", 5, 20, 4.0),
    ]
    assert found["routes"][0]["overhead_ns"] == 5 * 3 * MS
    assert (found["routes_total"], found["sites_total"]) == (2, 4)
    assert [(row["function"], row["route"], row["calls"], row["overhead_ns"]) for row in found["sites"]] == [
        ("load", "/route/0/", 5, 10 * MS),
        ("load", "/route/1/", 5, 10 * MS),
        ("save", "/route/0/", 5, 5 * MS),
        ("save", "/route/1/", 5, 5 * MS),
    ]
    assert found["sites"][0]["call_site"]["function"] == "load_caller"
    one = running.get("/api/hops", service=sender.service, route="/route/1/", limit=1, offset=1)
    assert (one["routes"], one["routes_total"]) == ([], 1)
    assert [row["function"] for row in one["sites"]] == ["save"]
