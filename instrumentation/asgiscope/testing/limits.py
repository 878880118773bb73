"""The limits of a test, and the message if one is exceeded: which line, and how to fix it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgiscope.advice import Seen, advise
from asgiscope.detection.classify import BridgeCallFacts, classify_bridge_call
from asgiscope.semconv import FindingKind

if TYPE_CHECKING:
    from asgiscope.testing.recording import Recording
    from asgiscope.testing.results import BridgeCall, CallSite

_SHOWN = 5
"""Number of problems of one kind in a message; the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits, each of which may be None for no limit."""

    blocking_ms: float | None = 50.0
    """How long the event loop may be blocked at a time. 0: no call that a probe sees may block it, however
    short.
    """
    refusals: int | None = 0
    """Allowed number of refusals, caught ones included."""
    queue_wait_ms: float | None = None
    """How long a bridge call may wait for its thread because other calls hold it."""
    hops: int | None = None
    """How often one request may cross to a thread; without a request, how often the test may."""

    def complaint(self, seen: "Recording") -> str:
        """Return a message about the exceeded limits, '' if there are none."""
        problems: list[str] = []
        for found in (self._blocking(seen), self._refusals(seen), self._waits(seen), self._hops(seen)):
            kind = list(found)
            problems += kind[:_SHOWN]
            if len(kind) > _SHOWN:
                problems.append(f"... and {len(kind) - _SHOWN} more like these.")
        return "\n\n".join(problems)

    def _blocking(self, seen: "Recording") -> Iterator[str]:
        if self.blocking_ms is None:
            return
        stalls = [one for one in seen.stalls if not one.importing and not one.starved]
        for stall in sorted(stalls, key=lambda one: -one.blocked_ms):
            if stall.blocked_ms > self.blocking_ms:
                yield _problem(
                    f"The event loop was blocked for {_ms(stall.blocked_ms)} (at most {_ms(self.blocking_ms)}).",
                    stall.site,
                    stall.route,
                    f"by {stall.operation}" if stall.operation else "",
                    advise(FindingKind.LOOP_BLOCKED, Seen(operation=stall.kind)).line,
                )

    def _refusals(self, seen: "Recording") -> Iterator[str]:
        found = seen.refusals
        if self.refusals is None or len(found) <= self.refusals:
            return
        allowed = f"{len(found)} of at most {self.refusals}"
        for refusal in found:
            yield _problem(
                f"Refused ({allowed}): {refusal.message}",
                refusal.site,
                refusal.route,
                " -> ".join(refusal.chain),
                advise(
                    FindingKind.REFUSAL, Seen(operation=refusal.operation_kind, refusal=refusal.kind)
                ).line,
            )

    def _waits(self, seen: "Recording") -> Iterator[str]:
        if self.queue_wait_ms is None:
            return
        for call in sorted(seen.calls, key=lambda one: -one.wait_ms):
            held_ns = int(sum(holder.overlap_ms for holder in call.held_by) * 1e6)
            waited_ns = int(call.wait_ms * 1e6)
            facts = BridgeCallFacts(waited_ns, waited_ns, max(waited_ns - held_ns, 0), role=call.thread)
            kind = classify_bridge_call(facts, int(self.queue_wait_ms * 1e6) + 1).kind
            if kind is not None:
                holder = call.held_by[0] if call.held_by else None
                held = f"held {_ms(holder.overlap_ms)} by {holder.function}" if holder is not None else ""
                if holder is not None and holder.site is not None:
                    held += f" ({holder.site})"
                yield _problem(
                    f"{call.function} waited {_ms(call.wait_ms)} for its thread (at most "
                    f"{_ms(self.queue_wait_ms)}).",
                    call.site,
                    call.route,
                    held,
                    advise(kind, Seen(executor=call.thread)).line,
                )

    def _hops(self, seen: "Recording") -> Iterator[str]:
        if self.hops is None:
            return
        calls = seen.calls
        requests = seen.requests
        for request in requests:
            if request.hops > self.hops:
                own = [call for call in calls if call.trace_id == request.trace_id]
                yield self._too_many(f"{request.method} {request.path}", request.hops, own)
        if not requests and len(calls) > self.hops:
            yield self._too_many("The test", len(calls), calls)

    def _too_many(self, who: str, hops: int, calls: "list[BridgeCall]") -> str:
        where = Counter(_place(call) for call in calls)
        lines = [f"  {count} x {place}" for place, count in where.most_common(10)]
        kind = (
            FindingKind.SYNC_MIDDLEWARE if any(call.middleware for call in calls) else FindingKind.HOP_STORM
        )
        crossed = f"{who} crossed to a thread {hops} times (at most {self.hops})."
        return "\n".join([crossed, *lines, f"  fix: {advise(kind).line}"])


def _problem(what: str, site: "CallSite | None", route: str, how: str, remedy: str) -> str:
    where = f"{site}" if site is not None else "no line of the application is on the stack"
    lines = [f"at {where}" + (f", {route}" if route else "")]
    if site is not None and site.source:
        lines.append(f"    {site.source}")
    lines += [how, f"fix: {remedy}"]
    return "\n".join([what, *(f"  {line}" for line in lines if line)])


def _place(call: "BridgeCall") -> str:
    if call.middleware:
        return f"middleware {call.middleware}"
    if call.site is None or call.site.function == call.function:
        return str(call.site or call.function)
    return f"{call.function}, {call.site}"


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"  # noqa: PLR2004 - two digits are enough
