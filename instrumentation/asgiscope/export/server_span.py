"""Requests whose server span is OpenTelemetry's: one span, with the same ids, in both places.

DjangoInstrumentor starts its span after asgiscope's request has started, so the request generates the ids
first (with the provider's own generator: some backends encode a time in them) and lends them to the tracer.
asgiscope sends OpenTelemetry's span as it ended, with the request's sums when Django was done.

Overhead model: nothing until DjangoInstrumentor's middleware is in a chain; then a dictionary entry per
request.
"""

import contextlib
import contextvars
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode

from asgiscope.export.encode import SpanData, SpanEvent, SpanLink
from asgiscope.patching import Patches
from asgiscope.records.scope import Request
from asgiscope.semconv import HTTP_ROUTE, REQUEST_DURATION_NS

_SERVER: Final = 2
_lent: contextvars.ContextVar[Request | None] = contextvars.ContextVar("asgiscope_lent_ids", default=None)
"""The request whose ids the next span gets."""


class ServerSpans:
    """The requests with a server span of OpenTelemetry. Used by the application's threads."""

    def __init__(self) -> None:
        self.expected = False
        """DjangoInstrumentor's middleware is in a chain that Django has loaded."""
        self.ids: IdGenerator | None = None
        """The TracerProvider's."""
        # Weak: a span that is never ended must not keep its request.
        self._adopted: weakref.WeakValueDictionary[int, Request] = weakref.WeakValueDictionary()

    def draw_ids(self, request: Request) -> None:
        """Generate the ids of a request that does not continue a caller's trace, with the provider's generator."""
        if self.ids is not None:
            request.take_ids(self.ids.generate_trace_id(), self.ids.generate_span_id())

    @contextlib.contextmanager
    def lend_ids(self, request: Request, tracer: Any, patches: Patches) -> Iterator[None]:
        """Give the next span that the tracer starts the ids of a request."""
        # OpenTelemetry's proxy, created before there was a provider
        real = getattr(tracer, "_tracer", tracer)
        ids = getattr(real, "id_generator", None)
        if isinstance(ids, IdGenerator) and not isinstance(ids, _LentIds):
            patches.replace(real, "id_generator", _LentIds(ids))
        token = _lent.set(request)
        try:
            yield
        finally:
            _lent.reset(token)

    def adopt(self, request: Request, span: Span) -> None:
        """Make OpenTelemetry's span the request's own: its ids, its parent, and whether it is sampled."""
        context = span.get_span_context()
        if not context.is_valid:
            return
        request.take_ids(context.trace_id, context.span_id)
        request.sampled = bool(context.trace_flags.sampled)
        parent = getattr(span, "parent", request.foreign)  # a span that is not recorded has no parent
        request.foreign = parent if isinstance(parent, SpanContext) and parent.is_valid else None
        if span.is_recording():
            self._adopted[context.span_id] = request

    def take(self, span: ReadableSpan) -> bool:
        """Keep an ended span if it is a request's; return False for any other."""
        context = span.context
        request = self._adopted.pop(context.span_id, None) if context is not None and self._adopted else None
        if request is None:
            return False
        request.server_span = span
        return True


class _LentIds(IdGenerator):
    """A tracer's id generator that returns a request's ids while they are lent."""

    def __init__(self, inner: IdGenerator) -> None:
        self._inner = inner

    def generate_span_id(self) -> int:
        request = _lent.get()
        if request is None:
            return self._inner.generate_span_id()
        _lent.set(None)  # once: spans that a sampler or a processor starts meanwhile are different ones
        return request.span_id

    def generate_trace_id(self) -> int:
        request = _lent.get()
        return self._inner.generate_trace_id() if request is None else request.trace_id

    def is_trace_id_random(self) -> bool:
        """Return whether the trace's ids are random, as the wrapped generator says; older ones do not say."""
        known: Callable[[], bool] | None = getattr(self._inner, "is_trace_id_random", None)
        return bool(known()) if known is not None else False


def merged(ours: SpanData, theirs: ReadableSpan, request: Request) -> SpanData:
    """Return OpenTelemetry's span with asgiscope's attributes of the request added.

    The times are OpenTelemetry's, which ends the span when the middleware has a response; the duration of the
    request including streaming is `asgiscope.request.duration_ns`. `http.route` is ours, which starts with a
    slash.
    """
    attributes = {**ours.attributes, **(theirs.attributes or {})}
    if HTTP_ROUTE in ours.attributes:
        attributes[HTTP_ROUTE] = ours.attributes[HTTP_ROUTE]
    attributes[REQUEST_DURATION_NS] = request.ended - request.started
    links = [
        SpanLink(link.context.trace_id, link.context.span_id, link.attributes or {}) for link in theirs.links
    ]
    status = theirs.status
    known = status is not None and status.status_code is not StatusCode.UNSET
    return ours._replace(
        name=theirs.name,
        kind=_SERVER if theirs.kind is SpanKind.SERVER else ours.kind,
        start=theirs.start_time or ours.start,
        end=theirs.end_time or ours.end,
        attributes=attributes,
        links=[*ours.links, *links],
        events=[SpanEvent(event.timestamp, event.name, event.attributes or {}) for event in theirs.events],
        status=(status.status_code.value, status.description or "") if known else None,
        tags=None,  # they are among its attributes
    )
