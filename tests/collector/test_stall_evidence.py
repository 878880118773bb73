"""A blocked loop's finding says what its thread waited for and what the system counted, whatever was sent."""

from typing import Any

from asgiscope import semconv as sc

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender

COUNTED = {
    sc.STALL_MEASURED_NS: 3_000 * MS,
    sc.STALL_THREAD_CPU_NS: 1 * MS,
    sc.STALL_PROCESS_CPU_NS: 88 * MS,
    sc.STALL_DELAY_NS: 5 * MS,
}


def evidence(running: Running, sender: Sender, attributes: dict[str, Any]) -> list[str]:
    """Return what the finding of one stall with these attributes says."""
    request = sender.request("GET", "/report/")
    sender.stall(request, blocked_ns=3_000 * MS, function="report", attributes=attributes)
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    lines: list[str] = running.get(f"/api/findings/{found['id']}")["stall_evidence"]
    return lines


def test_the_thread_that_was_waited_for_and_the_counts_are_shown(running: Running, sender: Sender) -> None:
    """One sentence each."""
    awaited = {
        sc.AWAITED: "thread",
        sc.AWAITED_THREAD_NAME: "reports_0",
        sc.AWAITED_SITE: "report (shop/views.py:12)",
    }
    waited, counted = evidence(running, sender, {**COUNTED, **awaited})
    assert waited == (
        "The loop's thread waited for the end of thread reports_0, which was at report (shop/views.py:12)."
    )
    assert counted == (
        "In 3 s, its thread used the processor for 1 ms, was ready and had none for 5 ms, the process used "
        "88 ms of processor time in all: the loop was not starved."
    )


def test_evidence_without_a_known_thread_or_all_counters(running: Running, sender: Sender) -> None:
    """Only what is known is said."""
    known = {name: COUNTED[name] for name in (sc.STALL_MEASURED_NS, sc.STALL_PROCESS_CPU_NS)}
    assert evidence(running, sender, {**known, sc.AWAITED: "event"}) == [
        "The loop's thread waited for an event.",
        "In 3 s, the process used 88 ms of processor time in all: the loop was not starved.",
    ]


def test_values_that_are_not_of_the_contract_are_not_shown(running: Running, sender: Sender) -> None:
    """Anybody may send anything under these names."""
    assert evidence(running, sender, {sc.STALL_MEASURED_NS: "long", sc.AWAITED: "<script>"}) == []


def test_a_stall_that_a_probe_saw_has_no_such_evidence(running: Running, sender: Sender) -> None:
    """Its length is exact."""
    assert evidence(running, sender, {}) == []
