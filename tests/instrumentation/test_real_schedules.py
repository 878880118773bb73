"""Random schedules on a real loop and real threads: what holds of waits, holders and losses on any machine.

How long anything takes is up to the machine; that it adds up is not. `test_schedules` compares exact values with a
simulated truth.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind, LinkKind, Outcome

from tests.instrumentation.processes import run

SEEDS: Final = (1, 2, 3)
REQUESTS: Final = 12
Span = dict[str, Any]

_DRIVER: Final = """
import random, sys, threading, time, types
from concurrent.futures import ThreadPoolExecutor
from asgiscope.testing import record, results
from asgiscope.testing.recording import _Session
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.urls import path

ran = []

def work(ms):
    begun = time.perf_counter_ns()
    time.sleep(ms / 1000)
    ran.append(time.perf_counter_ns() - begun)

def step(chance):
    kind = chance.choice(("request", "request", "pool", "pool", "impatient", "blocks", "awaits"))
    return kind, [chance.randint(1, 12) for _ in range(chance.randint(1, 4))]

async def take(kind, lengths):
    if kind == "request":
        await asyncio.gather(*(sync_to_async(work)(ms) for ms in lengths))
    elif kind == "pool":
        await asyncio.gather(*(asyncio.to_thread(work, ms) for ms in lengths))
    elif kind == "impatient":
        calls = [asyncio.wait_for(sync_to_async(work)(ms), min(lengths) / 1000) for ms in lengths]
        await asyncio.gather(*calls, return_exceptions=True)
    elif kind == "blocks":
        time.sleep(max(lengths) / 500)
    else:
        await asyncio.sleep(lengths[0] / 1000)

async def scheduled(request, seed):
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        await take(*step(chance))
    return HttpResponse("ok")

site = types.ModuleType("scheduled_urls")
site.urlpatterns = [path("scheduled/<int:seed>/", scheduled)]
sys.modules["scheduled_urls"] = site
settings.ROOT_URLCONF = "scheduled_urls"

async def client(handler, seed):
    chance = random.Random(-seed)
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": f"/scheduled/{seed}/",
             "headers": [(b"host", b"127.0.0.1")], "query_string": b"", "client": ("127.0.0.1", 1)}
    patience = chance.randint(1, 60) / 1000 if chance.random() < 0.3 else None
    bodies = [{"type": "http.request", "body": b""}]
    sent = []
    async def receive():
        if bodies:
            return bodies.pop()
        if patience is None:
            await asyncio.Event().wait()
        await asyncio.sleep(patience)
        return {"type": "http.disconnect"}
    async def send(message):
        sent.append(message)
    await asyncio.sleep(chance.randint(0, 60) / 1000)
    await handler(scope, receive, send)
    return bool(sent)

async def main():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    handler = ASGIHandler()
    ledger = seen._session.made.ledger
    answered = await asyncio.gather(*(client(handler, SEED * 1000 + n) for n in range(REQUESTS)))
    while any(queue.waiting or queue.running for queue in ledger.queues()):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return answered

with record() as seen:
    answered = asyncio.run(main())
spans = [
    {
        "id": f"{span.span_id:x}", "trace": f"{span.trace_id:x}", "parent": f"{span.parent_id:x}",
        "name": span.name, "start": span.start, "end": span.end, "about": results._attributes(span),
        "links": [[f"{link.span_id:x}", dict(link.attributes)] for link in span.links],
    }
    for span in seen._spans()
]
print(json.dumps([answered, ran, spans]))
"""


class Recorded:
    """What one schedule left, and what of it belongs together."""

    def __init__(self, seed: int) -> None:
        self.answered, self.ran, spans = run(
            _DRIVER.replace("SEED", str(seed)).replace("REQUESTS", str(REQUESTS))
        )
        self.spans: list[Span] = spans
        self.by_id = {span["id"]: span for span in self.spans}
        self.requests = [span for span in self.spans if span["name"].partition(" ")[0] == "GET"]
        self.calls = [span for span in self.spans if sc.OUTCOME in span["about"]]

    def links(self, kind: LinkKind) -> Iterator[tuple[Span, str, dict[str, Any]]]:
        """Every link of a kind: from which span, to which, and what it says."""
        for span in self.spans:
            for target, about in span["links"]:
                if about[sc.LINK] == kind:
                    yield span, target, about


@pytest.fixture(scope="module", params=SEEDS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """A schedule that has been run."""
    return Recorded(request.param)


def waited(call: Span) -> tuple[int, int]:
    """When a call joined its queue and when it left it."""
    start = call["about"][sc.SUBMIT_TIME]
    return start, start + call["about"][sc.WAIT_NS]


def ran(call: Span) -> tuple[int, int]:
    """When a call's function ran."""
    start = waited(call)[1]
    return start, start + call["about"][sc.RUN_NS]


def overlap(one: tuple[int, int], other: tuple[int, int]) -> int:
    """How long two intervals have in common."""
    return max(min(one[1], other[1]) - max(one[0], other[0]), 0)


def test_every_request_and_every_function_that_ran_is_there_once(recorded: Recorded) -> None:
    """With the outcome that it had: what ran is as often recorded as it has run."""
    assert len(recorded.requests) == REQUESTS
    assert len(recorded.by_id) == len(recorded.spans)
    outcomes = Counter(call["about"][sc.OUTCOME] for call in recorded.calls if work_of(call))
    assert outcomes[Outcome.RAN] + outcomes[Outcome.CANCELLED_WHILE_RUNNING] == len(recorded.ran)
    assert set(outcomes) <= {Outcome.RAN, Outcome.CANCELLED_WHILE_RUNNING, Outcome.CANCELLED_IN_QUEUE}
    for call in recorded.calls:
        about = call["about"]
        assert (about[sc.OUTCOME] == Outcome.CANCELLED_IN_QUEUE) == (sc.RUN_THREAD_ID not in about)
        assert (about[sc.OUTCOME] == Outcome.RAN) == (not about.get(sc.CANCELLED))
    lengths = sorted(
        call["about"][sc.RUN_NS] for call in recorded.calls if work_of(call) and call["about"][sc.RUN_NS]
    )
    assert all(length >= own for length, own in zip(lengths, sorted(recorded.ran), strict=True))


def work_of(call: Span) -> bool:
    """Whether a call is one that the schedule made."""
    return bool(call["about"][sc.BRIDGE_FUNCTION] == "work")


def test_every_wait_is_divided_among_calls_that_ran_meanwhile(recorded: Recorded) -> None:
    """Of the same queue; what each had of it lies within its run, and with the idle time it is the wait exactly."""
    held: dict[str, list[int]] = defaultdict(list)
    for waiter, target, about in recorded.links(LinkKind.HELD_BY):
        holder = recorded.by_id[target]
        assert holder is not waiter
        assert holder["about"][sc.EXECUTOR_ID] == waiter["about"][sc.EXECUTOR_ID]
        both = overlap(ran(holder), waited(waiter))
        assert 0 < about[sc.OVERLAP_NS] <= both
        if waiter["about"][sc.EXECUTOR_WORKERS] == 1:
            assert about[sc.OVERLAP_NS] == both
        held[waiter["id"]].append(about[sc.OVERLAP_NS])
    for call in recorded.calls:
        about, links = call["about"], held[call["id"]]
        assert sum(links) + about[sc.IDLE_NS] == pytest.approx(about[sc.WAIT_NS], abs=len(links) + 1)
        assert len({target for target, _ in call["links"]}) == len(call["links"])
        assert about.get(sc.WAIT_STARVED_NS, 0) <= about[sc.WAIT_NS]
    assert held


def test_a_finding_of_a_wait_is_of_a_wait_that_others_caused(recorded: Recorded) -> None:
    """Its holders had at least half of it, and it is no longer than the wait."""
    kinds = {FindingKind.CONTENTION, FindingKind.POOL_STARVATION}
    for call in recorded.calls:
        about = call["about"]
        if about.get(sc.FINDING) in kinds:
            assert (about[sc.WAIT_NS] - about[sc.IDLE_NS]) * 2 >= about[sc.WAIT_NS]
            assert about[sc.FINDING_COST_NS] <= about[sc.WAIT_NS]
            in_pool = about[sc.EXECUTOR_ROLE] == sc.ThreadRole.POOL
            assert in_pool == (about[sc.FINDING] == FindingKind.POOL_STARVATION)


def test_requests_are_the_sums_of_their_calls(recorded: Recorded) -> None:
    """Each call is of one request; waiting side by side is not longer than the request."""
    calls: dict[str, list[Span]] = defaultdict(list)
    for call in recorded.calls:
        calls[call["trace"]].append(call)
    for request in recorded.requests:
        own, about = calls[request["trace"]], request["about"]
        assert about[sc.REQUEST_HOPS] == len([call for call in own if call["start"] <= request["end"]])
        assert about[sc.REQUEST_WAIT_NS] <= sum(call["about"][sc.WAIT_NS] for call in own)
        assert about[sc.REQUEST_OVERHEAD_NS] <= request["end"] - request["start"]


def test_nobody_is_two_victims_nor_loses_more_than_it_lasts(recorded: Recorded) -> None:
    """Distinct requests, by finding and by kind; stalls of one loop do not overlap."""
    lengths = {request["id"]: request["end"] - request["start"] for request in recorded.requests}
    added: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    victims: dict[tuple[Any, ...], int] = defaultdict(int)
    lost: dict[tuple[Any, ...], int] = defaultdict(int)
    kinds: Counter[str] = Counter()
    for span in recorded.spans:
        about = span["about"]
        if sc.FINDING not in about:
            continue
        site = (about[sc.FINDING], about.get(sc.CODE_FUNCTION), about.get(sc.CODE_FILE))
        victims[site] += about[sc.FINDING_VICTIMS]
        lost[site] += about[sc.FINDING_VICTIMS_NS]
        kinds[about[sc.FINDING]] += about[sc.KIND_VICTIMS]
    for stall, target, about in recorded.links(LinkKind.DELAYED):
        assert target in lengths
        assert about[sc.OVERLAP_NS] <= min(stall["about"][sc.BLOCKED_NS], lengths[target])
        added[stall["about"].get(sc.CODE_FUNCTION), stall["about"].get(sc.CODE_FILE)][target] += about.get(
            sc.LINK_ADDED_NS, 0
        )
    assert max([*victims.values(), *kinds.values()], default=0) <= REQUESTS
    assert all(ns <= sum(lengths.values()) for ns in lost.values())
    assert all(ns <= lengths[target] for of in added.values() for target, ns in of.items())
    stalls = sorted((s["start"], s["end"]) for s in recorded.spans if s["name"] == sc.SPAN_BLOCKED)
    assert all(one[1] <= other[0] for one, other in pairwise(stalls))
