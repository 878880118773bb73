"""The problems planted in the shop, and the switch between each and its fixed form.

The shop asks `fixed(id)` at the place where the problem stands; the runner compares `PROBLEMS` with what the
collector found. `SHOP_FIX` holds the ids to fix, separated by commas, or `all`.
"""

import functools
import os
from dataclasses import dataclass
from typing import Final

from asgiscope.semconv import FindingKind

ENVIRONMENT_VARIABLE: Final = "SHOP_FIX"

WEB: Final = "shop-web"
"""The service for people: it runs with DJANGO_ALLOW_ASYNC_UNSAFE set, as sites do that once hit a refusal."""
API: Final = "shop-api"
"""The service for programs: the same site, with Django's guard left on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One planted problem and the finding it must lead to."""

    id: str
    kind: FindingKind
    service: str
    function: str
    """Qualified name of the call site's function, without its module."""
    file: str
    """Path of the call site's file, below the demo folder."""
    route: str
    """`http.route` of the requests it happens in; empty for work outside any Django request."""
    what: str
    fix: str
    holder: str = ""
    """Qualified name of the call that must be named as the holder of the thread; empty where none is one."""


PROBLEMS: Final = (
    Problem(
        id="orm_on_loop",
        kind=FindingKind.LOOP_BLOCKED,
        service=WEB,
        function="also_bought",
        file="shop/recommendations.py",
        route="products/<slug:slug>/",
        what="an async view calls a helper that runs a query; DJANGO_ALLOW_ASYNC_UNSAFE lets it through",
        fix="await sync_to_async(also_bought)(product)",
    ),
    Problem(
        id="lazy_queryset",
        kind=FindingKind.LOOP_BLOCKED,
        service=WEB,
        function="product_list",
        file="shop/views/pages.py",
        route="products/",
        what="an async view hands a lazy queryset to render(): the template runs the query on the loop",
        fix="await sync_to_async(render)(...)",
    ),
    Problem(
        id="csv_on_loop",
        kind=FindingKind.LOOP_BLOCKED,
        service=WEB,
        function="order_lines_csv",
        file="shop/reports.py",
        route="reports/order-lines.csv",
        what="an async view awaits its rows properly, then spends the loop's time on formatting them",
        fix="await sync_to_async(order_lines_csv)(rows)",
    ),
    Problem(
        id="requests_on_loop",
        kind=FindingKind.LOOP_BLOCKED,
        service=API,
        function="stock_level",
        file="shop/suppliers.py",
        route="api/products/<slug:slug>/stock/",
        what="an async view calls requests.get()",
        fix="an httpx.AsyncClient",
    ),
    Problem(
        id="hash_on_loop",
        kind=FindingKind.LOOP_BLOCKED,
        service=API,
        function="token",
        file="shop/views/api.py",
        route="api/token/",
        what="an async view hashes a password with check_password()",
        fix="await sync_to_async(user.check_password)(...); acheck_password is no cure in Django 5.2",
    ),
    Problem(
        id="gather_sensitive",
        kind=FindingKind.CONTENTION,
        service=API,
        function="summary",
        file="shop/views/api.py",
        route="api/summary/",
        what="asyncio.gather() over three thread-sensitive calls: they share the request's one thread",
        fix="one bridge call that does all three",
    ),
    Problem(
        id="shared_thread",
        kind=FindingKind.CONTENTION,
        service=WEB,
        function="stock_events",
        file="shop/live.py",
        route="",
        what="a background task holds asgiref's one shared thread; whatever runs outside a request waits",
        fix="a ThreadSensitiveContext of its own around the task's work and around each stream",
        holder="refresh_prices",
    ),
    Problem(
        id="aget_storm",
        kind=FindingKind.HOP_STORM,
        service=API,
        function="recent_purchases",
        file="shop/views/api.py",
        route="api/recent-purchases/",
        what="aget() in a loop: every row crosses to the thread and back",
        fix="one query with select_related()",
    ),
    Problem(
        id="lazy_user",
        kind=FindingKind.REFUSAL,
        service=API,
        function="LoyaltyMiddleware.__call__",
        file="shop/middleware.py",
        route="api/account/",
        what="an async middleware touches request.user, which loads the session and the user lazily",
        fix="await request.auser()",
    ),
    Problem(
        id="sync_middleware",
        kind=FindingKind.SYNC_MIDDLEWARE,
        service=WEB,
        function="GeoIPMiddleware.__call__",
        file="vendor_geoip/middleware.py",
        route="",
        what="a third-party middleware that is sync-only sends every request through a thread",
        fix="its async-capable form",
    ),
    Problem(
        id="parked_thread",
        kind=FindingKind.PARKED_THREAD,
        service=WEB,
        function="checkout",
        file="shop/views/checkout.py",
        route="checkout/",
        what="a sync view waits for a slow coroutine in async_to_sync",
        fix="an async view that awaits it",
    ),
    Problem(
        id="pool_starvation",
        kind=FindingKind.POOL_STARVATION,
        service=WEB,
        function="_picture",
        file="shop/views/pages.py",
        route="contact-sheet/",
        what="40 asyncio.to_thread() calls at once, in a pool of a few workers",
        fix="await the downloads, at most 8 at once, and shrink the images in one pool call",
    ),
)


def parse_fixes(value: str) -> frozenset[str]:
    """Return the problem ids that a value of `SHOP_FIX` asks to fix.

    Raises:
        ValueError: an id is not one of `PROBLEMS`.
    """
    known = frozenset(problem.id for problem in PROBLEMS)
    asked = frozenset(filter(None, (part.strip() for part in value.split(","))))
    if asked == {"all"}:
        return known
    if unknown := sorted(asked - known):
        raise ValueError(
            f"{ENVIRONMENT_VARIABLE} names no problem of the shop: {', '.join(unknown)}. "
            f"Use 'all' or any of: {', '.join(sorted(known))}."
        )
    return asked


@functools.cache
def fixed(problem_id: str) -> bool:
    """Return whether this process runs the fixed form of a problem.

    Raises:
        ValueError: `SHOP_FIX`, or the caller, names a problem that does not exist.
    """
    if all(problem.id != problem_id for problem in PROBLEMS):
        raise ValueError(f"no planted problem is called {problem_id!r}")
    return problem_id in parse_fixes(os.environ.get(ENVIRONMENT_VARIABLE, ""))
