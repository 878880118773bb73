"""`/api/pools`: how full thread pools were, what ran there, and what kept every worker busy."""

import time

import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender


def test_a_full_pool_names_what_filled_it(running: Running, sender: Sender) -> None:
    """Two pools of one service, told apart by their workers; starvation with its holders."""
    start = time.time_ns() // (60 * SECOND) * 60 * SECOND - 120 * SECOND

    def pooled(workers: int, function: str, wait_ns: int, run_ns: int) -> dict[str, object]:
        return {
            sc.EXECUTOR_ROLE: "pool",
            sc.EXECUTOR_WORKERS: workers,
            sc.BRIDGE_FUNCTION: function,
            sc.WAIT_NS: wait_ns,
            sc.RUN_NS: run_ns,
        }

    request = sender.request("GET", "/images/", start_ns=start)
    for n in range(30):
        sender.span(
            "executor resize",
            parent=request,
            start_ns=start + n * SECOND,
            attributes=pooled(2, "resize", 0, 3 * SECOND),
        )
    sender.span("executor rare", parent=request, start_ns=start, attributes=pooled(8, "rare", 0, MS))
    for _ in range(4):
        sender.finding(
            FindingKind.POOL_STARVATION,
            "executor upload",
            parent=request,
            cost_ns=500 * MS,
            victims=1,
            start_ns=start,
            attributes=pooled(2, "upload", 500 * MS, MS),
            links=[
                (
                    request,
                    {
                        sc.LINK: "held_by",
                        sc.OVERLAP_NS: 450 * MS,
                        sc.LINK_FUNCTION: "resize",
                        sc.HTTP_ROUTE: "/images/",
                    },
                )
            ],
        )
    running.send(sender)
    whole = running.get("/api/pools", service=sender.service)
    small, large = whole["pools"]
    pages = [running.get("/api/pools", service=sender.service, limit=1, offset=n) for n in range(2)]
    assert [page["pools"] for page in pages] == [[small], [large]]
    assert [page["total"] for page in (whole, *pages)] == [2, 2, 2]
    assert (small["workers"], small["calls"], small["run_ns"]) == (2, 34, 90 * SECOND + 4 * MS)
    assert small["saturation"] == pytest.approx((90 * SECOND + 4 * MS) / (2 * 60 * SECOND))
    assert (small["starved"], len(small["finding_ids"])) == (4, 1)
    assert [(user["function"], user["calls"]) for user in small["users"]] == [("resize", 30), ("upload", 4)]
    assert small["users"][0]["share"] == pytest.approx(1, abs=0.001)
    (holder,) = small["filled_by"]
    assert (holder["function"], holder["overlap_ns"], holder["count"]) == ("resize", 4 * 450 * MS, 4)
    assert small["longest_ns"] == 500 * MS
    assert sum(point["run_ns"] for point in small["series"]) == small["run_ns"]
    assert (large["workers"], large["calls"]) == (8, 1)
