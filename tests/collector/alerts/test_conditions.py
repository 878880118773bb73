"""Every condition, from spans of a real rollup."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgiscope.semconv import ThreadRole
from asgiscope_collector.alerts.evaluate.evaluation import AlertState
from asgiscope_collector.alerts.evaluate.series import Gauges

from tests.collector.alerts.alerting import NS, Bench, run, shop, turns, turns_until
from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender


def blocked(sender: Sender) -> None:
    """An event loop that stands still most of the time."""
    for number in range(40):
        sender.stall(None, blocked_ns=3 * SECOND, start_ns=time.time_ns() - number * SECOND)


def refused(sender: Sender) -> None:
    """Django refused, once."""
    sender.refusal(sender.request("GET", "/login/"), ["view"])


def waited(sender: Sender) -> None:
    """Calls that wait behind each other for the shared thread."""
    for _ in range(30):
        sender.bridge_call(None, "work", wait_ns=600 * MS, depth=2, executor=ThreadRole.SHARED)


def saturated(sender: Sender) -> None:
    """Calls that wait for a worker of a pool."""
    for _ in range(30):
        sender.bridge_call(None, "work", wait_ns=60 * SECOND, depth=2, executor=ThreadRole.POOL)


def hopped(sender: Sender) -> None:
    """A route that crosses the bridge again and again."""
    for _ in range(30):
        sender.request("GET", "/storm/", hops=50)


def released(sender: Sender) -> None:
    """The release before lost a millisecond a request, this one loses fifty."""
    sender.resource["service.version"] = "1.0"
    for number in range(120):
        sender.request("GET", "/", start_ns=time.time_ns() - (7200 - number) * SECOND, wait_ns=MS)


CONDITIONS: list[tuple[str, dict[str, Any], Callable[[Sender], None], dict[str, str], str]] = [
    ("loop_blocked_share", {"over": "10%"}, blocked, {}, "%"),
    ("longest_stall", {"over": "1s"}, blocked, {"kind": "loop_blocked"}, "3 s"),
    ("queue_wait", {"over": "500ms"}, waited, {"executor": "shared"}, "ms"),
    ("shared_thread_waits", {"over": 20}, waited, {"executor": "shared"}, "30"),
    ("pool_saturation", {"over": 2}, saturated, {"executor": "pool"}, ""),
    ("refusals", {"over": 0}, refused, {"kind": "refusal"}, "1"),
    ("new_finding", {}, refused, {"kind": "refusal"}, "1"),
    ("hops_per_request", {"over": 30}, hopped, {"route": "/storm/"}, "50"),
    ("worse_than_previous_release", {"over": 2}, released, {}, "50 times"),
]
OUT_OF_REACH: dict[str, Any] = {"10%": "100%", "1s": "1h", "500ms": "1h"}


def test_every_condition_fires_on_what_it_is_about(running: Running, service: str, tmp_path: Path) -> None:
    """From spans of a real rollup; the same with a bound that is not reached, or elsewhere, stays still."""
    bench = Bench(running, service, tmp_path)
    rules, senders = [], []
    for kind, options, happen, _, _ in CONDITIONS:
        where = {"scope": {"service": f"{service}.{kind}", "environment": "pro*"}}
        when = {"type": kind, **options}
        rules.append({"name": f"fires.{kind}"[:40], "when": when, **where})
        rules.append(
            {"name": f"staging.{kind}"[:40], "when": when, "scope": {**where["scope"], "environment": "x"}}
        )
        if "over" in options:
            still = {**when, "over": OUT_OF_REACH.get(str(options["over"]), 10**6)}
            rules.append({"name": f"still.{kind}"[:40], "when": still, **where})
        sender = shop(f"{service}.{kind}")
        happen(sender)
        senders.append(sender)
        if happen is released:
            now = shop(f"{service}.{kind}")
            for _ in range(120):
                now.request("GET", "/", wait_ns=50 * MS)
            senders.append(now)
    bench.rules(*rules)
    running.send(*senders)

    async def work() -> None:
        alerting = bench.alerting()
        await turns_until(alerting, lambda: len(bench.mine(alerting)) == len(CONDITIONS))
        await turns(alerting)
        found = {alert.rule: alert for alert in bench.mine(alerting)}
        assert not any(now.error for now in alerting.states.rules.values())
        for kind, _, _, labels, value in CONDITIONS:
            alert = found[bench.name(f"fires.{kind}"[:40])]
            assert alert.held.state == AlertState.FIRING, kind
            assert labels.items() <= alert.labels.items(), kind
            assert (alert.labels["service"], alert.labels["environment"]) == (f"{service}.{kind}", "prod")
            assert value in alert.annotations["value"], kind
        await alerting.stop()

    run(work())


def test_a_finding_that_was_resolved_and_comes_back(running: Running, service: str, tmp_path: Path) -> None:
    """Only after somebody said that it was resolved."""
    bench = Bench(running, service, tmp_path)
    bench.rules({"name": "back", "when": {"type": "finding_regressed"}})
    sender = shop(service)
    refused(sender)
    running.send(sender)
    (finding,) = running.findings(service=service)

    async def work() -> None:
        alerting = bench.alerting()
        await turns(alerting, 2)
        assert bench.mine(alerting) == []
        decided = running.http.post(f"/api/findings/{finding['id']}/state", json={"state": "resolved"})
        assert decided.status_code == 200, decided.text
        await turns_until(alerting, lambda: True)
        assert bench.mine(alerting) == []
        refused(sender)
        await asyncio.to_thread(running.send, sender)
        await turns_until(alerting, lambda: bench.mine(alerting))
        assert bench.mine(alerting)[0].labels["finding"] == finding["id"]
        await alerting.stop()

    run(work())


def test_what_a_site_dropped_and_that_it_is_there(running: Running, service: str, tmp_path: Path) -> None:
    """Its own tallies tell of dropped records; a site that nobody visits sends them, and is not silent."""
    bench = Bench(running, service, tmp_path)
    bench.rules(
        {"name": "drops", "when": {"type": "site_drops"}},
        {"name": "silent", "when": {"type": "service_silent", "over": "5m"}},
    )
    meter = Meter(service, **{"deployment.environment.name": "prod", "service.version": "1.4"})
    meter.number("asgiscope.dropped", 7, unit="{record}")
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == 200, answer.text
    running.wait_for(lambda: running.collector.spool.size == 0)

    async def work() -> None:
        alerting = bench.alerting()
        (alert,) = await turns_until(alerting, lambda: bench.mine(alerting))
        assert alert.labels["environment"] == "prod"
        await turns(alerting)
        texts = alerting.states.alerts[alert.fingerprint].annotations
        assert (texts["value"], texts["release"]) == ("7", "1.4")
        assert service in {each.service for each in alerting.states.last_seen.values()}
        await alerting.stop()

    run(work())


def test_the_collector_watches_itself(running: Running, service: str, tmp_path: Path) -> None:
    """Drops within the window, the disk, the lag: each says so and ends."""
    bench = Bench(running, service, tmp_path)
    bench.rules(
        {"name": "drops", "when": {"type": "collector_drops"}},
        {"name": "disk", "when": {"type": "collector_disk"}},
        {"name": "lag", "when": {"type": "collector_lag", "over": "1m"}},
    )

    async def work() -> None:
        alerting = bench.alerting()
        await turns(alerting, 2)
        assert bench.mine(alerting) == []
        bench.gauges = Gauges(drops=3, disk_free=0.05, lag_ns=90 * NS)
        bench.clock.pass_by(5)
        await turns(alerting, 2)
        values = {alert.rule: alert.annotations["value"] for alert in bench.mine(alerting)}
        assert values == {
            bench.name(rule): text for rule, text in (("drops", "3"), ("disk", "5 %"), ("lag", "1.5 min"))
        }
        bench.gauges = Gauges(drops=3, disk_free=0.5, lag_ns=0)
        for _ in range(12):
            bench.clock.pass_by(60)
            await turns(alerting, 1)
        assert [alert.firing for alert in bench.mine(alerting)] == [False] * 3
        await alerting.stop()

    run(work())
