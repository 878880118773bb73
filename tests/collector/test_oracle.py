"""Every number of every answer against traffic of which the truth is known: `oracle.py` makes it.

`make oracle` runs many more examples (ASGISCOPE_TEST_ORACLE), and those with restarts.
"""

import itertools
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiscope_collector.queries.alerts.alerts import Scope, Windows, read, read_loop_blocked
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.conftest import Json, Running
from tests.collector.oracle import (
    HOOKS,
    LAYERS,
    MINUTE,
    MINUTES,
    WORKERS,
    Plan,
    Truth,
    Visit,
    bodies,
    plans,
    truth_of,
    visits_of,
)
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare

EXAMPLES = int(os.environ.get("ASGISCOPE_TEST_ORACLE", "1"))
READY_SECONDS = 180
TRACES_EXPORTED = 2
_numbers = itertools.count()
_EVERYTHING = (
    Visit(0, "/", 200, 300, (120, 10), 0, refused=False, sampled=True),
    Visit(1, "/cart/", 500, 80, (0,), 60, refused=False, sampled=False),
    Visit(2, "/", 404, 5, (), 0, refused=False, sampled=False),
    Visit(5, "/cart/", 200, 700, (400, 60, 5), 250, refused=True, sampled=True, pooled=True),
    Visit(7, "/pay/<int:id>/", 0, 40, (3,), 0, refused=False, sampled=True),
)
EXPLICIT = [
    Plan(watched=True, tallied=True, restarted=True, shifted_ms=0, visits=_EVERYTHING),
    Plan(watched=True, tallied=False, restarted=True, shifted_ms=900, visits=_EVERYTHING, off_minutes=120),
    Plan(watched=False, tallied=False, restarted=False, shifted_ms=0, visits=_EVERYTHING, off_minutes=-180),
]
"""One of each, so that a few examples are enough for every run."""


def about(value: float) -> Any:
    """Return a duration that came as seconds: exact but for what a double and the sum of some lose."""
    return pytest.approx(value, rel=1e-6, abs=50)


class Answers:
    """What the API says of one service in the time of an example, by the service's own clock."""

    def __init__(self, http: httpx.Client, service: str, start_ns: int) -> None:
        self.http = http
        self.service = service
        self.start_ns = start_ns
        self.end_ns = start_ns + (MINUTES + 1) * MINUTE

    def __call__(self, path: str, **parameters: Any) -> Json:
        asked = {
            "service": self.service,
            "since": str(self.start_ns),
            "until": str(self.end_ns),
            **parameters,
        }
        answer = self.http.get(f"/api/{path}", params=asked)
        assert answer.status_code == httpx.codes.OK, answer.text
        result: Json = answer.json()
        return result


class Example:
    """The services of an example, and what they send in the order in which it arrives."""

    def __init__(self, planned: Sequence[Plan], seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - test data
        example = next(_numbers)
        self.start_ns = (time.time_ns() // MINUTE - 30) * MINUTE
        self.plans = {f"oracle-{example}-{place}": plan for place, plan in enumerate(planned)}
        self.posts: list[tuple[str, bytes]] = []
        self.traces: dict[str, dict[str, set[str]]] = {}
        """Of each service the span ids of each trace."""
        for service, plan in self.plans.items():
            spans, metrics = bodies(plan, service, self.start_ns)
            self.posts += [("traces", body) for body in spans] + [("metrics", body) for body in metrics]
            self.traces[service] = defaultdict(set)
            for body in spans:
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for span in resource.scope_spans[0].spans:
                        self.traces[service][span.trace_id.hex()].add(span.span_id.hex())
        self.posts += dice.sample(self.posts, len(self.posts) // 3)  # an answer was missed: sent again
        dice.shuffle(self.posts)

    def send(self, http: httpx.Client, posts: Sequence[tuple[str, bytes]]) -> None:
        """Have bodies acknowledged."""
        for signal_name, body in posts:
            answer = http.post(f"/v1/{signal_name}", content=body, headers=PROTOBUF_HEADERS)
            assert answer.status_code == httpx.codes.OK, answer.text

    def asks(self, http: httpx.Client) -> Iterator[tuple[Answers, Plan, Truth]]:
        """Yield each service with what it did, once all is stored."""
        deadline = time.monotonic() + READY_SECONDS
        while http.get("/api/status").json()["spool_bytes"]:
            assert time.monotonic() < deadline, "what was sent is not stored"
            time.sleep(0.02)
        for service, plan in self.plans.items():
            yield Answers(http, service, self.start_ns + plan.off_minutes * MINUTE), plan, truth_of(plan)

    def check(self, http: httpx.Client) -> None:
        """Compare every answer with the truth."""
        for ask, plan, truth in self.asks(http):
            overview_is(ask, plan, truth)
            routes_are(ask, plan, truth)
            findings_are(ask, truth)
            if plan.watched:
                middleware_is(ask, truth)
                contention_is(ask, truth)
            releases_are(ask, plan, truth)
            traces_are(ask, plan)
            exports_are(ask, self.traces[ask.service])
            clocks_are(ask, plan)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 10,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@example(planned=EXPLICIT, seed=1)
@given(planned=st.lists(plans(), min_size=1, max_size=2), seed=st.integers(0, 2**32))
def test_every_answer_is_the_truth(running: Running, planned: list[Plan], seed: int) -> None:
    """Whatever the services run and sample, in whatever order their bodies come, and how often."""
    made = Example(planned, seed)
    made.send(running.http, made.posts)
    made.check(running.http)
    for ask, plan, truth in made.asks(running.http):
        alerts_are(running, ask, plan, truth)
        if not plan.off_minutes:
            decisions_are_kept(running, ask)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(max(1, EXAMPLES // 20)))
def test_every_answer_is_the_truth_after_a_collector_was_killed_and_restarted(
    seed: int, tmp_path: Path
) -> None:
    """Killed between two bodies, and stopped in order between two others; some are sent again after it."""
    made = Example(EXPLICIT, seed)
    dice = random.Random(seed)  # noqa: S311 - test data
    first, second = sorted(dice.sample(range(len(made.posts)), 2))
    prepare(tmp_path / "data")
    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)]
    server = Server(
        [*command, "--data", str(tmp_path / "data")],
        port,
        cwd=tmp_path,
        env=PROMPT,
        log=tmp_path / "log",
        ready="/readyz",
        ready_status=200,
        within_s=READY_SECONDS,
    )
    for part, end in (
        (made.posts[:first], signal.SIGKILL),
        (made.posts[max(0, first - 3) : second], signal.SIGTERM),
    ):
        with server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
            made.send(http, part)
            server.stop(end)
    with server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        made.send(http, made.posts[max(0, second - 3) :])
        made.check(http)


def overview_is(ask: Answers, plan: Plan, truth: Truth) -> None:
    """The service's row, and the series that add up to it."""
    overview = ask("overview")
    (health,) = overview["services"]
    assert (health["requests"], health["errors"]) == (truth.requests, truth.errors)
    assert {name: count for name, count in health["responses"].items() if count} == truth.responses
    assert (health["watched"], health["exact"]) == (plan.watched, plan.watched and plan.tallied)
    assert health["refusals"] == truth.refusals
    assert health["loop_blocked_ns"] == about(truth.blocked_ns)
    assert health["longest_stall_ns"] == about(truth.longest_stall_ns)
    if not plan.watched:
        assert (health["loop_blocked_share"], health["hops_per_request"]) == (None, None)
    else:
        per_request = truth.hops / truth.requests if truth.requests else 0
        assert health["hops_per_request"] == pytest.approx(per_request)
        assert health["calls"] == truth.hops
        assert health["wait_ns"] == about(truth.wait_ns)
    for name in ("requests", "errors", "refusals", "loop_blocked_ns", "wait_ns"):
        assert sum(point[name] for point in overview["series"]) == about(health[name]), name


def routes_are(ask: Answers, plan: Plan, truth: Truth) -> None:
    """Each route's requests, errors, hops and what they cost."""
    rows = {row["route"]: row for row in ask("hops")["routes"]}
    assert rows.keys() == (truth.by_route.keys() if plan.watched else set())
    durations: dict[str, int] = {}
    for visit in visits_of(plan):
        durations[visit.route] = durations.get(visit.route, 0) + visit.duration_ms * MS
    for route, row in rows.items():
        known = truth.by_route[route]
        for name in ("requests", "errors", "hops"):
            assert row[name] == known[name], (route, name)
        assert row["overhead_ns"] == about(known["overhead_ns"])
        assert row["overhead_ns"] <= durations[route] + 50
    if plan.watched:
        assert sum(row["overhead_ns"] for row in rows.values()) == about(truth.overhead_ns)


def findings_are(ask: Answers, truth: Truth) -> None:
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


def middleware_is(ask: Answers, truth: Truth) -> None:
    """Hook hops of each layer, which are all hops here."""
    (chain,) = ask("middleware")["chains"]
    assert chain["requests"] == truth.requests
    assert [layer["name"] for layer in chain["layers"]] == [*LAYERS, "view"]
    assert chain["hook_hops"] * truth.requests == pytest.approx(truth.hops)
    assert chain["hops_per_request"] * truth.requests == pytest.approx(truth.hops)
    assert sum(layer["calls"] for layer in chain["layers"]) == truth.hops


def contention_is(ask: Answers, truth: Truth) -> None:
    """Calls and waits by the thread's role are the overview's."""
    roles = ask("contention")["roles"]
    assert {role["executor"]: role["calls"] for role in roles if role["calls"]} == truth.calls_by_role
    pools = ask("pools")["pools"]
    known = [(WORKERS, truth.pool_calls)] if truth.pool_calls else []
    assert [(pool["workers"], pool["calls"]) for pool in pools] == known
    assert sum(role["calls"] for role in roles) == truth.hops
    assert sum(role["wait_ns"] for role in roles) == about(truth.wait_ns)


def releases_are(ask: Answers, plan: Plan, truth: Truth) -> None:
    """Requests by version add up to the overview's."""
    versions = {row["version"]: row["requests"] for row in ask("releases")["releases"]}
    assert sum(versions.values()) == truth.requests
    if plan.watched and not plan.restarted:
        assert versions == {"1.0": truth.requests}
    if plan.watched and plan.restarted:
        compared = ask("releases/compare", base_version="1.0", version="2.0")
        for side, process in (("base", 0), ("other", 1)):
            known = truth_of(plan.part(process))
            assert compared[side]["version"] == f"{process + 1}.0"
            for name in ("requests", "errors", "refusals"):
                assert compared[side][name] == getattr(known, name), (side, name)
            for change in compared["findings"]:
                count = change["base_count"] if side == "base" else change["count"]
                assert count == known.occurrences[change["kind"]], (side, change["kind"])


def traces_are(ask: Answers, plan: Plan) -> None:
    """Each route's traces are those that were sent of it."""
    sent = bodies_sent(plan)
    for route in {visit.route for visit in plan.visits}:
        traces = ask("traces", route=route, limit=100)["traces"]
        assert len(traces) == sum(each == route for each in sent), route


def exports_are(ask: Answers, sent: dict[str, set[str]]) -> None:
    """A trace that is taken out has the spans that were sent of it, each once."""
    for trace_id in sorted(sent)[:TRACES_EXPORTED]:
        exported = ask.http.get(f"/api/traces/{trace_id}/export")
        assert exported.status_code == httpx.codes.OK, exported.text
        spans = [
            span["spanId"].lower()
            for resource in exported.json()["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        assert sorted(spans) == sorted(sent[trace_id]), trace_id


def clocks_are(ask: Answers, plan: Plan) -> None:
    """A host that is ahead of the collector is named, with all that it takes to find its data."""
    wrong = {clock["service"]: clock for clock in ask.http.get("/api/status").json()["clocks"]}
    if plan.off_minutes <= 0:  # one that is behind is named after a minute of it
        assert ask.service not in wrong
        return
    clock = wrong[ask.service]
    assert ask.start_ns <= clock["newest_ns"] <= ask.end_ns
    assert abs(clock["newest_ns"] - clock["received_ns"] - clock["offset_ns"]) <= READY_SECONDS * SECOND
    assert ask.service in ask.http.get("/api/services").json()["services"]


def alerts_are(running: Running, ask: Answers, plan: Plan, truth: Truth) -> None:
    """What alert rules would compare with their bounds in the window of the example."""
    engine, end = running.collector.engine, ask.end_ns // SECOND
    windows = Windows(ends=[end], seconds=(MINUTES + 1) * MINUTE // SECOND, now_ns=ask.end_ns)
    scope = Scope(service=[ask.service])

    def values(condition: str, **parameters: Any) -> list[float]:
        return [each.value for each in read(engine, condition, windows, scope, over=-1.0, **parameters)]

    assert sum(values("refusals")) == truth.refusals
    assert max(values("longest_stall"), default=0) == truth.longest_stall_ns
    (health,) = ask("overview")["services"]
    shares = [each.value for each in read_loop_blocked(engine, windows, scope, over=-1.0)]
    assert shares == ([] if health["loop_blocked_share"] is None else [health["loop_blocked_share"]])
    if plan.watched and plan.tallied:
        processes = 2 if plan.restarted else 1
        assert shares == [pytest.approx(truth.blocked_ns / (processes * MINUTES * MINUTE))]


def bodies_sent(plan: Plan) -> Sequence[str]:
    """Return the routes of the requests of which a span was sent."""
    everything = Plan(watched=plan.watched, tallied=False, restarted=False, shifted_ms=0, visits=plan.visits)
    return [visit.route for visit in visits_of(everything)]


def decisions_are_kept(running: Running, ask: Answers) -> None:
    """What is resolved does not cost users most any more, until it comes again."""
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
        shop = Sender(ask.service)
        shop.stall(None, blocked_ns=SECOND, start_ns=time.time_ns())
        running.send(shop)
        known = {
            each["id"]: each["state"]["state"] for each in running.findings(service=ask.service, since="1h")
        }
        assert known[first["id"]] == "regressed"


def test_the_hooks_of_the_oracle_are_those_of_its_layers() -> None:
    """So that what the page counts for a layer is what the traffic made."""
    assert [hook.partition(".")[0] for hook in HOOKS] == [layer.rpartition(".")[2] for layer in LAYERS]
