"""Alerting over the running collector's store, turn by turn, with rules of a test's own and a clock to be set."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

from asgiscope_collector.alerts.evaluate.lease import Lease, Times
from asgiscope_collector.alerts.evaluate.loop import Alerting
from asgiscope_collector.alerts.evaluate.series import Gauges
from asgiscope_collector.schemas import SenderClock

from tests.collector.alerts.receiving import Hook
from tests.collector.conftest import Running
from tests.collector.spans import Sender

NS = 1_000_000_000
PATH = "T00/very-secret-path"
SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiB0ZXN0cw=="  # noqa: S105 - of tests alone
QUICK = Times(lease=3.0, renew=0.5, settle=0.5, margin=1.0)


class Clock:
    """The real one, set ahead or back; the monotonic one goes with it unless the clock jumps."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.slept_ns = 0

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns() + self.ahead_ns

    def monotonic(self) -> int:
        """Nanoseconds."""
        return time.monotonic_ns() + self.slept_ns

    def pass_by(self, seconds: float) -> None:
        """Time goes by."""
        self.ahead_ns += round(seconds * NS)
        self.slept_ns += round(seconds * NS)

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.ahead_ns += round(seconds * NS)


class Bench:
    """What a test of alerting needs."""

    def __init__(self, running: Running, service: str, folder: Path, **hooks: Hook) -> None:
        self.running = running
        self.service = service
        self.path = folder / "alerts.yaml"
        self.hooks = hooks
        self.clock = Clock()
        self.gauges = Gauges(drops=0, disk_free=0.5, lag_ns=0)
        self.clocks_off: list[SenderClock] = []

    def name(self, rule: str) -> str:
        """Return a rule's name in this test."""
        return f"{rule}.{sha256(self.service.encode()).hexdigest()[:8]}"

    def rules(self, *rules: dict[str, Any], **file: Any) -> None:
        """Write the file; each rule looks at this test's service, or at nothing that has one."""
        receivers = [
            {
                "name": name,
                "type": "webhook",
                "url": f"{hook.url}/{PATH}",
                "secret": "${ALERTS_SECRET}",
                "timeout": "2s",
            }
            for name, hook in self.hooks.items()
        ]
        # The store keeps what other tests' rules made: names are this test's own.
        named = [{**rule, "name": self.name(rule["name"])} for rule in rules]
        written = [
            rule
            if rule["when"]["type"].startswith("collector")
            else {"scope": {"service": self.service}, **rule}
            for rule in named
        ]
        self.path.write_text(
            json.dumps(
                {
                    "defaults": False,
                    "interval": "1s",
                    "network": {"allow_private": ["127.0.0.0/8"]},
                    "receivers": receivers,
                    "notify": {"group_wait": 0, "group_interval": 0},
                    "rules": written,
                    **file,
                }
            )
        )

    def alerting(self, lease: Lease | None = None) -> Alerting:
        """As after a start."""
        return Alerting(
            self.running.collector.engine,
            path=str(self.path),
            base_url="https://page.example",
            gauges=lambda: self.gauges,
            clocks=lambda _: self.clocks_off,
            lease=lease,
            clock=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    def mine(self, alerting: Alerting) -> list[Any]:
        """Return the alerts of this test, as others leave theirs in the same store."""
        names = {active.rule.name for active in alerting.rule_set.rules}
        return [alert for alert in alerting.states.alerts.values() if alert.rule in names]


async def turns(alerting: Alerting, count: int = 1, pause: float = 0.05) -> None:
    """Let it have so many turns, and its deliveries a moment after each."""
    for _ in range(count):
        await alerting.tick()
        await asyncio.sleep(pause)


async def turns_until(alerting: Alerting, ask: Callable[[], Any], seconds: float = 20) -> Any:
    """Turns, until something is true."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not become true in time"
        await turns(alerting)
        for now in alerting.states.rules.values():
            now.evaluated_ns = 0
    return found


def run(work: Coroutine[Any, Any, None]) -> None:
    """On a loop of its own, beside the collector's."""
    asyncio.run(work)


def shop(service: str, version: str = "1.4") -> Sender:
    """Return a process of a service, with release and environment."""
    resource = {"service.version": version, "deployment.environment.name": "prod"}
    return Sender(service, resource=resource)
