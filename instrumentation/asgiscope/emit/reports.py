"""Ongoing reports as spans: the span of a record as it stands, with the stacks; and what a deadlock ended as."""

from typing import Any

from asgiscope import callsite
from asgiscope import semconv as sc
from asgiscope.emit.encode import SpanData
from asgiscope.emit.spans import SpanMaker
from asgiscope.ledger import Call
from asgiscope.ongoing import Report
from asgiscope.scope import Scope

_CONTEXT = frozenset({sc.OngoingState.RUNNING, sc.OngoingState.RESUMING, sc.OngoingState.IN_FLIGHT})
"""States that are no problem of their own: a call that runs may hold, a request is where it happens."""
_FINDING = (sc.FINDING, sc.FINDING_COST_NS, sc.FINDING_VICTIMS, sc.FINDING_VICTIMS_NS)
_MAX_DEADLOCKS = 1_000


class ReportMaker:
    """Makes spans of scopes and of reports on scopes. Used by the sending thread alone."""

    def __init__(self, maker: SpanMaker) -> None:
        self._maker = maker
        self._deadlocks: dict[Scope, list[str]] = {}
        """Scopes that were reported as part of a deadlock, until they end."""

    def make(self, record: Any) -> SpanData:
        """The span of a finished scope, or of a report on one that has not ended."""
        if isinstance(record, Report):
            return self._report(record)
        span = self._maker.make(record)
        if self._deadlocks and record in self._deadlocks:
            return span._replace(attributes=_deadlock(dict(span.attributes), self._deadlocks.pop(record)))
        return span

    def _report(self, report: Report) -> SpanData:
        span = self._maker.make(report.scope)
        attributes = dict(span.attributes)
        if report.state in _CONTEXT:
            for key in _FINDING:
                attributes.pop(key, None)
            # A read that has not ended may never end, and then this is all that tells of it.
            if report.state is sc.OngoingState.RUNNING and isinstance(report.scope, Call):
                attributes |= self._maker.stream_read(report.scope)
        if report.deadlock:
            attributes = _deadlock(attributes, report.deadlock)
            if len(self._deadlocks) < _MAX_DEADLOCKS:
                self._deadlocks[report.live] = report.deadlock
        attributes[sc.ONGOING] = True
        attributes[sc.ONGOING_STATE] = str(report.state)
        attributes[sc.ONGOING_REPORT] = report.number
        if report.frames:
            attributes[sc.CODE_STACKTRACE] = callsite.render(report.frames)
        if report.threads:
            attributes[sc.THREADS] = report.threads
            attributes[sc.TASKS] = report.tasks
        return span._replace(attributes=attributes)


def ready(record: Any) -> bool:
    """Whether the span of a record can be made as it will stay: until Django resolves a path there is no route."""
    scope = record.scope if isinstance(record, Report) else record
    request = scope.request if isinstance(scope, Scope) else None
    return request is None or bool(request.template or request.ended)


def _deadlock(attributes: dict[str, Any], steps: list[str]) -> dict[str, Any]:
    """What was found on a span of a deadlock is the deadlock."""
    attributes[sc.DEADLOCK] = steps
    if sc.FINDING in attributes:
        attributes[sc.FINDING] = str(sc.FindingKind.DEADLOCK)
    return attributes
