"""Ongoing reports as spans: the span of an unfinished record, with the stacks; and the end of a deadlock."""

from typing import Any, NamedTuple

from asgiscope import semconv as sc
from asgiscope.contention.queue import Call
from asgiscope.event_loop.ongoing import Report
from asgiscope.export.encode import SpanData
from asgiscope.export.resolve import declared
from asgiscope.export.resolve.shared import code
from asgiscope.export.resolve.victims import FINDING_ATTRIBUTES, Found
from asgiscope.export.spans import SpanMaker
from asgiscope.records.scope import Scope
from asgiscope.stack import call_site

_CONTEXT = frozenset(
    {
        *(sc.OngoingState.RUNNING, sc.OngoingState.RESUMING),
        *(sc.OngoingState.IN_FLIGHT, sc.OngoingState.AWAITING),
    }
)
"""States that are not a problem by themselves: a running call may hold others, a request only encloses them, and
one that awaits may be long polling.
"""
_MAX_REPORTED = 1_000


class _Reported(NamedTuple):
    """What a scope was reported as while it lasted."""

    found: Found | None
    deadlock: list[str]


class ReportMaker:
    """Creates spans of scopes and of reports. Used by the sending thread alone."""

    def __init__(self, maker: SpanMaker) -> None:
        self._maker = maker
        self._reported: dict[int, _Reported] = {}
        """Spans that were reported as a problem, by id, until they end: their end has the finding too. A
        stall ends as another scope than the reported one, under the same id.
        """

    def make(self, record: Any) -> SpanData:
        """Return the span of a finished scope, or of a report on an unfinished one."""
        if isinstance(record, Report):
            return self._report(record)
        known = self._reported.pop(record.span_id, None) if self._reported else None
        if known is None:
            return self._maker.make(record)
        kind = sc.FindingKind.DEADLOCK if known.deadlock else None
        span = self._maker.make(record, kind=kind, reported=known.found)
        if not known.deadlock:
            return span
        return span._replace(attributes={**span.attributes, sc.DEADLOCK: known.deadlock})

    def _report(self, report: Report) -> SpanData:
        kind = sc.FindingKind.DEADLOCK if report.deadlock else None
        span = self._maker.make(report.scope, ongoing=True, kind=kind)
        attributes = dict(span.attributes)
        if report.state in _CONTEXT:
            for key in FINDING_ATTRIBUTES:
                attributes.pop(key, None)
            # A read that has not ended may never end, and then only this report shows it.
            if report.state is sc.OngoingState.RUNNING and isinstance(report.scope, Call):
                attributes |= self._maker.stream_read(report.scope)
        found = None
        if sc.FINDING in attributes:
            found = Found(attributes[sc.FINDING], attributes[sc.FINDING_COST_NS])
        if report.deadlock:
            attributes[sc.DEADLOCK] = report.deadlock
        if (found or report.deadlock) and (
            span.span_id in self._reported or len(self._reported) < _MAX_REPORTED
        ):
            self._reported[span.span_id] = _Reported(found, report.deadlock)
        attributes[sc.ONGOING] = True
        attributes[sc.ONGOING_STATE] = str(report.state)
        attributes[sc.ONGOING_REPORT] = report.number
        if report.state is sc.OngoingState.AWAITING:
            attributes |= _awaited_line(report)
        if report.frames:
            attributes[sc.CODE_STACKTRACE] = call_site.render(report.frames)
        if report.threads:
            attributes[sc.THREADS] = report.threads
            attributes[sc.TASKS] = report.tasks
        return span._replace(attributes=attributes)


def _awaited_line(report: Report) -> dict[str, Any]:
    """Return the line that a request awaits, and its view."""
    found = call_site.select_call_site_or_innermost(report.frames)
    return {
        **code(call_site.site_of(found) if found is not None else None),
        **declared.attributes(declared.of_scope(report.scope)),
    }


def ready(record: Any) -> bool:
    """Return whether the span of a record is final: before Django resolves a path there is no route."""
    scope = record.scope if isinstance(record, Report) else record
    request = scope.request if isinstance(scope, Scope) else None
    return request is None or bool(request.template or request.ended)
