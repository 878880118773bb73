"""Builds what asgiscope sends, span by span, in OTLP: realistic enough to fill every page.

shop = Sender("shop")
request = shop.request("GET", "/cart/", start_ns=now, duration_ns=80 * MS)
shop.stall(request, blocked_ns=50 * MS, function="show_cart", file="shop/views.py", line=12)
httpx.post(url + "/v1/traces", content=shop.body(), headers=PROTOBUF_HEADERS)
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asgiscope import semconv as sc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
PROTOBUF_HEADERS: Final = {"Content-Type": "application/x-protobuf"}

Attributes = Mapping[str, Any]


def any_value(value: Any) -> AnyValue:
    """Return a Python value as OTLP writes it; None is a value that is absent."""
    result = AnyValue()
    match value:
        case None:
            pass
        case bool():
            result.bool_value = value
        case int():
            result.int_value = value
        case float():
            result.double_value = value
        case str():
            result.string_value = value
        case bytes():
            result.bytes_value = value
        case Mapping():
            result.kvlist_value.SetInParent()
            result.kvlist_value.values.extend(key_values(value))
        case _:
            result.array_value.SetInParent()
            result.array_value.values.extend(any_value(each) for each in value)
    return result


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes as OTLP writes them."""
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def site(function: str, file: str, line: int) -> dict[str, Any]:
    """Return the attributes of a call site."""
    return {sc.CODE_FUNCTION: function, sc.CODE_FILE: file, sc.CODE_LINE: line}


@dataclass(frozen=True, slots=True)
class Sent:
    """A span that was built: what tests compare with."""

    proto: Span
    service: str
    route: str = ""

    @property
    def trace_id(self) -> str:
        """In hexadecimal."""
        return self.proto.trace_id.hex()

    @property
    def span_id(self) -> str:
        """In hexadecimal."""
        return self.proto.span_id.hex()

    @property
    def start_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self.proto.start_time_unix_nano

    @property
    def duration_ns(self) -> int:
        """Nanoseconds."""
        return self.proto.end_time_unix_nano - self.proto.start_time_unix_nano


@dataclass
class Sender:
    """One process of a service; `body()` is one request of its exporter."""

    service: str
    instance: str = "one"
    scope: str = sc.SCOPE_NAME
    resource: dict[str, Any] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    def span(
        self,
        name: str,
        *,
        parent: Sent | None = None,
        kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
        start_ns: int | None = None,
        duration_ns: int = MS,
        attributes: Attributes | None = None,
        links: Sequence[tuple[Sent, Attributes]] = (),
        error: bool = False,
        same_as: Sent | None = None,
        route: str = "",
    ) -> Sent:
        """Add a span; `same_as` gives it the ids of one sent before."""
        start_ns = start_ns if start_ns is not None else (parent.start_ns if parent else time.time_ns())
        trace_id = parent.proto.trace_id if parent else os.urandom(16)
        built = Span(
            trace_id=same_as.proto.trace_id if same_as else trace_id,
            span_id=same_as.proto.span_id if same_as else os.urandom(8),
            parent_span_id=parent.proto.span_id if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + duration_ns,
            attributes=key_values(attributes or {}),
            links=[
                Span.Link(
                    trace_id=target.proto.trace_id, span_id=target.proto.span_id, attributes=key_values(about)
                )
                for target, about in links
            ],
            status=Status(code=Status.STATUS_CODE_ERROR if error else Status.STATUS_CODE_UNSET),
        )
        self.spans.append(built)
        return Sent(built, self.service, route)

    def request(
        self,
        method: str,
        route: str,
        *,
        start_ns: int | None = None,
        duration_ns: int = 20 * MS,
        status: int = 200,
        **sums: Any,
    ) -> Sent:
        """Return a server span; `sums` are attributes such as `asgiscope.request.hops`, by their last part."""
        attributes = {
            sc.HTTP_METHOD: method,
            sc.HTTP_ROUTE: route,
            sc.HTTP_STATUS: status,
            sc.URL_PATH: route,
            **{f"asgiscope.request.{name}": value for name, value in sums.items()},
        }
        return self.span(
            f"{method} {route}",
            kind=Span.SPAN_KIND_SERVER,
            start_ns=start_ns,
            duration_ns=duration_ns,
            attributes=attributes,
            error=status >= 500,
            route=route,
        )

    def finding(
        self,
        kind: sc.FindingKind,
        name: str,
        *,
        parent: Sent | None = None,
        cost_ns: int = 0,
        victims: int = 0,
        victims_ns: int = 0,
        function: str = "view",
        file: str = "shop/views.py",
        line: int = 10,
        attributes: Attributes | None = None,
        **options: Any,
    ) -> Sent:
        """Return a span that is evidence of a problem."""
        return self.span(
            name,
            parent=parent,
            duration_ns=options.pop("duration_ns", cost_ns),
            attributes={
                sc.FINDING: str(kind),
                sc.FINDING_COST_NS: cost_ns,
                sc.FINDING_VICTIMS: victims,
                sc.FINDING_VICTIMS_NS: victims_ns,
                **site(function, file, line),
                **({sc.HTTP_ROUTE: parent.route} if parent and parent.route else {}),
                **(attributes or {}),
            },
            **options,
        )

    def stall(
        self,
        parent: Sent | None,
        *,
        blocked_ns: int,
        operation: str = "SELECT shop_product",
        delayed: Sequence[tuple[Sent, int]] = (),
        **options: Any,
    ) -> Sent:
        """Return the event loop stood still; `delayed` are the victims' server spans and what each lost."""
        return self.finding(
            sc.FindingKind.LOOP_BLOCKED,
            sc.SPAN_BLOCKED,
            parent=parent,
            cost_ns=blocked_ns,
            victims=len(delayed),
            victims_ns=sum(lost for _, lost in delayed),
            attributes={
                sc.BLOCKED_NS: blocked_ns,
                sc.CAUSE: str(sc.Cause.CALL),
                sc.SAMPLES: 3,
                sc.BLOCKING_OPERATION: operation,
                sc.OPERATION_KIND: str(sc.OperationKind.QUERY),
                sc.CODE_STACKTRACE: 'File "site.py", line 1, in outer\nFile "site.py", line 2, in inner',
                sc.THREAD_ROLE: str(sc.ThreadRole.EVENT_LOOP),
                sc.ON_EVENT_LOOP: True,
                **options.pop("attributes", {}),
            },
            links=[
                (
                    victim,
                    {sc.LINK: str(sc.LinkKind.DELAYED), sc.OVERLAP_NS: lost, sc.HTTP_ROUTE: victim.route},
                )
                for victim, lost in delayed
            ],
            **options,
        )

    def bridge_call(
        self,
        parent: Sent | None,
        called: str,
        *,
        wait_ns: int = 0,
        run_ns: int = MS,
        resume_ns: int = 0,
        depth: int = 0,
        executor: sc.ThreadRole = sc.ThreadRole.REQUEST,
        held_by: Sequence[tuple[Sent, int, str]] = (),
        **options: Any,
    ) -> Sent:
        """A `sync_to_async` call; with `held_by` (holder, overlap, its function) it is a contention finding."""
        attributes = {
            sc.BRIDGE_FUNCTION: called,
            sc.THREAD_SENSITIVE: executor != sc.ThreadRole.POOL,
            sc.EXECUTOR_ROLE: str(executor),
            sc.EXECUTOR_ID: "queue-1",
            sc.QUEUE_DEPTH: depth,
            sc.WAIT_NS: wait_ns,
            sc.RUN_NS: run_ns,
            sc.RESUME_NS: resume_ns,
            sc.IDLE_NS: wait_ns - sum(overlap for _, overlap, _ in held_by),
            **options.pop("attributes", {}),
        }
        duration_ns = wait_ns + run_ns + resume_ns
        name = f"{sc.SPAN_SYNC_TO_ASYNC} {called}"
        if not held_by:
            return self.span(name, parent=parent, duration_ns=duration_ns, attributes=attributes, **options)
        return self.finding(
            sc.FindingKind.CONTENTION,
            name,
            parent=parent,
            cost_ns=wait_ns,
            victims=options.pop("victims", 1),
            victims_ns=options.pop("victims_ns", wait_ns),
            duration_ns=duration_ns,
            attributes=attributes,
            links=[
                (
                    holder,
                    {
                        sc.LINK: str(sc.LinkKind.HELD_BY),
                        sc.OVERLAP_NS: overlap,
                        sc.LINK_FUNCTION: held,
                        sc.HTTP_ROUTE: holder.route,
                        **site(f"{held}_caller", "shop/reports.py", 40),
                    },
                )
                for holder, overlap, held in held_by
            ],
            **options,
        )

    def refusal(self, parent: Sent | None, chain: Sequence[str], **options: Any) -> Sent:
        """Django refused, led there by `chain`."""
        return self.finding(
            sc.FindingKind.REFUSAL,
            sc.SPAN_REFUSED,
            parent=parent,
            victims=options.pop("victims", 1),
            attributes={
                sc.CHAIN: list(chain),
                sc.REFUSED_BY: "django",
                sc.BLOCKING_OPERATION: "SQLCompiler.execute_sql",
                sc.EXCEPTION_TYPE: "django.core.exceptions.SynchronousOnlyOperation",
                **options.pop("attributes", {}),
            },
            error=True,
            **options,
        )

    def export(self) -> ExportTraceServiceRequest:
        """Return what was built since the last time, as one request."""
        resource_spans = ResourceSpans(scope_spans=[ScopeSpans(spans=self.spans)])
        resource_spans.scope_spans[0].scope.name = self.scope
        resource_spans.scope_spans[0].scope.version = "0.1.0"
        resource_spans.resource.attributes.extend(
            key_values({"service.name": self.service, "service.instance.id": self.instance, **self.resource})
        )
        self.spans = []
        return ExportTraceServiceRequest(resource_spans=[resource_spans])

    def body(self) -> bytes:
        """`export` in protobuf."""
        return bytes(self.export().SerializeToString())
