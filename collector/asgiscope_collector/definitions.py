"""The definition of each figure, written once for the pages, the API, alerts and exports.

`python dashboard/api_types.py` generates `docs/definitions.md` and the page's tooltips
(`dashboard/src/text/definitions.ts`) from this module; a test fails if one of them is out of date.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Definition:
    """The definition of one figure."""

    title: str
    meaning: str
    """The meaning in one or two sentences, for a tooltip."""
    counted: str
    """The source of the figure, and what it leaves out."""


DEFINITIONS: Final = {
    "requests": Definition(
        "Requests",
        "HTTP requests that ended in the range.",
        "From asgiscope's tallies of every request, independent of sampling; for minutes before a service's "
        "first tally, from the received server spans. For a service without asgiscope: its server spans, "
        "weighted by their sampling threshold (`ot=th:`).",
    ),
    "errors": Definition(
        "Errors",
        "Requests that were answered with a status of 500 or above, or that an exception ended.",
        "From the same source as the requests. 4xx is not an error, nor is a disconnect. By class: 1xx to 5xx, "
        "no response, and unknown if the service's version of asgiscope does not send the class.",
    ),
    "affected_requests": Definition(
        "Affected requests",
        "Distinct requests that a finding delayed or failed: each counts once, however often it waited.",
        "The sum over the finding's spans of the requests that each adds (`asgiscope.finding.victims`). "
        "Requests that may have waited before they were accepted are not included if the kernel does not say. "
        "Sums over several findings would count a request once per finding, and are not shown.",
    ),
    "affected_background": Definition(
        "Also affected",
        "Distinct messages of WebSocket consumers and background tasks that a finding delayed; requests are not "
        "included.",
        "The sums over the finding's spans of `asgiscope.finding.messages` and `asgiscope.finding.tasks`. A task "
        "is one of django.tasks, or an asyncio task outside of any request; it is delayed by waits for threads and "
        "connections.",
    ),
    "time_lost": Definition(
        "Time lost",
        "How long the affected requests were delayed by a finding: each instant of a request once, so "
        "never more than the requests' durations.",
        "The sum over the finding's spans of what each adds (`asgiscope.finding.victims_ns`), from when a "
        "request's bytes arrived until its response was sent or its client disconnected.",
    ),
    "occurrences": Definition(
        "Occurrences",
        "How often a finding happened: ended spans with this finding.",
        "Reports of unfinished work are shown as ongoing, and counted when it ends.",
    ),
    "hops": Definition(
        "Hops",
        "Crossings between the event loop and a thread within requests: calls through sync_to_async and calls"
        " that are submitted to a thread pool.",
        "From asgiscope's tallies of every call, else from the received server spans. A middleware's hops are "
        "those of Django's adaptation, and those of its hooks, averaged over the requests.",
    ),
    "hop_overhead": Definition(
        "Hop overhead",
        "Time that requests lost to hops: queue wait and resume delay, each instant of a request once, so "
        "never more than its duration.",
        "`asgiscope.request.overhead` of the tallies, else `asgiscope.request.overhead_ns` of the server "
        "spans. By call site: the part of each call in which no earlier call of the same request waited.",
    ),
    "loop_blocked": Definition(
        "Loop blocked",
        "The share of the watched time in which synchronous code prevented event loops from running anything "
        "else.",
        "Blocked time over watched time (`asgiscope.loop.blocked`, `asgiscope.loop.time`); without tallies "
        "the received stalls over the minutes in which each process was seen. A service without asgiscope is "
        "not watched and has no share.",
    ),
    "queue_wait": Definition(
        "Queue wait",
        "From submitting a call to its executor until its function starts on a thread, or until it was given "
        "up.",
        "Over all calls, including those that did not wait: a p95 of 20 ms means that one in twenty waits "
        "longer. From tallies, else from the received spans.",
    ),
}


def share(part: float, whole: float) -> float | None:
    """Return a part's share of the whole, 0 to 1; None if the whole is zero."""
    return min(1.0, part / whole) if whole else None


def per_request(sum_: float, requests: float) -> float:
    """Return the mean of a sum per request; 0 without requests."""
    return sum_ / requests if requests else 0.0


def markdown() -> str:
    """Return the text of `docs/definitions.md`."""
    parts = [
        "# What the figures mean",
        "",
        "Made of `collector/asgiscope_collector/definitions.py` by `python dashboard/api_types.py`: do not edit.",
        "The same figure is the same number on every page, in every answer of the API, in alerts and exports.",
    ]
    for name, each in DEFINITIONS.items():
        parts += ["", f"## {each.title}", "", f"`{name}`: {each.meaning}", "", each.counted]
    return "\n".join([*parts, ""])
