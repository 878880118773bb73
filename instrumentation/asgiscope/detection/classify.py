"""Decide what a finished record is evidence of: a finding of which kind, or none, and by which rule.

Each function takes the facts about one kind of record and returns a `Verdict`. All are pure: lengths are
nanoseconds, thresholds come from the settings. export/spans.py collects the facts, and adds the call site and the
affected requests to what is found; the pytest plugin asks for waits too, with the test's own threshold.

Every refusal is a finding. What a single probe can decide alone (a session saved, a connection left open) is
decided there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from asgiscope.semconv import FindingKind, Outcome, Starvation, ThreadRole


class Reason(StrEnum):
    """The rule that decided, in the words of an explanation."""

    # A finding, because ...
    HELD = "other calls held the thread for at least half of the wait"
    ABANDONED = "nothing serves the queue any more"
    FORCED_BY_MIDDLEWARE = "a sync-only middleware made the call necessary"
    READS_STREAM = "the call reads a whole synchronous iterator for a streamed response"
    BLOCKED = "the loop's thread ran or waited in a callback"
    PARKED = "the thread was parked in async_to_sync for at least the threshold"
    LOST_COROUTINE = "async_to_sync did not get the result of its coroutine"
    REPEATED = "one call site made at least the threshold of bridge calls"
    CONNECTIONS_HELD = "others held the pool's connections"
    # No finding, because ...
    SHORT = "it took less than the threshold"
    IDLE_THREAD = "the thread was idle for most of the wait: the process was busy, not the thread"
    STARVED = "the thread was ready to run and did not get the interpreter or a processor"
    EXPECTED = "the main thread, or a plain thread outside any request, is there to wait"
    FEW = "no call site made as many bridge calls as the threshold"
    UNEXPLAINED = "no holder of a connection is known"


class Verdict(NamedTuple):
    """What a record is evidence of; `kind` is None where it is no finding."""

    kind: FindingKind | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class BridgeCallFacts:
    """What decides about a bridge call whose wait in the queue has ended."""

    wait_ns: int
    """From its submission until it ran or was withdrawn."""
    awaited_ns: int
    """The part of the wait in which somebody waited for it: neither after the response nor after a disconnect."""
    idle_ns: int
    """The part of the wait in which no other call held the thread."""
    outcome: Outcome | None = Outcome.RAN
    role: str = ""
    """Of the thread it was to run on (`semconv.ThreadRole`), or empty."""
    is_forced_by_middleware: bool = False
    reads_stream: bool = False
    starved_ns: int = 0
    """The part of the wait in which the thread that had to serve it was ready to run and did not."""


def classify_bridge_call(call: BridgeCallFacts, wait_ns: int) -> Verdict:
    """Return what a bridge call is evidence of; `wait_ns` is the threshold for its wait.

    A wait for others is worse than the call's own reason to exist, so it is decided first.
    """
    reason = Reason.SHORT
    if call.awaited_ns >= wait_ns:
        reason = Reason.IDLE_THREAD
        if call.outcome is Outcome.ABANDONED:
            reason = Reason.ABANDONED
        elif (call.wait_ns - call.idle_ns) * 2 >= call.wait_ns:
            held_ns = call.wait_ns - call.idle_ns
            reason = Reason.HELD
            if held_ns - call.starved_ns < wait_ns:
                reason = Reason.STARVED if held_ns >= wait_ns else Reason.SHORT
        if reason in (Reason.HELD, Reason.ABANDONED):
            in_pool = call.role == ThreadRole.POOL
            return Verdict(FindingKind.POOL_STARVATION if in_pool else FindingKind.CONTENTION, reason)
    if call.is_forced_by_middleware:
        return Verdict(FindingKind.SYNC_MIDDLEWARE, Reason.FORCED_BY_MIDDLEWARE)
    if call.reads_stream:
        return Verdict(FindingKind.STREAM_READ_WHOLE, Reason.READS_STREAM)
    return Verdict(None, reason)


def classify_stall(starved: Starvation | None) -> Verdict:
    """Return what a stall of the loop is evidence of; `starved` is what its thread needed and did not get."""
    if starved is not None:
        return Verdict(None, Reason.STARVED)
    return Verdict(FindingKind.LOOP_BLOCKED, Reason.BLOCKED)


@dataclass(frozen=True, slots=True)
class ParkedThreadFacts:
    """What decides about a thread that was parked in `async_to_sync`."""

    parked_ns: int
    has_failed: bool
    """Whether `async_to_sync` ended without the coroutine's own result or exception."""
    role: str
    """Of the parked thread (`semconv.ThreadRole`), or empty."""
    in_request: bool


def classify_parked_thread(parked: ParkedThreadFacts, parked_ns: int) -> Verdict:
    """Return what a parked thread is evidence of; `parked_ns` is the threshold."""
    if not parked.in_request and parked.role in (ThreadRole.MAIN, ThreadRole.OTHER):
        return Verdict(None, Reason.EXPECTED)
    if parked.has_failed:
        return Verdict(FindingKind.PARKED_THREAD, Reason.LOST_COROUTINE)
    if parked.parked_ns >= parked_ns:
        return Verdict(FindingKind.PARKED_THREAD, Reason.PARKED)
    return Verdict(None, Reason.SHORT)


def classify_request(most_hops: int, hop_storm: int) -> Verdict:
    """Return what a request is evidence of; `most_hops` is the number of its busiest call site."""
    if most_hops >= hop_storm:
        return Verdict(FindingKind.HOP_STORM, Reason.REPEATED)
    return Verdict(None, Reason.FEW)


def classify_pool_wait(waited_ns: int, *, has_holders: bool, wait_ns: int) -> Verdict:
    """Return what a wait for a pooled connection is evidence of; `wait_ns` is the threshold."""
    if waited_ns < wait_ns:
        return Verdict(None, Reason.SHORT)
    if not has_holders:
        return Verdict(None, Reason.UNEXPLAINED)
    return Verdict(FindingKind.CONNECTION_WAIT, Reason.CONNECTIONS_HELD)
