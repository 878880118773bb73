"""Formatting of times for people."""

from datetime import UTC, datetime, timedelta


def rfc3339(nanoseconds: int) -> str:
    """Format ns since the epoch as RFC 3339 in UTC, with ms."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
