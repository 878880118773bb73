"""Code shared by the receivers."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from asgiscope_collector.queries.common.times import rfc3339

_JSON: Final = {"Content-Type": "application/json"}
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST request."""

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None


def json_request(
    url: str, body: Any, headers: dict[str, str] | None = None, auth: tuple[str, str] | None = None
) -> HttpRequest:
    """Return a POST of JSON."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, which a hostile span may contain, cannot be encoded in UTF-8.
    return HttpRequest(url, text.encode("utf-8", "replace"), {**_JSON, **(headers or {})}, auth)


def moment(nanoseconds: int) -> str:
    """Return a time in RFC 3339; Go's zero time for 0, as Alertmanager writes an unknown end."""
    return rfc3339(nanoseconds) if nanoseconds else "0001-01-01T00:00:00Z"


def at(nanoseconds: int) -> datetime:
    """Return a time as a datetime in UTC."""
    return datetime.fromtimestamp(nanoseconds // _NS, UTC)


def shorten(text: str, length: int) -> str:
    """Shorten a text to `length` characters, with a mark if something is cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"


STATED: Final = (
    ("cause", "Cause"),
    ("impact", "Impact"),
    ("call_site", "Where"),
    ("route", "Route"),
    ("held_by", "Held by"),
    ("release", "Release"),
    ("environment", "Environment"),
    ("since", "Since"),
    ("advice", "What to do"),
    ("finding_url", "Finding"),
    ("trace_url", "Trace"),
)
"""The annotations of an alert after the summary, in this order, with their headings."""


def lines(labels: dict[str, str], annotations: dict[str, str]) -> list[tuple[str, str]]:
    """Return the heading and the text of everything known, the rule's own annotations last."""
    known = {**labels, **annotations}
    stated = [(heading, known[name]) for name, heading in STATED if known.get(name)]
    included = {name for name, _ in STATED} | {
        "summary",
        "condition",
        "value",
        "value_at_firing",
        "threshold",
        "advice_link",
        "alertname",
    }
    return stated + [(name, text) for name, text in annotations.items() if name not in included]
