"""Evidence that a loop was blocked and not starved: what its thread waited for, and the system's counters."""

from collections.abc import Mapping
from typing import Any, Final

from asgiscope import semconv as sc

from asgiscope_collector.queries.common.summaries import duration
from asgiscope_collector.queries.findings.findings import Filter
from asgiscope_collector.queries.findings.source import newest_attributes
from asgiscope_collector.store.client import Engine

_COUNTED: Final = (
    sc.STALL_MEASURED_NS,
    sc.STALL_THREAD_CPU_NS,
    sc.STALL_PROCESS_CPU_NS,
    sc.STALL_DELAY_NS,
)
_AWAITED: Final = (sc.AWAITED, sc.AWAITED_THREAD_NAME, sc.AWAITED_SITE)
_WAITS: Final = {
    sc.Awaited.THREAD: "the end of",
    sc.Awaited.FUTURE: "a future",
    sc.Awaited.LOCK: "a lock",
    sc.Awaited.CONDITION: "a condition",
    sc.Awaited.EVENT: "an event",
    sc.Awaited.SEMAPHORE: "a semaphore",
    sc.Awaited.BARRIER: "a barrier",
    sc.Awaited.QUEUE: "a queue",
    sc.Awaited.IMPORT: "a module that another thread imports",
}
_MOST_CHARACTERS: Final = 500


def evidence_of(engine: Engine, asked: Filter) -> list[str]:
    """Return the evidence of the newest occurrence of the finding in `asked.ids`, one sentence each."""
    counted = newest_attributes(engine, asked, _COUNTED)
    if not counted:
        return []
    awaited = newest_attributes(engine, asked, _AWAITED)
    return [line for line in (_awaited_line(awaited), _counted_line(counted)) if line]


def _awaited_line(found: Mapping[str, Any]) -> str:
    """Return what the loop's thread waited for, and where the thread was that it waited for; '' for nothing."""
    waited = _WAITS.get(found.get(sc.AWAITED, ""))
    if waited is None:
        return ""
    name, site = (str(found.get(key, ""))[:_MOST_CHARACTERS] for key in _AWAITED[1:])
    thread = f"thread {name}" if name else "another thread"
    line = f"The loop's thread waited for {waited}"
    if found[sc.AWAITED] == sc.Awaited.THREAD:
        line += f" {thread}"
    elif name:
        line += f" that {thread} has to give"
    return f"{line}, which was at {site}." if name and site else f"{line}."


def _counted_line(found: Mapping[str, Any]) -> str:
    """Return the system's counters during the stall; '' if a sender's values are not numbers."""
    measured, thread, process, delay = (found.get(key, "") for key in _COUNTED)
    if not all(isinstance(value, int) for value in (measured, process)):
        return ""
    parts = []
    if isinstance(thread, int):
        parts.append(f"its thread used the processor for {duration(thread)}")
    if isinstance(delay, int):
        parts.append(f"was ready and had none for {duration(delay)}")
    parts.append(f"the process used {duration(process)} of processor time in all")
    return f"In {duration(measured)}, {', '.join(parts)}: the loop was not starved."
