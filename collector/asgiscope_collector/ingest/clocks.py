"""Clock differences between senders and this collector, by service instance.

A span is sent after it ended, so an end in the future comes from a clock that is ahead. In the other
direction, the difference is the age of the data on arrival, which includes the transport time. A sender that
delays or retries makes it larger for a while, so the minimum of the last minutes is used. Spans keep the
times of their sender.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from asgiscope_collector.otlp import newest_of
from asgiscope_collector.schemas import SenderClock

logger = logging.getLogger(__name__)

_NS: Final = 1_000_000_000
AHEAD_NS: Final = 5 * _NS
"""An instance that is further ahead is reported: only its clock explains that."""
BEHIND_NS: Final = 90 * _NS
"""An instance that is further behind is reported: exporters and gateways delay spans for less than this."""
_BEHIND_FOR_NS: Final = 60 * _NS
"""A clock is behind only if it was for this long: a single late request says nothing about a clock."""
_PERIOD_NS: Final = 120 * _NS
"""Length of a period. The minimum of the current and the previous period is used."""
_KEPT_NS: Final = 86_400 * _NS
_INSTANCES: Final = 10_000
_SHOWN: Final = 100
_LONGEST: Final = 200
"""Limit of a name's length in characters."""
_IDENTITY: Final = ("service.name", "deployment.environment.name", "host.name", "service.instance.id")
_ENVIRONMENT: Final = "deployment.environment"
"""The attribute's former name."""


class Sender(NamedTuple):
    """A service instance, from its resource attributes; '' for a missing one."""

    service: str
    environment: str
    host: str
    instance: str


class Newest(NamedTuple):
    """The newest time in a request for one instance."""

    sender: Sender
    time_ns: int


@dataclass(slots=True)
class _Clock:
    first_ns: int
    """Since when all differences exceeded the limit, by the collector's clock."""
    received_ns: int
    period: int
    least_ns: int
    before_ns: int
    newest_ns: int

    @property
    def late_ns(self) -> int:
        return min(self.least_ns, self.before_ns)


def read_newest(signal: str, request: Any) -> tuple[Newest, ...]:
    """Return the newest time of each resource in a request that has one."""
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
    """Measurements per instance. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clocks: OrderedDict[Sender, _Clock] = (
            OrderedDict()
        )  # guarded by _lock; the most recent sender is last

    def measure(self, newest: Iterable[Newest], received_ns: int) -> None:
        """Record the times of a request that was received at `received_ns`, ns since the epoch."""
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
        """Return the instances whose clocks are wrong, the largest difference first."""
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

    def save(self, path: Path) -> None:
        """Write the clocks that are off to a file, for `restore`.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            held = [[*sender, *astuple(clock)] for sender, clock in self._clocks.items() if _is_wrong(clock)]
        if not held and not path.exists():
            return
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(held), encoding="utf-8")
        new.replace(path)

    def restore(self, path: Path) -> None:
        """Read what `save` has written. Without the file, or with a damaged one, nothing is known of any clock."""
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            names = len(Sender._fields)
            found = {Sender(*map(str, row[:names])): _Clock(*map(int, row[names:])) for row in rows}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            logger.warning("clocks: %s cannot be read, offsets are measured anew: %s", path, error)
            return
        with self._lock:
            self._clocks.update(found)

    def status(self, now_ns: int) -> tuple[list[SenderClock], int]:
        """Return the instances with the largest differences, and the number of all wrong clocks."""
        found = self.wrong(now_ns)
        return found[:_SHOWN], len(found)


def _is_wrong(clock: _Clock) -> bool:
    if clock.late_ns <= -AHEAD_NS:
        return True
    return clock.late_ns >= BEHIND_NS and clock.received_ns - clock.first_ns >= _BEHIND_FOR_NS
