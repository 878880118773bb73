"""Muting of alerts: silences, which users create for a limited time, and recurring maintenance windows."""

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
    """Mutes the alerts that match all of its matchers, from a start to an end."""

    id: str
    matchers: Sequence[Matcher]
    starts_ns: int
    ends_ns: int
    comment: str
    created_by: str

    def active(self, now_ns: int) -> bool:
        """Return whether it is active."""
        return self.starts_ns <= now_ns < self.ends_ns


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether all of the matchers match; a missing label is empty."""
    return all(
        _expression(matcher.value).fullmatch(labels.get(matcher.name, "")) is not None for matcher in matchers
    )


def in_window(window: Maintenance, now_ns: int) -> bool:
    """Return whether a maintenance window is active, by the local time of its time zone.

    An hour that is skipped by daylight saving time is skipped, and one that occurs twice counts twice.
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
    """Return the ids of the silences and the names of the maintenance windows that mute an alert now."""
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
