"""OTLP bodies as asgiscope sends them, written span by span."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asgiscope import semconv
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

Value = str | int | float | bool | Sequence[str]
MS = 1_000_000


def attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    """Key-value pairs as OTLP writes them."""
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Value) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case _:
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))


@dataclass(frozen=True)
class Thread:
    """A thread of the sending process."""

    id: int
    name: str
    role: semconv.ThreadRole

    @property
    def tags(self) -> dict[str, Value]:
        """What every span made on this thread carries."""
        return {
            semconv.THREAD_ID: self.id,
            semconv.THREAD_NAME: self.name,
            semconv.THREAD_ROLE: self.role.value,
            semconv.ON_EVENT_LOOP: self.role is semconv.ThreadRole.EVENT_LOOP,
        }


@dataclass(frozen=True)
class Site:
    """A place in the application's code."""

    function: str
    file: str
    line: int

    @property
    def tags(self) -> dict[str, Value]:
        """As span or link attributes."""
        return {
            semconv.CODE_FUNCTION: self.function,
            semconv.CODE_FILE: self.file,
            semconv.CODE_LINE: self.line,
        }


@dataclass
class Trace:
    """One trace being written; times are milliseconds from its start."""

    start_ns: int
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    spans: list[Span] = field(default_factory=list)

    def add(
        self,
        name: str,
        start_ms: float,
        length_ms: float,
        values: Mapping[str, Value],
        *,
        parent: Span | None = None,
        kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
        error: str = "",
    ) -> Span:
        """Append a span; answers it, to hang others below it or links on it."""
        start = self.start_ns + round(start_ms * MS)
        span = Span(
            trace_id=self.id,
            span_id=secrets.token_bytes(8),
            parent_span_id=parent.span_id if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=start,
            end_time_unix_nano=start + round(length_ms * MS),
            attributes=attributes(values),
            status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else Status(),
        )
        self.spans.append(span)
        return span

    def request(
        self,
        thread: Thread,
        method: str,
        route: str,
        length_ms: float,
        values: Mapping[str, Value],
        *,
        status: int = 200,
    ) -> Span:
        """Append the server span."""
        tags: dict[str, Value] = {
            **thread.tags,
            semconv.HTTP_METHOD: method,
            semconv.HTTP_ROUTE: route,
            semconv.HTTP_STATUS: status,
            semconv.URL_PATH: f"/{route}",
        }
        error = "HTTP 500" if status >= 500 else ""
        return self.add(
            f"{method} {route}", 0, length_ms, {**tags, **values}, kind=Span.SPAN_KIND_SERVER, error=error
        )

    def bridge(
        self,
        threads: tuple[Thread, Thread],
        function: str,
        site: Site,
        start_ms: float,
        *,
        phases_ms: tuple[float, float, float],
        parent: Span,
        route: str,
        values: Mapping[str, Value] | None = None,
    ) -> Span:
        """Append a `sync_to_async` call from one thread to another: it waits, runs, waits for the loop again."""
        submitter, runner = threads
        wait, run, resume = phases_ms
        tags: dict[str, Value] = {
            **submitter.tags,
            **site.tags,
            semconv.HTTP_ROUTE: route,
            semconv.BRIDGE_FUNCTION: function,
            semconv.THREAD_SENSITIVE: runner.role is not semconv.ThreadRole.POOL,
            semconv.EXECUTOR_ROLE: runner.role.value,
            semconv.EXECUTOR_ID: f"executor-{runner.id}",
            semconv.WAIT_NS: round(wait * MS),
            semconv.RUN_NS: round(run * MS),
            semconv.RESUME_NS: round(resume * MS),
            semconv.RUN_THREAD_ID: runner.id,
            semconv.RUN_THREAD_NAME: runner.name,
        }
        return self.add(
            f"{semconv.SPAN_SYNC_TO_ASYNC} {function}",
            start_ms,
            wait + run + resume,
            {**tags, **(values or {})},
            parent=parent,
        )


def link(
    source: Span, target: Span, kind: semconv.LinkKind, overlap_ms: float, values: Mapping[str, Value]
) -> None:
    """Let `source` point at `target`."""
    source.links.append(
        Span.Link(
            trace_id=target.trace_id,
            span_id=target.span_id,
            attributes=attributes(
                {semconv.LINK: kind.value, semconv.OVERLAP_NS: round(overlap_ms * MS), **values}
            ),
        )
    )


def body(service: str, traces: Sequence[Trace], extra: Mapping[str, str] | None = None) -> bytes:
    """The traces of one process as an export request; `extra` goes to its resource, `_` standing for dots."""
    resource = Resource(
        attributes=attributes(
            {
                "service.name": service,
                "service.instance.id": f"{service}-1",
                "process.pid": 4242,
                "host.name": "web-1",
                semconv.RESOURCE_DJANGO: "5.2",
                semconv.RESOURCE_ASGIREF: "3.9",
                **{name.replace("_", "."): value for name, value in (extra or {}).items()},
            }
        )
    )
    scope = ScopeSpans(
        scope=InstrumentationScope(name=semconv.SCOPE_NAME, version="0.1.0"),
        spans=[span for trace in traces for span in trace.spans],
    )
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])]
    )
    return bytes(request.SerializeToString())
