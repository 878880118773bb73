"""The time range of a request."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from asgiscope_collector.store.fragments import COARSE_SECONDS

_NS: Final = 1_000_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE_NS: Final = 60 * _NS
COARSE_NS: Final = COARSE_SECONDS * _NS
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RELATIVE: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNESCAPED_PLUS: Final = re.compile(r"(?<=T)(.+) (?=\d\d:\d\d$)")
_DIGITS: Final = re.compile(r"\d{1,19}")
LONG_NS: Final = 12 * 3600 * _NS
"""Ranges of at least this length are read from coarse rollups: see rollup_resolution.py."""
_LATEST_NS: Final = 9_000_000_000 * _NS
_HINT: Final = "write a relative time as 15m, 6h or 7d, an RFC 3339 time, or nanoseconds since the epoch"


class BadRangeError(ValueError):
    """A time cannot be parsed, or the range is empty."""

    hint: str = _HINT


@dataclass(frozen=True, slots=True)
class Range:
    """From `since_ns` up to but not including `until_ns`, ns since the epoch."""

    since_ns: int
    until_ns: int

    @property
    def length_ns(self) -> int:
        """Length of the range."""
        return self.until_ns - self.since_ns

    @property
    def long(self) -> bool:
        """Whether it is read from coarse rollups."""
        return self.length_ns >= LONG_NS

    def in_rows(self) -> "Range":
        """The range widened to whole coarse rows."""
        return Range(self.since_ns // COARSE_NS * COARSE_NS, -(-self.until_ns // COARSE_NS) * COARSE_NS)

    def in_minutes(self) -> "Range":
        """The range widened to whole minutes, the resolution of the rollups."""
        return Range(
            self.since_ns // _MINUTE_NS * _MINUTE_NS,
            -(-self.until_ns // _MINUTE_NS) * _MINUTE_NS,
        )

    @property
    def parameters(self) -> dict[str, int]:
        """Return the parameters for SQL: `since_ns` and `until_ns`, both Int64."""
        return {"since_ns": self.since_ns, "until_ns": self.until_ns}


def parse_range(since: str | None, until: str | None, *, default: str, now_ns: int) -> Range:
    """Parse `since` and `until`; by default from `default` ago until the end of the current minute.

    So the answer stays the same during a minute in which nothing is stored.

    Raises:
        BadRangeError: a text is not a time, or `since` is not before `until`.
    """
    present_ns = -(-now_ns // _MINUTE_NS) * _MINUTE_NS
    until_ns = present_ns if until in {None, "", "now"} else _parse("until", str(until), now_ns)
    since_ns = _parse("since", since or default, now_ns)
    if since_ns >= until_ns:
        raise BadRangeError(f"since ({since or default}) is not before until ({until or 'now'})")
    return Range(since_ns, until_ns)


def step_of(asked: Range, points: int) -> int:
    """Return the step of a series in ns: whole minutes, at most about `points` steps in the range.

    For a long range, whole coarse rows.
    """
    # The current minute, which has just begun, must not lengthen the step.
    minutes = max(1, -(-(asked.length_ns - _MINUTE_NS) // (_MINUTE_NS * points)))
    if asked.long:
        return int(-(-minutes * _MINUTE_NS // COARSE_NS) * COARSE_NS)
    return int(minutes * _MINUTE_NS)


def _parse(name: str, text: str, now_ns: int) -> int:
    if relative := _RELATIVE.fullmatch(text):
        value = now_ns - int(relative[1]) * _UNITS[relative[2]] * _NS
    elif _DIGITS.fullmatch(text):
        value = int(text)
    else:
        try:
            # An unescaped plus sign of a UTC offset in the URL arrives as a space.
            moment = datetime.fromisoformat(_UNESCAPED_PLUS.sub(r"\1+", text))
        except ValueError:
            raise BadRangeError(f"{name}={text[:60]!r} is not a time") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        value = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND * 1000
    if not 0 <= value <= _LATEST_NS:
        raise BadRangeError(f"{name}={text[:60]!r} is not a time after 1970 and before 2255")
    return value
