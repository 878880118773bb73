"""Random traffic with a known truth: what services and processes would send, and what every answer must say.

Each example has its own service names, so that all of them share one store. What is random comes from hypothesis:
which SDK a service runs, how it samples, whether it sends tallies, how its clock is off, when its process is
replaced by a new one, in which order bodies arrive, which of them come twice, and what its requests did.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

from asgiscope import semconv as sc
from hypothesis import strategies as st

from tests.collector.points import Meter
from tests.collector.spans import MS, SECOND, Sender

MINUTE: Final = 60 * SECOND
WORKERS: Final = 4
"""Of a process's thread pool."""
MINUTES: Final = 8
"""How long the traffic lasts."""
LAYERS: Final = ("shop.middleware.Locale", "shop.middleware.Stamp")
HOOKS: Final = ("Locale.process_request", "Stamp.process_response")
_CLASSES: Final = {0: "none", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}
_NAMES: Final = {
    0: "unanswered",
    2: "successful",
    3: "redirection",
    4: "client_error",
    5: "server_error",
}


@dataclass(frozen=True)
class Visit:
    """One request as it really was."""

    minute: int
    route: str
    status: int
    duration_ms: int
    waits_ms: Sequence[int]
    """Of its bridge calls, all side by side: together they cost it the longest."""
    stalls_ms: int
    """How long its own code blocked the loop."""
    refused: bool
    sampled: bool
    pooled: bool = False
    """Its calls wait for a thread pool, not for the request's thread."""

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return self.status >= 500


@dataclass(frozen=True)
class Plan:
    """One service: what it runs, and what it did."""

    watched: bool
    tallied: bool
    restarted: bool
    """Its second half is of a new process."""
    shifted_ms: int
    """How far its clock is ahead; within what counts as the same minute."""
    visits: Sequence[Visit]
    off_minutes: int = 0
    """How far the clock of its host is off, beside that."""

    def part(self, process: int) -> "Plan":
        """Return what one of its processes did."""
        visits = [visit for visit in self.visits if self.process_of(visit) == process]
        return replace(self, restarted=False, visits=visits)

    def process_of(self, visit: Visit) -> int:
        """Return which of its processes answered."""
        return visit.minute * 2 // MINUTES if self.restarted else 0


@dataclass
class Truth:
    """What the answers about a service must be."""

    requests: int = 0
    errors: int = 0
    responses: Counter[str] = field(default_factory=Counter)
    hops: int = 0
    wait_ns: int = 0
    overhead_ns: int = 0
    blocked_ns: int = 0
    refusals: int = 0
    by_route: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    victims: Counter[str] = field(default_factory=Counter)
    """Distinct requests by kind of finding; each kind has one call site here."""
    lost_ns: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    calls_by_role: Counter[str] = field(default_factory=Counter)
    pool_calls: int = 0
    """Of those that were sent as spans."""
    longest_stall_ns: int = 0


def visits() -> st.SearchStrategy[Visit]:
    """Requests."""
    return st.builds(
        Visit,
        minute=st.integers(0, MINUTES - 1),
        route=st.sampled_from(["/", "/cart/", "/pay/<int:id>/"]),
        status=st.sampled_from([200, 200, 200, 204, 302, 404, 500, 503, 0]),
        duration_ms=st.integers(1, 900),
        waits_ms=st.lists(st.integers(0, 400), max_size=3),
        stalls_ms=st.sampled_from([0, 0, 0, 60, 250]),
        refused=st.sampled_from([False, False, False, True]),
        sampled=st.booleans(),
        pooled=st.sampled_from([False, False, True]),
    )


def plans() -> st.SearchStrategy[Plan]:
    """Services."""
    return st.builds(
        Plan,
        watched=st.sampled_from([True, True, False]),
        tallied=st.booleans(),
        restarted=st.booleans(),
        shifted_ms=st.sampled_from([0, 0, -700, 900]),
        visits=st.lists(visits(), min_size=1, max_size=25),
        off_minutes=st.sampled_from([0, 0, 0, 120, -180]),
    )


def truth_of(plan: Plan) -> Truth:
    """Return what really happened; without tallies only of what was not sampled away, for nothing else is known."""
    truth = Truth()
    for visit in visits_of(plan):
        digit = visit.status // 100
        truth.requests += 1
        truth.errors += visit.failed
        truth.responses[_NAMES[digit]] += 1
        route = truth.by_route[visit.route]
        route["requests"] += 1
        route["errors"] += visit.failed
        if not plan.watched:
            continue
        overhead = min(max(visit.waits_ms, default=0), visit.duration_ms) * MS
        truth.hops += len(visit.waits_ms)
        if visit.waits_ms:
            truth.calls_by_role["pool" if visit.pooled else "request"] += len(visit.waits_ms)
        truth.wait_ns += sum(visit.waits_ms) * MS
        truth.overhead_ns += overhead
        route["hops"] += len(visit.waits_ms)
        route["overhead_ns"] += overhead
    for visit in plan.visits if plan.watched else ():  # findings are sent whatever is sampled
        if visit.waits_ms and max(visit.waits_ms) >= 50:
            lost = min(max(visit.waits_ms), visit.duration_ms) * MS
            slow = [wait for wait in visit.waits_ms if wait >= 50]
            truth.occurrences["contention"] += len(slow)
            truth.victims["contention"] += 1
            truth.lost_ns["contention"] += lost
        if visit.pooled and _is_sent(visit):
            truth.pool_calls += len(visit.waits_ms)
        if visit.stalls_ms:
            truth.blocked_ns += visit.stalls_ms * MS
            truth.longest_stall_ns = max(truth.longest_stall_ns, visit.stalls_ms * MS)
            truth.occurrences["loop_blocked"] += 1
        if visit.refused:
            truth.refusals += 1
            truth.occurrences["refusal"] += 1
            truth.victims["refusal"] += 1
    return truth


def visits_of(plan: Plan) -> list[Visit]:
    """Return the requests that a service tells of: all with tallies, else those of which a span is sent."""
    if plan.watched and not plan.tallied:
        return [visit for visit in plan.visits if _is_sent(visit)]
    return list(plan.visits)


def _is_sent(visit: Visit) -> bool:
    """Return a trace that is not sampled is sent where something in it is notable."""
    slow = any(wait >= 50 for wait in visit.waits_ms)
    return visit.sampled or slow or bool(visit.stalls_ms) or visit.refused


def bodies(plan: Plan, service: str, start_ns: int) -> tuple[list[bytes], list[bytes]]:
    """Return what the service sends: bodies of spans, and bodies of metrics."""
    start_ns += plan.off_minutes * MINUTE
    if not plan.watched:
        return _of_another_sdk(plan, service, start_ns), []
    spans, metrics = [], []
    for process in range(2 if plan.restarted else 1):
        mine = plan.part(process).visits
        resource = {"host.name": "web", "process.pid": 100 + process, "service.version": f"{process + 1}.0"}
        spans += _spans(plan, mine, service, resource, start_ns)
        if plan.tallied:
            metrics.append(_tallies(mine, service, resource, start_ns))
    return spans, metrics


def _at(plan: Plan, visit: Visit, start_ns: int) -> int:
    return start_ns + visit.minute * MINUTE + 20 * SECOND + plan.shifted_ms * MS


def _of_another_sdk(plan: Plan, service: str, start_ns: int) -> list[bytes]:
    made = []
    node = Sender(service, scope="@opentelemetry/instrumentation-http")
    for visit in plan.visits:
        request = node.request(
            "GET",
            visit.route,
            start_ns=_at(plan, visit, start_ns),
            duration_ns=visit.duration_ms * MS,
            status=visit.status,
        )
        node.span("middleware", parent=request)
        made.append(node.body())
    return made


def _spans(
    plan: Plan, mine: Sequence[Visit], service: str, resource: dict[str, Any], start_ns: int
) -> list[bytes]:
    made = []
    shop = Sender(service, instance=f"pid {resource['process.pid']}", resource=resource)
    shop.span(
        sc.SPAN_MIDDLEWARE_CHAIN,
        start_ns=start_ns,
        attributes={
            sc.CHAIN_NAMES: [*LAYERS, "view"],
            sc.CHAIN_MODES: ["both", "both", "async"],
            sc.CHAIN_ADAPTED: ["", "", ""],
            sc.CHAIN_HOOKS: [*HOOKS, ""],
        },
    )
    for visit in mine:
        if not _is_sent(visit):
            continue
        at = _at(plan, visit, start_ns)
        longest = max(visit.waits_ms, default=0)
        request = shop.request(
            "GET",
            visit.route,
            start_ns=at,
            duration_ns=visit.duration_ms * MS,
            status=visit.status,
            hops=len(visit.waits_ms),
            wait_ns=sum(visit.waits_ms) * MS,
            overhead_ns=min(longest, visit.duration_ms) * MS,
        )
        before = False
        for place, wait in enumerate(sorted(visit.waits_ms, reverse=True)):
            slow = wait >= 50
            attributes = {
                sc.HTTP_ROUTE: visit.route,
                sc.OVERHEAD_NS: min(wait, visit.duration_ms) * MS if place == 0 else 0,
                **({sc.EXECUTOR_WORKERS: WORKERS} if visit.pooled else {}),
            }
            # The longest comes first: it adds the request, and covers what the others lost.
            added = min(wait, visit.duration_ms) * MS if slow and not before else 0
            options: dict[str, Any] = {"victims": int(bool(added)), "victims_ns": added} if slow else {}
            shop.bridge_call(
                request,
                HOOKS[place % 2],
                wait_ns=wait * MS,
                start_ns=at,
                attributes=attributes,
                executor=sc.ThreadRole.POOL if visit.pooled else sc.ThreadRole.REQUEST,
                held_by=[(request, wait * MS, "hold")] if slow else (),
                **options,
            )
            before = before or slow
        if visit.stalls_ms:
            shop.stall(request, blocked_ns=visit.stalls_ms * MS, start_ns=at)
        if visit.refused:
            shop.refusal(request, ["view"], start_ns=at)
        made.append(shop.body())
    if shop.spans:
        made.append(shop.body())
    return made


def _tallies(mine: Sequence[Visit], service: str, resource: dict[str, Any], start_ns: int) -> bytes:
    meter = Meter(service, **resource)
    for minute in range(MINUTES):
        at = start_ns + minute * MINUTE + 59 * SECOND
        here = [visit for visit in mine if visit.minute == minute]
        meter.number(sc.METRIC_LOOP_TIME, 60.0, time_ns=at)
        stalls = [visit.stalls_ms / 1e3 for visit in here if visit.stalls_ms]
        if stalls:
            cause = {sc.CAUSE: "call"}
            meter.histogram(sc.METRIC_LOOP_BLOCKED, stalls, cause, time_ns=at, buckets=buckets_of(stalls))
        for route in {visit.route for visit in here}:
            there = [visit for visit in here if visit.route == route]
            about = {sc.HTTP_ROUTE: route}
            durations = [visit.duration_ms / 1e3 for visit in there]
            meter.histogram(sc.METRIC_REQUEST, durations, about, time_ns=at, buckets=buckets_of(durations))
            sums = {
                "hops": sum(len(visit.waits_ms) for visit in there),
                "errors": sum(visit.failed for visit in there),
                "wait": sum(sum(visit.waits_ms) for visit in there) / 1e3,
                "overhead": sum(min(max(visit.waits_ms, default=0), visit.duration_ms) for visit in there)
                / 1e3,
            }
            for name, value in sums.items():
                meter.number(sc.METRIC_REQUEST_SUMS + name, value, about, time_ns=at)
            for digit, count in Counter(visit.status // 100 for visit in there).items():
                labels = {**about, sc.RESPONSE_CLASS: _CLASSES[digit]}
                meter.number(sc.METRIC_REQUEST_RESPONSES, count, labels, time_ns=at)
            for (place, function), pooled in product(enumerate(HOOKS), (False, True)):
                waits = [
                    wait / 1e3
                    for visit in there
                    if visit.pooled == pooled
                    for n, wait in enumerate(sorted(visit.waits_ms, reverse=True))
                    if n % 2 == place
                ]
                if waits:
                    role = "pool" if pooled else "request"
                    labels = {**about, sc.BRIDGE_FUNCTION: function, sc.EXECUTOR_ROLE: role}
                    meter.histogram(
                        sc.METRIC_BRIDGE_WAIT, waits, labels, time_ns=at, buckets=buckets_of(waits)
                    )
    return meter.body()


def buckets_of(values: Sequence[float]) -> tuple[int, list[int]]:
    """Return the exponential histogram at scale 4 of what is greater than zero."""
    counts = Counter(math.ceil(math.log2(value) * 16) - 1 for value in values if value > 0)
    if not counts:
        return 0, []
    return min(counts), [counts[index] for index in range(min(counts), max(counts) + 1)]
