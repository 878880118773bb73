"""The alerting loop: read the rules, evaluate, decide, send, record.

The evaluation queries the store on one of its threads; everything else runs on the event loop, in one task.
Errors are reported (`failure`, the log, the API) and the step is tried again: no error ends the task.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.alerts.evaluate.evaluation import LATE_SECONDS, Change
from asgiscope_collector.alerts.evaluate.lease import Lease
from asgiscope_collector.alerts.evaluate.series import Found, Gauges, cadence_ns, is_windowed, read
from asgiscope_collector.alerts.notify.message import Links
from asgiscope_collector.alerts.notify.notifier import Notifier
from asgiscope_collector.alerts.notify.receivers.config import Network, ReceiverConfig
from asgiscope_collector.alerts.notify.sending import Sender
from asgiscope_collector.alerts.rules.conditions import Silent
from asgiscope_collector.alerts.rules.loader import ActiveRule, RuleSet
from asgiscope_collector.alerts.rules.reloader import RulesFile
from asgiscope_collector.alerts.state import store
from asgiscope_collector.alerts.state.alert_states import AlertStates, RuleNow
from asgiscope_collector.alerts.state.store import Alert
from asgiscope_collector.queries.alerts.alerts import LastSeen, last_seen
from asgiscope_collector.schemas import SenderClock
from asgiscope_collector.store.client import Engine, EngineBusyError, EngineClosedError

logger = logging.getLogger(__name__)

_NS: Final = 1_000_000_000
_DAY: Final = 86_400
_IDLE_NS: Final = 15 * _NS
"""If nothing was stored, the rollups have not changed: they are queried again after this time."""
_STALE_NS: Final = 60 * _NS
_JUMP_NS: Final = 30 * _NS
_OPEN_PAUSE: Final = 0.1
_RETRY_PAUSE: Final = 1.0
_GROUP_PAUSE: Final = 0.5
_LEASE_PAUSE: Final = 1.0


@dataclass(slots=True)
class Status:
    """State of alerting itself."""

    failure: str = ""
    evaluated_ns: int = 0
    took_ms: int = 0


class Alerting:
    """Alerting of one collector.

    Args:
        engine: the store, open or not yet.
        path: the rules file; '' for only the built-in rules.
        base_url: base URL of the page, for links.
        gauges: the collector's own gauges; may read the disk.
        clocks: the senders whose clocks are wrong.
        stored: changes when something was stored; None if other collectors store too.
        lease: None if no other collector uses this store.
        clock: ns since the epoch.
        monotonic: monotonic ns.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        path: str,
        base_url: str,
        gauges: Callable[[], Gauges],
        clocks: Callable[[int], Sequence[SenderClock]] = lambda _: (),
        stored: Callable[[], int] | None = None,
        lease: Lease | None = None,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._engine = engine
        self._gauges = gauges
        self._clocks_off = clocks
        self._stored = stored
        self._lease = lease
        self._clock = clock
        self._monotonic = monotonic
        self.links = Links(base_url.rstrip("/"))
        self.rules = RulesFile(path)
        self.status = Status()
        self.states = AlertStates(receiving_since_ns=clock())
        self.sender = Sender(self._receiver, self._network, clock)
        self.notifier = Notifier(engine, self.states, self.links, self.sender, clock=clock)
        self.leads = False
        self._wake = asyncio.Event()
        self.notifier.on_concluded = self._wake.set
        self._stored_before = -1
        self._asked_ns = 0
        self._clocks = (0, 0)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def rule_set(self) -> RuleSet:
        """The active rules."""
        return self.rules.rule_set

    @property
    def owner(self) -> str:
        """The collector that evaluates; '' if there is only this one."""
        return self._lease.holder if self._lease else ""

    def now_ns(self) -> int:
        """The current time, as alerting sees it."""
        return self._clock()

    def warnings(self) -> list[str]:
        """Problems that an operator should know of although the collector works, such as an invalid rules file."""
        return [each for each in (self.rules.error, self.status.failure) if each]

    def start(self) -> None:
        """Start as soon as the store is open."""
        self._tasks.append(asyncio.create_task(self._run(), name="asgiscope-alerts"))
        if self._lease is not None:
            self._tasks.append(asyncio.create_task(self._keep_lease(self._lease), name="asgiscope-lease"))

    async def stop(self) -> None:
        """Stop; the next start resumes unfinished deliveries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.notifier.close()

    def reload(self) -> None:
        """Read the rules file again at once."""
        self.rules.reload_next()
        self._wake.set()

    async def refresh_silences(self) -> None:
        """Load the recorded silences."""
        self.states.silences = await self._engine.run(store.load_silences, self._engine, self._clock())
        self._wake.set()

    async def tick(self) -> None:
        """Run one turn: rules file, evaluation, decisions."""
        now_ns = self._clock()
        self._check_clock(now_ns)
        await self.rules.reload_if_changed(now_ns)
        if self._lease is not None and not self._lease.held:
            if self.leads:
                self.leads = False
                await self.notifier.close()
            await self._follow(now_ns)
            return
        if not self.leads:
            await self._lead(now_ns)
        if self._lease is not None:
            self.states.silences = await self._engine.run(store.load_silences, self._engine, now_ns)
        changed = await self._evaluate(now_ns)
        for alert, change in changed:
            logger.info("alerts: %s %s: %s", alert.rule, alert.held.state, change)
        if changed:
            await self.notifier.refresh_texts([alert for alert, _ in changed], self.rule_set, now_ns)
        await self.notifier.refresh_changed_texts(self.rule_set, now_ns)
        await self.notifier.notify(self.rule_set, now_ns)
        self.states.forget(now_ns)
        self.status.evaluated_ns = now_ns

    async def _run(self) -> None:
        while not self._engine.is_open:  # noqa: ASYNC110 - another thread opens it
            await asyncio.sleep(_OPEN_PAUSE)
        while True:
            self._wake.clear()
            try:
                await self.tick()
                self.status.failure = ""
                pause = min(
                    self.rule_set.file.interval / _NS,
                    _GROUP_PAUSE if self.notifier.has_waiting_groups else 3600.0,
                )
            except EngineClosedError:
                return  # the collector stops
            except EngineBusyError as error:
                self.status.failure, pause = str(error), _RETRY_PAUSE
            except Exception as error:
                pause = self.rule_set.file.interval / _NS
                if not self.status.failure:
                    logger.exception("alerts: the evaluation failed and is tried again")
                self.status.failure = f"{type(error).__name__}: {str(error)[:300]}"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _keep_lease(self, lease: Lease) -> None:
        while True:
            try:
                if self._engine.is_open and await lease.keep() and not self.leads:
                    self._wake.set()
            except (EngineError, EngineBusyError, EngineClosedError) as error:
                logger.warning("alerts: the lease could not be asked for: %s", str(error)[:200])
            if not lease.held and self.leads:
                # At once, not at the next turn: another collector may send soon.
                self.leads = False
                await self.notifier.close()
            await asyncio.sleep(_LEASE_PAUSE)

    def _receiver(self, name: str) -> ReceiverConfig | None:
        return self.rule_set.receiver(name)

    def _network(self) -> Network:
        return self.rule_set.file.network

    async def _lead(self, now_ns: int) -> None:
        """Load the state that the last evaluator recorded."""
        alerts = await self._engine.run(store.load_alerts, self._engine, now_ns)
        self.states.alerts = {alert.fingerprint: alert for alert in alerts}
        self.states.silences = await self._engine.run(store.load_silences, self._engine, now_ns)
        self.states.record_last_seen(await self._last_seen(now_ns, _DAY))
        await self.notifier.resume()
        self.leads = True

    async def _follow(self, now_ns: int) -> None:
        """Load what the evaluating collector records, to show it."""
        alerts = await self._engine.run(store.load_alerts, self._engine, now_ns)
        self.states.alerts = {alert.fingerprint: alert for alert in alerts}
        self.states.silences = await self._engine.run(store.load_silences, self._engine, now_ns)

    def _check_clock(self, now_ns: int) -> None:
        monotonic = self._monotonic()
        before, monotonic_before = self._clocks
        self._clocks = (now_ns, monotonic)
        jump = (now_ns - before) - (monotonic - monotonic_before)
        if before and abs(jump) > _JUMP_NS:
            logger.warning("alerts: the clock was set by %.0f s", jump / _NS)
            # No service is silent because the clock was set, or because the machine was suspended.
            self.states.receiving_since_ns = now_ns
            self.states.drops.clear()
            self.states.gauge_since.clear()
            self._asked_ns = 0
            for now in self.states.rules.values():
                now.evaluated_ns = 0

    async def _evaluate(self, now_ns: int) -> list[tuple[Alert, Change]]:
        due = [active for active in self.rule_set.rules if self._is_due(active, now_ns)]
        windowed = [active for active in due if is_windowed(active.rule)]
        stored = self._stored() if self._stored else None
        asks = windowed or any(isinstance(active.rule.when, Silent) for active in due)
        if stored is not None and stored == self._stored_before and 0 <= now_ns - self._asked_ns < _IDLE_NS:
            asks = windowed = []
        found: dict[str, list[Found] | str] = {}
        if asks:
            self._stored_before, self._asked_ns = -1 if stored is None else stored, now_ns
            began = self._monotonic()
            self.states.record_last_seen(await self._last_seen(now_ns, LATE_SECONDS))
            found = await self._engine.run(_read_all, self._engine, windowed, now_ns)
            self.status.took_ms = (self._monotonic() - began) // 1_000_000
        changed = self.states.drop_unknown(self.rule_set, now_ns)
        gauges = await asyncio.to_thread(self._gauges)
        self.states.received = {}
        for each in self._clocks_off(now_ns):
            key = (each.service, each.environment)
            self.states.received[key] = max(each.received_ns, self.states.received.get(key, 0))
        for active in due:
            keep_ns = max(active.rule.keep_firing, (active.notify.group_wait or 0) + self._least_ns)
            if not is_windowed(active.rule):
                changed += self.states.apply_gauges(active, gauges, now_ns, keep_ns)
                continue
            series = found.get(active.rule.name)
            if isinstance(series, str):
                now = self.states.rules.setdefault(active.rule.name, RuleNow())
                now.evaluated_ns, now.error = now_ns, series
            elif series is not None:
                changed += self.states.apply(active, series, now_ns, keep_ns)
        return changed

    @property
    def _least_ns(self) -> int:
        """Return how long an alert must live: two turns, or its group would not be seen while it fires."""
        return 2 * self.rule_set.file.interval + 2 * _NS

    def _is_due(self, active: ActiveRule, now_ns: int) -> bool:
        now = self.states.rules.get(active.rule.name)
        every_ns = max(cadence_ns(active.rule), self.rule_set.file.interval - _NS // 2)
        return now is None or not 0 <= now_ns - now.evaluated_ns < every_ns

    async def _last_seen(self, now_ns: int, seconds: int) -> list[LastSeen]:
        now = now_ns // _NS
        return await self._engine.run(last_seen, self._engine, first=now - seconds, last=now + 60)


def _read_all(engine: Engine, due: list[ActiveRule], now_ns: int) -> dict[str, list[Found] | str]:
    """Return the series of each rule, or why they could not be read."""
    found: dict[str, list[Found] | str] = {}
    for active in due:
        try:
            found[active.rule.name] = read(engine, active, now_ns)
        except EngineError as error:
            logger.warning("alerts: rule %s could not be read: %s", active.rule.name, str(error)[:300])
            found[active.rule.name] = "the store could not answer; the collector's log has the reason"
    return found
