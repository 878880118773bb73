"""Attributes of a stall: what blocked the loop, what it waited for, and the evidence that it was not starved."""

from typing import Any

from asgiscope import semconv as sc
from asgiscope.contention.queue import Call
from asgiscope.detection.starvation import Counts
from asgiscope.export.resolve import declared, operations
from asgiscope.export.resolve.names import module_of, work_name
from asgiscope.export.resolve.shared import code
from asgiscope.records.stall import AwaitedThread, Stall
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import select_site


def attributes_of(stall: Stall) -> dict[str, Any]:
    """Return all attributes of a stall except its finding and the affected requests."""
    site = stall.site or select_site(stall.frames)
    found: dict[str, Any] = {
        sc.BLOCKED_NS: stall.blocked_ns,
        sc.CAUSE: str(stall.cause),
        sc.SAMPLES: stall.samples,
        sc.BLOCKING_OPERATION: work_name(stall.work) or _operation(stall.frames, site),
        sc.OPERATION_KIND: operations.kind_of_stall(stall),
        sc.CODE_STACKTRACE: call_site.render(stall.frames),
        **code(call_site.site_of(site) if site is not None else None),
        **_evidence(stall.counted),
    }
    if site in stall.frames:
        found |= declared.attributes(declared.middleware_in(stall.frames))
    if stall.awaited is not None:
        found |= _awaited(stall.awaited)
    if stall.starved is not None:
        found[sc.STARVED_OF] = str(stall.starved)
    return found


def _operation(frames: list[Frame], site: Frame | None) -> str:
    """Return the blocking function: called by the call site, or by the loop if that is on another thread."""
    operation = operations.name_of_stack(frames)
    if operation or not frames or call_site.select_call_site(frames) is not None or site in frames:
        return operation
    # What the loop ran: its outermost frame, up to the middleware or the view.
    entered = call_site.entry(frames, call_site.select_call_site_or_innermost(frames) or frames[0])
    return f"{module_of(entered.code.co_filename)}.{entered.code.co_qualname}".lstrip(".")


def _awaited(awaited: AwaitedThread) -> dict[str, Any]:
    found: dict[str, Any] = {sc.AWAITED: str(awaited.kind)}
    if awaited.thread_id:
        found[sc.AWAITED_THREAD_ID] = awaited.thread_id
        found[sc.AWAITED_THREAD_NAME] = awaited.name
    frame = call_site.select_call_site_or_innermost(awaited.frames)
    if frame is not None:
        site = call_site.site_of(frame)
        found[sc.AWAITED_SITE] = f"{site.function} ({site.file}:{site.line})"
        found[sc.AWAITED_STACK] = call_site.render(awaited.frames)
    elif isinstance(awaited.scope, Call):  # a function without Python code
        found[sc.AWAITED_SITE] = call_site.callable_name(awaited.scope.func)
    return found


def _evidence(counted: list[Counts]) -> dict[str, Any]:
    if not counted:
        return {}
    found: dict[str, Any] = {
        sc.STALL_MEASURED_NS: sum(one.length_ns for one in counted),
        sc.STALL_PROCESS_CPU_NS: sum(one.process_cpu_ns for one in counted),
        sc.STALL_OVERSLEPT_NS: sum(one.overslept_ns for one in counted),
    }
    if all(one.thread_cpu_ns is not None for one in counted):
        found[sc.STALL_THREAD_CPU_NS] = sum(one.thread_cpu_ns or 0 for one in counted)
    last = counted[-1]  # counted from when the callback was scheduled
    if last.delay_ns is not None and last.timeslices is not None:
        found[sc.STALL_DELAY_NS], found[sc.STALL_TIMESLICES] = last.delay_ns, last.timeslices
    return found
