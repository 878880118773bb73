"""A bad half hour of a small shop: every kind of finding, at the places where people really put them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from asgiscope import semconv
from asgiscope.semconv import FindingKind, LinkKind, ThreadRole
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.dashboard.otlp import MS, Site, Thread, Trace, Value, link

SERVICE = "shop"
LOOP = Thread(140_001, "MainThread", ThreadRole.EVENT_LOOP)
REQUEST = Thread(140_002, "ThreadPoolExecutor-7_0", ThreadRole.REQUEST)
SHARED = Thread(140_003, "ThreadPoolExecutor-0_0", ThreadRole.SHARED)
WORKER = Thread(140_004, "asyncio_0", ThreadRole.POOL)

PRODUCTS = Site("list_products", "/srv/shop/catalog/views.py", 41)
EXPORT = Site("export_orders", "/srv/shop/reports/tasks.py", 88)
RECOMMEND = Site("recommendations", "/srv/shop/catalog/api.py", 63)
ACCOUNT = Site("_accounts_redirect", "/venv/lib/python3.12/site-packages/allauth/account/middleware.py", 32)
CART = Site("show_cart", "/srv/shop/cart/views.py", 17)
SOURCE = (
    "    async def list_products(request):",
    "        products = Product.objects.filter(live=True)",
    "        rows = [card(product) for product in products]",
    "        return JsonResponse(rows, safe=False)",
)
STACK = (
    'File "/usr/lib/python3.12/asyncio/events.py", line 88, in _run',
    'File "/venv/lib/python3.12/site-packages/django/core/handlers/base.py", line 253, in _get_response_async',
    'File "/srv/shop/catalog/views.py", line 41, in list_products',
    'File "/venv/lib/python3.12/site-packages/django/db/models/query.py", line 400, in __iter__',
)


@dataclass(frozen=True)
class Incident:
    """One round of the shop's troubles: the traces, and which is which."""

    products: Trace
    export: Trace
    recommend: Trace
    account: Trace
    cart: Trace

    @property
    def traces(self) -> Sequence[Trace]:
        """All of them."""
        return (self.products, self.export, self.recommend, self.account, self.cart)


def incident(start_ns: int, scale: float = 1.0) -> Incident:
    """One round that starts at `start_ns`; `scale` stretches what goes wrong."""
    export = _export(start_ns, scale)
    recommend = _recommend(start_ns + round(12 * MS), export, scale)
    products = _products(start_ns + round(30 * MS), recommend, scale)
    return Incident(
        products, export, recommend, _account(start_ns + 5 * MS), _cart(start_ns + 400 * MS, scale)
    )


def bad_half_hour(now_ns: int, rounds: int = 60) -> list[Incident]:
    """Rounds over half an hour, the same ones each time; the page shows a whole one, so tests may take a while."""
    draw = random.Random(7)  # noqa: S311 - variety, not secrecy
    step_ns = 30 * 60 * 1_000_000_000 // rounds
    return [
        incident(
            now_ns - (rounds - turn) * step_ns, draw.uniform(0.6, 1.6) * (2.0 if turn % 20 > 15 else 1.0)
        )
        for turn in range(rounds)
    ]


def _sums(**sums: float) -> dict[str, Value]:
    return {f"asgiscope.request.{name}": round(value) for name, value in sums.items()}


def _query(
    trace: Trace, thread: Thread, text: str, start_ms: float, length_ms: float, *, parent: Span
) -> None:
    operation, _, collection = text.partition(" ")
    trace.add(
        text,
        start_ms,
        length_ms,
        {
            **thread.tags,
            semconv.DB_SYSTEM: "postgresql",
            semconv.DB_OPERATION: operation,
            semconv.DB_COLLECTION: collection,
            semconv.DB_SUMMARY: text,
            semconv.DB_TEXT: f"{operation} * FROM {collection} WHERE id = %s",
            semconv.DB_ROWS: 12,
        },
        parent=parent,
        kind=Span.SPAN_KIND_CLIENT,
    )


def _export(start_ns: int, scale: float) -> Trace:
    """Return a report export that holds asgiref's one shared thread."""
    trace, length = Trace(start_ns), 260 * scale
    root = trace.request(
        LOOP,
        "POST",
        "reports/export",
        length + 12,
        _sums(hops=1, run_ns=length * MS, queries=2, query_ns=length * MS * 0.8),
    )
    call = trace.bridge(
        (LOOP, SHARED),
        "shop.reports.tasks.export_orders",
        EXPORT,
        4,
        phases_ms=(0.1, length, 0.4),
        parent=root,
        route="reports/export",
    )
    _query(trace, SHARED, "SELECT shop_order", 6, length * 0.6, parent=call)
    _query(trace, SHARED, "SELECT shop_orderline", 8 + length * 0.6, length * 0.2, parent=call)
    return trace


def _recommend(start_ns: int, export: Trace, scale: float) -> Trace:
    """Return an API view that gathers thread-sensitive calls, which queue behind the export and each other."""
    trace = Trace(start_ns)
    held = 260 * scale - 11.9
    route = "api/recommendations"
    root = trace.request(
        LOOP,
        "GET",
        route,
        held + 90,
        _sums(hops=3, wait_ns=(3 * held + 60) * MS, run_ns=60 * MS, queries=3, query_ns=45 * MS),
    )
    holder = export.spans[1]
    before = None
    for turn, name in enumerate(("similar_products", "recently_viewed", "bestsellers")):
        wait = held + 20 * turn
        call = trace.bridge(
            (LOOP, SHARED),
            f"shop.catalog.queries.{name}",
            RECOMMEND,
            4,
            phases_ms=(wait, 20, 1.5),
            parent=root,
            route=route,
            values={
                semconv.FINDING: FindingKind.CONTENTION.value,
                semconv.FINDING_COST_NS: round(wait * MS),
                semconv.QUEUE_DEPTH: turn + 2,
                semconv.IDLE_NS: 0,
            },
        )
        link(
            call,
            holder,
            LinkKind.HELD_BY,
            held,
            {
                **EXPORT.tags,
                semconv.HTTP_ROUTE: "reports/export",
                semconv.LINK_FUNCTION: "shop.reports.tasks.export_orders",
            },
        )
        if before is not None:
            link(
                call,
                before,
                LinkKind.HELD_BY,
                20,
                {
                    **RECOMMEND.tags,
                    semconv.HTTP_ROUTE: route,
                    semconv.LINK_FUNCTION: "shop.catalog.queries.similar_products",
                },
            )
        _query(trace, SHARED, "SELECT shop_product", 4 + wait + 2, 15, parent=call)
        before = call
    return trace


def _products(start_ns: int, victim: Trace, scale: float) -> Trace:
    """Return a product list whose lazy queryset runs its query on the event loop."""
    trace, stall = Trace(start_ns), 70 * scale
    root = trace.request(
        LOOP,
        "GET",
        "products/",
        stall + 60,
        _sums(hops=1, run_ns=18 * MS, loop_caused_ns=stall * MS, queries=2, query_ns=(stall + 12) * MS),
    )
    call = trace.bridge(
        (LOOP, REQUEST),
        "shop.cart.load_cart",
        CART,
        3,
        phases_ms=(0.3, 18, 0.2),
        parent=root,
        route="products/",
    )
    trace.add("session load", 4, 5, {**REQUEST.tags, semconv.SESSION_OPERATION: "load"}, parent=call)
    _query(trace, REQUEST, "SELECT django_session", 5, 3.5, parent=call)
    _query(trace, LOOP, "SELECT shop_product", 30, stall - 2, parent=root)
    blocked = trace.add(
        semconv.SPAN_BLOCKED,
        29,
        stall,
        {
            **LOOP.tags,
            **PRODUCTS.tags,
            semconv.HTTP_ROUTE: "products/",
            semconv.FINDING: FindingKind.LOOP_BLOCKED.value,
            semconv.FINDING_COST_NS: round(stall * MS),
            semconv.FINDING_VICTIMS: 1,
            semconv.FINDING_VICTIMS_NS: round(stall * MS),
            semconv.BLOCKED_NS: round(stall * MS),
            semconv.CAUSE: semconv.Cause.CALL.value,
            semconv.SAMPLES: 3,
            semconv.BLOCKING_OPERATION: "SELECT shop_product",
            semconv.OPERATION_KIND: semconv.OperationKind.QUERY.value,
            "code.stacktrace": "\n".join(STACK),
            semconv.SOURCE: SOURCE,
            semconv.SOURCE_LINE: 39,
        },
        parent=root,
    )
    link(blocked, victim.spans[0], LinkKind.DELAYED, stall, {semconv.HTTP_ROUTE: "api/recommendations"})
    return trace


def _account(start_ns: int) -> Trace:
    """Return an async middleware that touches `request.user`: Django refuses."""
    trace = Trace(start_ns)
    root = trace.request(LOOP, "GET", "accounts/", 9, _sums(hops=0, refusals=1), status=500)
    trace.add(
        semconv.SPAN_REFUSED,
        5,
        0.02,
        {
            **LOOP.tags,
            **ACCOUNT.tags,
            semconv.HTTP_ROUTE: "accounts/",
            semconv.FINDING: FindingKind.REFUSAL.value,
            semconv.FINDING_COST_NS: 0,
            semconv.FINDING_VICTIMS: 1,
            semconv.REFUSED_BY: "django",
            semconv.CHAIN: [
                "middleware allauth.account.middleware.AccountMiddleware",
                "request.user",
                "session load",
                "SELECT django_session",
            ],
            semconv.EXCEPTION_TYPE: "django.core.exceptions.SynchronousOnlyOperation",
        },
        parent=root,
        error="You cannot call this from an async context - use a thread or sync_to_async.",
    )
    return trace


def _cart(start_ns: int, scale: float) -> Trace:
    """Return a cart page that parks its thread in `async_to_sync`, and a pool worker beside it."""
    trace, parked = Trace(start_ns), 40 * scale
    root = trace.request(
        LOOP, "GET", "cart/", parked + 30, _sums(hops=2, run_ns=(parked + 8) * MS, queries=0)
    )
    call = trace.bridge(
        (LOOP, REQUEST),
        "shop.cart.views.show_cart",
        CART,
        2,
        phases_ms=(0.2, parked + 8, 0.3),
        parent=root,
        route="cart/",
    )
    trace.add(
        "async_to_sync shop.cart.prices",
        5,
        parked,
        {
            **REQUEST.tags,
            **CART.tags,
            semconv.HTTP_ROUTE: "cart/",
            semconv.BRIDGE_FUNCTION: "shop.cart.prices",
            semconv.NEW_LOOP: False,
            semconv.PARKED_NS: round(parked * MS),
            semconv.FINDING: FindingKind.PARKED_THREAD.value,
            semconv.FINDING_COST_NS: round(parked * MS),
        },
        parent=call,
    )
    trace.bridge(
        (LOOP, WORKER),
        "shop.cart.exchange_rates",
        CART,
        8,
        phases_ms=(0.1, parked * 0.7, 0.2),
        parent=call,
        route="cart/",
    )
    return trace
