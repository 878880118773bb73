"""Every number of every answer against traffic of which the truth is known: `oracle.py` makes it.

`make oracle` runs many more examples (ASGISCOPE_TEST_ORACLE).
"""

import itertools
import os
import random
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import Json, Running
from tests.collector.oracle import HOOKS, LAYERS, MINUTE, MINUTES, Plan, Truth, bodies, plans, told, truth_of
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender

EXAMPLES = int(os.environ.get("ASGISCOPE_TEST_ORACLE", "6"))
_numbers = itertools.count()


def about(value: float) -> Any:
    """A duration that came as seconds: exact but for what a double and the sum of some lose."""
    return pytest.approx(value, rel=1e-6, abs=50)


class ResponseCache:
    """What the API says of one service in the time of an example."""

    def __init__(self, running: Running, service: str, start_ns: int) -> None:
        self._running = running
        self.service = service
        self._range = {"since": str(start_ns), "until": str(start_ns + (MINUTES + 1) * MINUTE)}

    def __call__(self, path: str, **parameters: Any) -> Json:
        return self._running.get(f"/api/{path}", service=self.service, **self._range, **parameters)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 10,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(planned=st.lists(plans(), min_size=1, max_size=3), seed=st.integers(0, 2**32))
def test_every_answer_is_the_truth(running: Running, planned: list[Plan], seed: int) -> None:
    """Whatever the services run and sample, in whatever order their bodies come, and how often."""
    dice = random.Random(seed)  # noqa: S311 - test data
    start_ns = (time.time_ns() // MINUTE - 30) * MINUTE
    example = next(_numbers)
    services = [f"oracle-{example}-{place}" for place in range(len(planned))]
    posts = []
    for plan, service in zip(planned, services, strict=True):
        spans, metrics = bodies(plan, service, start_ns)
        posts += [("traces", body) for body in spans] + [("metrics", body) for body in metrics]
    posts += dice.sample(posts, len(posts) // 3)  # an answer was missed: sent again
    dice.shuffle(posts)
    for signal, body in posts:
        answer = running.http.post(f"/v1/{signal}", content=body, headers=PROTOBUF_HEADERS)
        assert answer.status_code == httpx.codes.OK, answer.text
    running.wait_for(lambda: running.collector.spool.size == 0)
    for plan, service in zip(planned, services, strict=True):
        ask, truth = ResponseCache(running, service, start_ns), truth_of(plan)
        overview_is(ask, plan, truth)
        routes_are(ask, plan, truth)
        findings_are(ask, truth)
        if plan.watched:
            middleware_is(ask, truth)
            contention_is(ask, truth)
        releases_are(ask, plan, truth)
        traces_are(ask, plan)
    decisions_are_kept(running, services[0], start_ns)


def overview_is(ask: ResponseCache, plan: Plan, truth: Truth) -> None:
    """The service's row, and the series that add up to it."""
    overview = ask("overview")
    (health,) = overview["services"]
    assert (health["requests"], health["errors"]) == (truth.requests, truth.errors)
    assert {name: count for name, count in health["responses"].items() if count} == truth.responses
    assert (health["watched"], health["exact"]) == (plan.watched, plan.watched and plan.tallied)
    assert health["refusals"] == truth.refusals
    assert health["loop_blocked_ns"] == about(truth.blocked_ns)
    if not plan.watched:
        assert (health["loop_blocked_share"], health["hops_per_request"]) == (None, None)
    else:
        per_request = truth.hops / truth.requests if truth.requests else 0
        assert health["hops_per_request"] == pytest.approx(per_request)
        assert health["calls"] == truth.hops
        assert health["wait_ns"] == about(truth.wait_ns)
    for name in ("requests", "errors", "refusals", "loop_blocked_ns", "wait_ns"):
        assert sum(point[name] for point in overview["series"]) == about(health[name]), name


def routes_are(ask: ResponseCache, plan: Plan, truth: Truth) -> None:
    """Each route's requests, errors, hops and what they cost."""
    rows = {row["route"]: row for row in ask("hops")["routes"]}
    assert rows.keys() == (truth.by_route.keys() if plan.watched else set())
    durations: dict[str, int] = {}
    for visit in told(plan):
        durations[visit.route] = durations.get(visit.route, 0) + visit.duration_ms * MS
    for route, row in rows.items():
        known = truth.by_route[route]
        for name in ("requests", "errors", "hops"):
            assert row[name] == known[name], (route, name)
        assert row["overhead_ns"] == about(known["overhead_ns"])
        assert row["overhead_ns"] <= durations[route] + 50
    if plan.watched:
        assert sum(row["overhead_ns"] for row in rows.values()) == about(truth.overhead_ns)


def findings_are(ask: ResponseCache, truth: Truth) -> None:
    """Occurrences, affected requests and what they lost; on the list, on the finding's page and on its kind's."""
    found = {finding["kind"]: finding for finding in ask("findings")["findings"]}
    assert {kind: finding["count"] for kind, finding in found.items()} == truth.occurrences
    for kind, finding in found.items():
        assert finding["victims"]["requests"] == truth.victims[kind], kind
        assert finding["victims"]["total_ns"] == truth.lost_ns[kind], kind
        detail = ask(f"findings/{finding['id']}")
        assert sum(point["count"] for point in detail["series"]) == finding["count"]
        assert sum(row["count"] for row in detail["by_route"]) == finding["count"]
        assert sum(row["victims"]["requests"] for row in detail["by_route"]) == truth.victims[kind]
        assert sum(row["count"] for row in detail["by_release"]) == finding["count"]
    if "refusal" in found:
        refusals = ask("refusals")
        assert [(row["count"], row["requests"]) for row in refusals["refusals"]] == [
            (truth.refusals, truth.victims["refusal"])
        ]
        assert sum(point["requests"] for point in refusals["series"]) == truth.requests
    blocking = ask("blocking")
    assert blocking["blocked_ns"] == about(truth.blocked_ns)
    assert [site["count"] for site in blocking["sites"]] == [
        count for kind, count in truth.occurrences.items() if kind == "loop_blocked"
    ]


def middleware_is(ask: ResponseCache, truth: Truth) -> None:
    """Hook hops of each layer, which are all hops here."""
    (chain,) = ask("middleware")["chains"]
    assert chain["requests"] == truth.requests
    assert [layer["name"] for layer in chain["layers"]] == [*LAYERS, "view"]
    assert chain["hook_hops"] * truth.requests == pytest.approx(truth.hops)
    assert chain["hops_per_request"] * truth.requests == pytest.approx(truth.hops)
    assert sum(layer["calls"] for layer in chain["layers"]) == truth.hops


def contention_is(ask: ResponseCache, truth: Truth) -> None:
    """Calls and waits by the thread's role are the overview's."""
    roles = ask("contention")["roles"]
    assert sum(role["calls"] for role in roles) == truth.hops
    assert sum(role["wait_ns"] for role in roles) == about(truth.wait_ns)


def releases_are(ask: ResponseCache, plan: Plan, truth: Truth) -> None:
    """Requests by version add up to the overview's."""
    versions = {row["version"]: row["requests"] for row in ask("releases")["releases"]}
    assert sum(versions.values()) == truth.requests
    if plan.watched and not plan.restarted:
        assert versions == {"1.0": truth.requests}


def traces_are(ask: ResponseCache, plan: Plan) -> None:
    """Each route's traces are those that were sent of it."""
    sent = bodies_sent(plan)
    for route in {visit.route for visit in plan.visits}:
        traces = ask("traces", route=route, limit=100)["traces"]
        assert len(traces) == sum(each == route for each in sent), route


def bodies_sent(plan: Plan) -> Sequence[str]:
    """The routes of the requests of which a span was sent."""
    everything = Plan(watched=plan.watched, tallied=False, restarted=False, shifted_ms=0, visits=plan.visits)
    return [visit.route for visit in told(everything)]


def decisions_are_kept(running: Running, service: str, start_ns: int) -> None:
    """What is resolved does not cost users most any more, until it comes again."""
    ask = ResponseCache(running, service, start_ns)
    found = ask("findings")["findings"]
    if not found:
        return
    first = found[0]
    answer = running.http.post(f"/api/findings/{first['id']}/state", json={"state": "resolved", "reason": ""})
    assert answer.status_code == httpx.codes.OK, answer.text
    shown = ask("overview")
    assert first["id"] not in [finding["id"] for finding in shown["findings"]]
    assert shown["findings_total"] == len(found) - 1
    if first["kind"] == "loop_blocked":
        shop = Sender(service)
        shop.stall(None, blocked_ns=SECOND, start_ns=time.time_ns())
        running.send(shop)
        known = {each["id"]: each["state"]["state"] for each in running.findings(service=service, since="1h")}
        assert known[first["id"]] == "regressed"


def test_the_hooks_of_the_oracle_are_those_of_its_layers() -> None:
    """So that what the page counts for a layer is what the traffic made."""
    assert [hook.partition(".")[0] for hook in HOOKS] == [layer.rpartition(".")[2] for layer in LAYERS]
