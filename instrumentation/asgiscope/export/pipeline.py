"""Integration with OpenTelemetry: sampling, context propagation, other libraries' spans, and the exporter.

If the application has a TracerProvider, its spans are exported as before: ours are not made current, so that
none of its spans has a parent that its backend never gets. If it has none by the first request, asgiscope
sets one, and the spans of other instrumentations go to the collector with ours.
"""

import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import OTELResourceDetector, ProcessResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.util.http import get_excluded_urls

from asgiscope import __version__, internal_errors
from asgiscope.config import Config
from asgiscope.export.encode import Encoder
from asgiscope.export.encode import request as request_body
from asgiscope.export.encode import resource as resource_field
from asgiscope.export.encode import scope as scope_field
from asgiscope.export.http import ExportResult, Sender
from asgiscope.export.metrics import Meter
from asgiscope.export.outbox import Outbox
from asgiscope.export.resolve.names import resource_attributes
from asgiscope.export.resolve.reports import ReportMaker, ready
from asgiscope.export.server_span import ServerSpans
from asgiscope.export.spans import SpanMaker, request_sums
from asgiscope.patching import Patches
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Request, Scope
from asgiscope.semconv import SCHEMA_URL, SCOPE_NAME

logger = logging.getLogger("asgiscope")
_EMPTY = Context()
RATIO_BITS = TraceIdRatioBased.TRACE_ID_LIMIT
_SCOPE = scope_field(SCOPE_NAME, __version__)
_ours: weakref.WeakSet[TracerProvider] = weakref.WeakSet()
"""Providers that asgiscope has set globally; OpenTelemetry keeps the first for the life of the process."""


class ServerSpan(NonRecordingSpan):
    """The request's span as the application sees it through OpenTelemetry's API: it may set attributes on it."""

    def __init__(self, request: Request) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self._request = request

    def get_span_context(self) -> SpanContext:
        """Return the context, created on demand: most requests never need it."""
        request = self._request
        flags = TraceFlags(TraceFlags.SAMPLED if request.sampled else TraceFlags.DEFAULT)
        return SpanContext(request.trace_id, request.span_id, is_remote=False, trace_flags=flags)

    def is_recording(self) -> bool:
        """Return whether its attributes will be sent."""
        return self._request.sampled

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the server span."""
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Any) -> None:
        """Set attributes of the server span."""
        request = self._request
        if request.extra is None:
            request.extra = {}
        request.extra.update(attributes)


class _OurContext(Context):
    """A context whose current span is a `ServerSpan`. A context that others derive from it is a plain `Context`.

    Identified by its type, because each sent scope checks the current span, and a look-up costs five calls.
    """


class _Headers(Getter[Callable[[str], list[str]]]):
    def get(self, carrier: Callable[[str], list[str]], key: str) -> list[str] | None:
        return carrier(key) or None

    def keys(self, carrier: Callable[[str], list[str]]) -> list[str]:  # noqa: ARG002 - interface
        return []


class Pipeline:
    """Connects the recorder to the collector."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = threading.RLock()
        self._provider_checked = False  # guarded by _lock
        self._owns_provider = False
        self._excluded = get_excluded_urls("DJANGO")
        self._getter = _Headers()
        self._resource = _resource()
        # Created at once, for its sampler, which OTEL_TRACES_SAMPLER configures; set globally only if the
        # application turns out to have none.
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._sampler: Sampler = self._provider.sampler
        self._bound = ratio_bound(self._sampler)
        self._fields: tuple[str, ...] = ()
        """Headers that may carry a caller's trace context."""
        self._recorder: Recorder | None = None
        self._processors: list[_Tagger] = []
        self._server_spans = ServerSpans()
        self._is_reported = False
        self._rejection_logged = False
        self._sender = Sender("traces", config.endpoint)
        self._encoder = Encoder()
        self.maker = SpanMaker(config, self._add_up)
        self.reports = ReportMaker(self.maker)
        self._meter: Meter | None = None
        self.outbox = Outbox(
            self._deliver,
            encode=self._encode,
            ready=ready,
            size=config.queue_size,
            interval_s=config.send_interval_ms / 1e3,
            shutdown=self._sender_closed,
            each_turn=self._turn,
        )

    def _sender_closed(self) -> None:
        self._sender.close()

    def _add_up(self, request: Request) -> None:
        if self._recorder is not None:
            self._recorder.tallies.add(request)

    def after_fork(self) -> None:
        """Reset in a forked child: its own connection, and its own process in the resource."""
        self._sender = Sender("traces", self.config.endpoint)
        self._encoder = Encoder()
        self._lock = threading.RLock()
        attributes = {**self._resource.attributes, "process.pid": os.getpid()}
        self._resource = Resource(attributes)
        if self._recorder is not None:
            self._recorder.tallies.reset()
            self._meter = Meter(self.config, self._recorder.tallies)

    def connect(self, recorder: Recorder) -> None:
        """Set the recorder's callbacks that depend on OpenTelemetry."""
        self._recorder = recorder
        recorder.otel = self._other_span
        self._meter = Meter(self.config, recorder.tallies)

    # --- requests ---------------------------------------------------------------------------------------

    def excluded(self, path: str) -> bool:
        """Return whether requests to this path are excluded."""
        return bool(self._excluded.url_disabled(path))

    def begin(self, request: Request, headers: Callable[[str], list[str]]) -> object:
        """Extract the caller's trace context, decide on sampling, and make the request's span current."""
        if not self.outbox.started:
            self.outbox.start()
        if not self._provider_checked:
            self._find_provider()
        around = self._other_span()
        if around is not None:
            request.foreign = request.otel = around
            request.sampled = bool(around.trace_flags.sampled)
            return None
        if any(map(headers, self._fields)):
            context = propagate.extract(headers, context=Context(), getter=self._getter)
            remote = trace.get_current_span(context).get_span_context()
            if remote.is_valid:
                request.foreign = remote
            request.sampled = self._decide(request, context, f"{request.method} ")
        else:
            if self._server_spans.expected:
                self._server_spans.draw_ids(request)
            request.sampled = self._decide(request, _EMPTY, f"{request.method} ")
        if not self._owns_provider or self._server_spans.expected:
            return None
        return otel_context.attach(_OurContext(trace.set_span_in_context(ServerSpan(request))))

    def end(self, token: object) -> None:
        """Restore the previous current span."""
        if token is not None:
            otel_context.detach(token)  # type: ignore[arg-type] # the API's Token is a contextvars.Token

    def expect_server_spans(self) -> None:
        """From now on, let DjangoInstrumentor create the server span of every request."""
        self._server_spans.expected = True

    def lend_ids(self, request: Request, tracer: Any, patches: Patches) -> AbstractContextManager[object]:
        """Give the next span that the tracer starts the ids of a request."""
        return self._server_spans.lend_ids(request, tracer, patches)

    def adopt(self, request: Request, span: Any) -> None:
        """Make OpenTelemetry's span the request's server span."""
        self._server_spans.adopt(request, span)

    def add_sums(self, request: Request, span: Any) -> None:
        """Set the request's sums so far on OpenTelemetry's span."""
        if span.is_recording():
            self._add_up(request)
            sums = request_sums(request)
            span.set_attributes({key: value for key, value in sums.items() if value != ""})

    def sample(self, scope: Scope) -> bool:
        """Return whether the trace that a scope starts outside any request is sampled."""
        around = self._other_span()
        if around is not None:
            return bool(around.trace_flags.sampled)
        return self._decide(scope, _EMPTY, type(scope).__name__)

    def _decide(self, scope: Scope, context: Context, name: str) -> bool:
        if self._bound is not None and context is _EMPTY:
            return scope.trace_id & RATIO_BITS < self._bound
        kind = SpanKind.SERVER if isinstance(scope, Request) else SpanKind.INTERNAL
        result = self._sampler.should_sample(context, scope.trace_id, name, kind)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def _other_span(self) -> Any:
        """Return the SpanContext of the current span if another library created it and it will be sent."""
        known = otel_context.get_current()
        if not known or type(known) is _OurContext:
            return None
        span = trace.get_current_span(known)
        if isinstance(span, ServerSpan):
            return None
        context = span.get_span_context()
        return context if context.is_valid and context.trace_flags.sampled else None

    # --- the provider -----------------------------------------------------------------------------------

    def _find_provider(self) -> None:
        """Find the provider, once, at the first request: an application that has one has set it by then."""
        if self._provider_checked:
            return
        with self._lock:
            first, self._provider_checked = not self._provider_checked, True
            if not first:
                return
            self._fields = tuple(sorted(propagate.get_global_textmap().fields))
            try:
                provider = trace.get_tracer_provider()
                if isinstance(provider, trace.ProxyTracerProvider):
                    provider = self._provider
                    self._owns_provider = True
                    trace.set_tracer_provider(provider)
                    _ours.add(provider)
                # asgiscope was removed and installed again: a provider cannot be replaced
                elif provider in _ours:
                    self._owns_provider = True
                if isinstance(provider, TracerProvider):
                    self._sampler = provider.sampler
                    self._server_spans.ids = provider.id_generator
                    self._bound = ratio_bound(self._sampler)
                    if not self._owns_provider:
                        self._resource = Resource(resource_attributes(provider.resource.attributes))
                    tagger = _Tagger(self, self._owns_provider)
                    self._processors.append(tagger)
                    provider.add_span_processor(tagger)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("pipeline.provider")

    # --- sending ----------------------------------------------------------------------------------------

    def _encode(self, record: Any) -> bytes | ReadableSpan:
        if isinstance(record, ReadableSpan):
            return record  # encoded in a batch, by OpenTelemetry's own encoder
        return self._encoder.span(self.reports.make(record))

    def _deliver(self, records: Sequence[bytes | ReadableSpan]) -> bool:
        spans = [record for record in records if isinstance(record, bytes)]
        others = [record for record in records if not isinstance(record, bytes)]
        body = self._body(spans) if spans else b""
        if others:
            body += encode_spans(others).SerializeToString()
        with suppress_instrumentation():
            answer = self._sender.post(body)
        if answer is not ExportResult.SUCCESS and not self._is_reported:
            self._is_reported = True
            logger.warning(
                "asgiscope cannot hand its spans to %s (%s); the application is not affected, spans are dropped "
                "and counted, and this is logged once. Is OTEL_EXPORTER_OTLP_ENDPOINT right?",
                self._sender.url,
                answer.value,
            )
        if self._sender.rejected and not self._rejection_logged:
            self._rejection_logged = True
            logger.warning(
                "%s accepts asgiscope's spans but left %d out: %s. They count as dropped; this is logged once.",
                self._sender.url,
                self._sender.rejected,
                self._sender.rejected_why or "it gives no reason",
            )
        return answer is ExportResult.SUCCESS

    def _body(self, elements: Sequence[bytes]) -> bytes:
        return request_body(resource_field(self._resource.attributes), _SCOPE, elements, SCHEMA_URL)

    def _turn(self, now: bool) -> None:
        """Between requests: aggregate the tallies, and send them if it is time, or `now`."""
        self.maker.anchor()
        if self._meter is not None:
            with suppress_instrumentation():
                self._meter.turn(self._body, self._dropped(), now=now)

    def _dropped(self) -> int:
        """Return the number of records not stored: no room, refused, or dropped by the collector."""
        return self.outbox.dropped + self.outbox.lost + self._sender.rejected

    def flush(self, timeout_s: float) -> bool:
        """Wait until all records have been sent; return False on timeout."""
        return self.outbox.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send the remaining records and stop."""
        for processor in self._processors:
            processor.enabled = False
        self.outbox.close(timeout_s)


def ratio_bound(sampler: Sampler) -> int | None:
    """Return, for OpenTelemetry's own samplers, the bound below which a root trace id's low bits are sampled.

    Equivalent to `TraceIdRatioBased.should_sample`, at a tenth of the cost. None for any other sampler, which
    is then called.
    """
    if type(sampler) in {ParentBased, ParentBasedTraceIdRatio}:
        sampler = getattr(sampler, "_root", sampler)
    if type(sampler) is TraceIdRatioBased:
        return sampler.bound
    if type(sampler) is StaticSampler:
        decision = getattr(sampler, "_decision", None)
        if decision is Decision.RECORD_AND_SAMPLE:
            return RATIO_BITS + 1
        return 0 if decision is Decision.DROP else None
    return None


class _Tagger(SpanProcessor):
    """Sets the context and thread tags on other libraries' spans; exports them if the provider is ours."""

    def __init__(self, pipeline: Pipeline, forward: bool) -> None:
        self.enabled = True
        self._pipeline = pipeline
        self._forward = forward

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        recorder = self._pipeline._recorder  # noqa: SLF001 - same module
        if not self.enabled or recorder is None:
            return
        try:
            tags = recorder.tags().attributes()
            span.set_attributes({key: value for key, value in tags.items() if value != ""})
        except Exception:  # noqa: BLE001
            internal_errors.report("pipeline.tag")

    def on_end(self, span: ReadableSpan) -> None:
        if not self.enabled or self._pipeline._server_spans.take(span):  # noqa: SLF001 - same module
            return  # the request's own span: it is sent with the request, once that has ended
        if self._forward:
            self._pipeline.outbox.put(span)


def _resource() -> Resource:
    """Return service, process and runtime, as OpenTelemetry detects them, and the frameworks' versions."""
    detected = (
        Resource.create().merge(ProcessResourceDetector().detect()).merge(OTELResourceDetector().detect())
    )
    attributes = dict(detected.attributes)
    for key in ("process.command_line", "process.command_args"):  # they may hold secrets
        attributes.pop(key, None)
    return Resource(resource_attributes(attributes))
