"""What mutes alerts: silences, which people make and which end, and maintenance windows, which come again."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from asgiscope_collector.alerts.rules.models import Day, Maintenance, Matcher

_NS: Final = 1_000_000_000
_DAYS: Final = tuple(Day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Mutes the alerts that all of its matchers match, from one moment to another."""

    id: str
    matchers: Sequence[Matcher]
    starts_ns: int
    ends_ns: int
    comment: str
    created_by: str

    def active(self, now_ns: int) -> bool:
        """Whether it holds now."""
        return self.starts_ns <= now_ns < self.ends_ns


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all of the matchers match; a label that is not there is empty."""
    return all(
        _expression(matcher.value).fullmatch(labels.get(matcher.name, "")) is not None for matcher in matchers
    )


def in_window(window: Maintenance, now_ns: int) -> bool:
    """Whether a maintenance window is open: by the clocks on the wall of its time zone.

    An hour that a change to summer time leaves out is left out here too, one that comes twice counts twice.
    """
    local = datetime.fromtimestamp(now_ns // _NS, UTC).astimezone(ZoneInfo(window.timezone))
    at, today = local.time(), _DAYS[local.weekday()]
    if window.start < window.end:
        return today in window.days and window.start <= at < window.end
    yesterday = _DAYS[(local - timedelta(days=1)).weekday()]
    return (today in window.days and at >= window.start) or (yesterday in window.days and at < window.end)


def muted_by(
    labels: Mapping[str, str], silences: Iterable[Silence], windows: Iterable[Maintenance], now_ns: int
) -> list[str]:
    """Ids of the silences, and names of the maintenance windows, that mute an alert now."""
    found = [each.id for each in silences if each.active(now_ns) and matches(each.matchers, labels)]
    found += [
        f"maintenance {window.name}"
        for window in windows
        if matches(window.matchers, labels) and in_window(window, now_ns)
    ]
    return found


@lru_cache(maxsize=1024)
def _expression(value: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in value.split("*")), re.DOTALL)
