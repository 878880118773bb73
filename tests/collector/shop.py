"""A shop with every kind of trouble, in two versions and two environments: one service for many tests."""

import time
from collections.abc import Sequence
from functools import cache

from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind, ThreadRole

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender

SERVICE = "shop.all_troubles"
CHAIN: Sequence[tuple[str, str, str]] = (
    ("django.middleware.security.SecurityMiddleware", "both", "sync_to_async"),
    ("vendor.geoip.GeoMiddleware", "sync", ""),
    ("django.contrib.sessions.middleware.SessionMiddleware", "both", ""),
    ("shop.middleware.OldMiddleware", "sync", ""),
    ("view", "async", "async_to_sync"),
)


@cache
def a_shop(running: Running) -> str:
    """Send it once, and give its name."""
    now = time.time_ns()
    for environment, version, start, stalls in (
        ("production", "1.0", now - 40 * 60 * SECOND, 12),
        ("production", "2.0", now - 10 * 60 * SECOND, 4),
        ("staging", "2.0", now - 5 * 60 * SECOND, 1),
    ):
        running.send(_process(environment, version, start, stalls))
    return SERVICE


def _process(environment: str, version: str, start: int, stalls: int) -> Sender:
    shop = Sender(
        SERVICE,
        instance=f"{environment} {version}",
        resource={"service.version": version, "deployment.environment.name": environment},
    )
    shop.span(
        sc.SPAN_MIDDLEWARE_CHAIN,
        start_ns=start,
        attributes={
            sc.CHAIN_NAMES: [name for name, _, _ in CHAIN],
            sc.CHAIN_MODES: [mode for _, mode, _ in CHAIN],
            sc.CHAIN_ADAPTED: [adapted for _, _, adapted in CHAIN],
        },
    )
    for n in range(40):
        at = start + n * SECOND
        request = shop.request(
            "GET",
            f"/page/{n % 2}/",
            start_ns=at,
            duration_ns=(20 + n) * MS,
            hops=3,
            wait_ns=2 * MS,
            resume_ns=MS,
        )
        route = {sc.HTTP_ROUTE: request.route}
        code = {sc.CODE_FUNCTION: "show_page", sc.CODE_FILE: "shop/views.py", sc.CODE_LINE: 12}
        holder = shop.bridge_call(
            request,
            "shop.reports.build",
            run_ns=300 * MS,
            executor=ThreadRole.SHARED,
            attributes={**route, **code},
            route=request.route,
        )
        shop.bridge_call(request, "load", run_ns=5 * MS, attributes={**route, **code})
        if n < stalls:
            victim = shop.request("GET", "/other/", start_ns=at, duration_ns=80 * MS)
            shop.stall(request, blocked_ns=60 * MS, delayed=[(victim, 60 * MS)], function="block")
            shop.bridge_call(
                victim,
                "load_cart",
                wait_ns=90 * MS,
                depth=1,
                executor=ThreadRole.SHARED,
                held_by=[(holder, 90 * MS, "shop.reports.build")],
                function="show_cart",
                attributes={sc.HTTP_ROUTE: "/other/"},
            )
        if n % 10 == 0:
            shop.refusal(request, ["view shop", "query"], function="refused")
        pooled = {sc.EXECUTOR_ROLE: "pool", sc.EXECUTOR_WORKERS: 4, sc.BRIDGE_FUNCTION: "shop.images.resize"}
        shop.span(
            "executor shop.images.resize",
            parent=request,
            duration_ns=50 * MS,
            attributes={**pooled, **route, **code, sc.WAIT_NS: 10 * MS, sc.RUN_NS: 40 * MS},
        )
        if n % 20 == 0:
            shop.finding(
                FindingKind.POOL_STARVATION,
                "executor shop.images.resize",
                parent=request,
                cost_ns=200 * MS,
                victims=1,
                victims_ns=200 * MS,
                function="upload",
                attributes={**pooled, sc.WAIT_NS: 200 * MS, sc.RUN_NS: MS},
                links=[
                    (
                        holder,
                        {
                            sc.LINK: str(sc.LinkKind.HELD_BY),
                            sc.OVERLAP_NS: 150 * MS,
                            sc.LINK_FUNCTION: "shop.images.resize",
                        },
                    )
                ],
            )
        shop.finding(
            FindingKind.SYNC_MIDDLEWARE,
            "sync_to_async GeoMiddleware",
            parent=request,
            cost_ns=MS,
            victims=1,
            victims_ns=MS,
            function="GeoMiddleware.__call__",
            file="vendor/geoip.py",
            attributes={
                sc.MIDDLEWARE: "vendor.geoip.GeoMiddleware",
                sc.EXECUTOR_ROLE: "request",
                sc.BRIDGE_FUNCTION: "vendor.geoip.GeoMiddleware",
                sc.WAIT_NS: MS // 2,
                sc.RESUME_NS: MS // 2,
                sc.RUN_NS: 3 * MS,
            },
        )
    shop.finding(
        FindingKind.CONTENTION,
        "sync_to_async stuck",
        cost_ns=30 * SECOND,
        victims=1,
        victims_ns=30 * SECOND,
        function="waits_for_ever",
        start_ns=time.time_ns() - 40 * SECOND,  # and is reported again at the age of a minute
        attributes={
            sc.ONGOING: True,
            sc.BRIDGE_FUNCTION: "shop.tasks.stuck",
            sc.EXECUTOR_ROLE: "shared",
            sc.WAIT_NS: 30 * SECOND,
        },
    )
    return shop
