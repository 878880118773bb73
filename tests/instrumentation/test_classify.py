"""What is a finding, and by which rule: each rule once, and what holds for all facts."""

from dataclasses import replace

import pytest
from asgiscope.detection.classify import (
    BridgeCallFacts,
    ParkedThreadFacts,
    Reason,
    Verdict,
    classify_bridge_call,
    classify_parked_thread,
    classify_pool_wait,
    classify_request,
    classify_stall,
)
from asgiscope.semconv import FindingKind, Outcome, Starvation, ThreadRole
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000
THRESHOLD = 5 * MS
NO_FINDING = {
    Reason.SHORT,
    Reason.IDLE_THREAD,
    Reason.STARVED,
    Reason.EXPECTED,
    Reason.FEW,
    Reason.UNEXPLAINED,
}
HELD = BridgeCallFacts(wait_ns=20 * MS, awaited_ns=20 * MS, idle_ns=2 * MS)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (HELD, Verdict(FindingKind.CONTENTION, Reason.HELD)),
        (replace(HELD, role=ThreadRole.POOL), Verdict(FindingKind.POOL_STARVATION, Reason.HELD)),
        (replace(HELD, idle_ns=11 * MS), Verdict(None, Reason.IDLE_THREAD)),
        (
            replace(HELD, idle_ns=20 * MS, outcome=Outcome.ABANDONED),
            Verdict(FindingKind.CONTENTION, Reason.ABANDONED),
        ),
        (replace(HELD, awaited_ns=4 * MS), Verdict(None, Reason.SHORT)),
        (replace(HELD, starved_ns=13 * MS), Verdict(FindingKind.CONTENTION, Reason.HELD)),
        (replace(HELD, starved_ns=14 * MS), Verdict(None, Reason.STARVED)),
        (
            replace(HELD, starved_ns=18 * MS, is_forced_by_middleware=True),
            Verdict(FindingKind.SYNC_MIDDLEWARE, Reason.FORCED_BY_MIDDLEWARE),
        ),
        (BridgeCallFacts(6 * MS, 6 * MS, 2 * MS), Verdict(None, Reason.SHORT)),
        (
            replace(HELD, is_forced_by_middleware=True),
            Verdict(FindingKind.CONTENTION, Reason.HELD),
        ),
        (
            replace(HELD, awaited_ns=0, is_forced_by_middleware=True, reads_stream=True),
            Verdict(FindingKind.SYNC_MIDDLEWARE, Reason.FORCED_BY_MIDDLEWARE),
        ),
        (
            replace(HELD, awaited_ns=0, reads_stream=True),
            Verdict(FindingKind.STREAM_READ_WHOLE, Reason.READS_STREAM),
        ),
    ],
)
def test_a_bridge_call_is_classified_by_its_wait_first(facts: BridgeCallFacts, verdict: Verdict) -> None:
    """A wait that others caused is worse than the reason for the call."""
    assert classify_bridge_call(facts, THRESHOLD) == verdict


lengths = st.integers(0, 100 * MS)


@st.composite
def bridge_calls(draw: st.DrawFn) -> BridgeCallFacts:
    """Return possible facts: nobody waits longer than the wait, and a thread is not idle for longer."""
    wait = draw(lengths)
    return BridgeCallFacts(
        wait,
        draw(st.integers(0, wait)),
        draw(st.integers(0, wait)),
        draw(st.sampled_from([None, *Outcome])),
        draw(st.sampled_from(["", *ThreadRole])),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(0, wait)),
    )


@given(bridge_calls(), lengths)
def test_a_bridge_call_is_a_finding_exactly_if_its_reason_is_one_for_a_finding(
    facts: BridgeCallFacts, threshold: int
) -> None:
    """Each reason belongs to one side."""
    verdict = classify_bridge_call(facts, threshold)
    assert (verdict.kind is None) == (verdict.reason in NO_FINDING)


@given(bridge_calls(), lengths, lengths)
def test_a_higher_threshold_finds_no_wait_that_a_lower_one_does_not(
    facts: BridgeCallFacts, one: int, other: int
) -> None:
    """Waits for others are found at a threshold, and at every lower one."""
    waits = {FindingKind.CONTENTION, FindingKind.POOL_STARVATION}
    if classify_bridge_call(facts, max(one, other)).kind in waits:
        assert classify_bridge_call(facts, min(one, other)).kind in waits


@given(bridge_calls(), lengths, st.integers(0, 100 * MS))
def test_a_wait_in_which_others_held_the_thread_for_longer_stays_a_finding(
    facts: BridgeCallFacts, threshold: int, less_idle: int
) -> None:
    """The less a thread was idle, the more others held it."""
    held = replace(facts, idle_ns=max(facts.idle_ns - less_idle, 0))
    if classify_bridge_call(facts, threshold).kind is FindingKind.CONTENTION:
        assert classify_bridge_call(held, threshold).kind is FindingKind.CONTENTION


@given(bridge_calls(), lengths)
def test_wait_on_a_mostly_idle_thread_is_no_finding(facts: BridgeCallFacts, threshold: int) -> None:
    """Unless nothing serves the queue any more: then its wait never ends."""
    if facts.idle_ns * 2 > facts.wait_ns and facts.outcome is not Outcome.ABANDONED:
        verdict = classify_bridge_call(facts, threshold)
        assert verdict.kind not in {FindingKind.CONTENTION, FindingKind.POOL_STARVATION}


@pytest.mark.parametrize("starved", list(Starvation))
def test_a_starved_loop_is_no_finding_whatever_it_was_starved_of(starved: Starvation) -> None:
    """Nothing on its stack caused the delay."""
    assert classify_stall(starved) == Verdict(None, Reason.STARVED)
    assert classify_stall(None) == Verdict(FindingKind.LOOP_BLOCKED, Reason.BLOCKED)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (ParkedThreadFacts(THRESHOLD, False, "", True), Verdict(FindingKind.PARKED_THREAD, Reason.PARKED)),
        (ParkedThreadFacts(THRESHOLD - 1, False, "", True), Verdict(None, Reason.SHORT)),
        (ParkedThreadFacts(1, True, "", True), Verdict(FindingKind.PARKED_THREAD, Reason.LOST_COROUTINE)),
        (ParkedThreadFacts(THRESHOLD, True, ThreadRole.MAIN, False), Verdict(None, Reason.EXPECTED)),
        (ParkedThreadFacts(THRESHOLD, False, ThreadRole.OTHER, False), Verdict(None, Reason.EXPECTED)),
        (
            ParkedThreadFacts(THRESHOLD, False, ThreadRole.MAIN, True),
            Verdict(FindingKind.PARKED_THREAD, Reason.PARKED),
        ),
    ],
)
def test_a_parked_thread_is_a_finding_where_it_serves_requests(
    facts: ParkedThreadFacts, verdict: Verdict
) -> None:
    """A script's main thread waits in async_to_sync by design."""
    assert classify_parked_thread(facts, THRESHOLD) == verdict


def test_a_request_is_a_hop_storm_from_the_threshold_on() -> None:
    """The threshold itself is enough."""
    assert classify_request(9, 10) == Verdict(None, Reason.FEW)
    assert classify_request(10, 10) == Verdict(FindingKind.HOP_STORM, Reason.REPEATED)


def test_a_wait_for_a_connection_is_a_finding_where_somebody_held_it() -> None:
    """A pool that opens its first connection waits for nobody."""
    verdicts = [
        classify_pool_wait(waited, has_holders=held, wait_ns=THRESHOLD)
        for waited, held in ((THRESHOLD - 1, True), (THRESHOLD, False), (THRESHOLD, True))
    ]
    assert verdicts == [
        Verdict(None, Reason.SHORT),
        Verdict(None, Reason.UNEXPLAINED),
        Verdict(FindingKind.CONNECTION_WAIT, Reason.CONNECTIONS_HELD),
    ]
