"""How far the clocks of senders are from this collector's, by service instance.

A span is sent after it ended, so what arrives with an end in the future comes from a clock that is ahead. The same
difference with the other sign is the age of what arrives: never less than the way here takes. A sender that holds
spans back, or sends them again, makes it larger for a while, so the smallest of the last minutes counts. Spans keep
the times that their sender gave them.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from asgiscope_collector.otlp import newest_of
from asgiscope_collector.schemas import SenderClock

_NS: Final = 1_000_000_000
AHEAD_NS: Final = 5 * _NS
"""An instance further ahead is shown: nothing but its clock explains it."""
BEHIND_NS: Final = 90 * _NS
"""An instance further behind is shown: exporters and gateways hold spans back for less."""
_BEHIND_FOR_NS: Final = 60 * _NS
"""For so long at least: what is sent once, late, says nothing of a clock."""
_PERIOD_NS: Final = 120 * _NS
"""The smallest difference of the present period and of the one before counts."""
_KEPT_NS: Final = 86_400 * _NS
_INSTANCES: Final = 10_000
_SHOWN: Final = 100
_LONGEST: Final = 200
"""Characters of a name."""
_IDENTITY: Final = ("service.name", "deployment.environment.name", "host.name", "service.instance.id")
_ENVIRONMENT: Final = "deployment.environment"
"""Its former name."""


class Sender(NamedTuple):
    """A service instance, as its resource says; '' where it does not."""

    service: str
    environment: str
    host: str
    instance: str


class Newest(NamedTuple):
    """The newest time that a request has of an instance."""

    sender: Sender
    time_ns: int


@dataclass(slots=True)
class _Clock:
    first_ns: int
    """Since when every difference was of what is shown, by the collector's clock."""
    received_ns: int
    period: int
    least_ns: int
    before_ns: int
    newest_ns: int

    @property
    def late_ns(self) -> int:
        return min(self.least_ns, self.before_ns)


def read_newest(signal: str, request: Any) -> tuple[Newest, ...]:
    """Return the newest time of each resource of a request that has one."""
    found = []
    for resource, time_ns in newest_of(signal, request):
        if time_ns:
            held = {
                each.key: each.value.string_value[:_LONGEST]
                for each in resource.attributes
                if each.key in _IDENTITY or each.key == _ENVIRONMENT
            }
            held.setdefault(_IDENTITY[1], held.get(_ENVIRONMENT, ""))
            found.append(Newest(Sender(*(held.get(name, "") for name in _IDENTITY)), time_ns))
    return tuple(found)


class Clocks:
    """What was measured of each instance. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clocks: OrderedDict[Sender, _Clock] = (
            OrderedDict()
        )  # lock: _lock; the one heard of last at the end

    def measure(self, newest: Iterable[Newest], received_ns: int) -> None:
        """Take the times of a request that was received then, nanoseconds since the epoch."""
        with self._lock:
            for sender, time_ns in newest:
                late_ns, period = received_ns - time_ns, received_ns // _PERIOD_NS
                clock = self._clocks.get(sender)
                if clock is None:
                    clock = _Clock(received_ns, received_ns, period, late_ns, late_ns, time_ns)
                    self._clocks[sender] = clock
                    if len(self._clocks) > _INSTANCES:
                        self._clocks.popitem(last=False)
                elif period != clock.period:
                    clock.before_ns = clock.least_ns
                    clock.period, clock.least_ns = period, late_ns
                if late_ns < BEHIND_NS:
                    clock.first_ns = received_ns
                clock.least_ns = min(clock.least_ns, late_ns)
                clock.received_ns = received_ns
                clock.newest_ns = max(clock.newest_ns, time_ns) if late_ns < BEHIND_NS else time_ns
                self._clocks.move_to_end(sender)

    def wrong(self, now_ns: int) -> list[SenderClock]:
        """Return the instances whose clocks are off, those that are furthest off first."""
        with self._lock:
            for sender, clock in list(self._clocks.items()):
                if clock.received_ns >= now_ns - _KEPT_NS:
                    break
                del self._clocks[sender]
            found = [
                SenderClock(
                    service=sender.service,
                    environment=sender.environment,
                    host=sender.host,
                    instance=sender.instance,
                    offset_ns=-clock.late_ns,
                    newest_ns=clock.newest_ns,
                    received_ns=clock.received_ns,
                )
                for sender, clock in self._clocks.items()
                if _is_wrong(clock)
            ]
        return sorted(found, key=lambda each: -abs(each.offset_ns))

    def status(self, now_ns: int) -> tuple[list[SenderClock], int]:
        """Return the instances that are furthest off, and how many are off in all."""
        found = self.wrong(now_ns)
        return found[:_SHOWN], len(found)


def _is_wrong(clock: _Clock) -> bool:
    if clock.late_ns <= -AHEAD_NS:
        return True
    return clock.late_ns >= BEHIND_NS and clock.received_ns - clock.first_ns >= _BEHIND_FOR_NS
