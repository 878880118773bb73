"""OpenTelemetry's Django instrumentation: its middleware without hops, its server span as the request's only one.

`DjangoInstrumentor` puts a sync-only middleware into `settings.MIDDLEWARE`, for which Django sends every ASGI
request through a thread. Here its class gets a subclass that runs on the event loop where Django's handler does.
What it records stays OpenTelemetry's own code: spans, hooks, captured headers, excluded URLs and metrics. The
server span that it starts gets the ids of asgiscope's request, and the request's sums as attributes before it ends.

Owns, of `opentelemetry.instrumentation.django.middleware`: the names `otel_middleware._DjangoMiddleware` and
`sqlcommenter_middleware.SqlCommenter`, and `id_generator` of the tracer that DjangoInstrumentor made.
Overhead model: nothing where DjangoInstrumentor is not active; with it, a few attributes set on its span.
Known limitations: a hook that Django refuses on the event loop (it runs a query) is called again in a thread, and
from then on always in one, which costs its requests one hop. A middleware chain that has been loaded keeps the
async form when the patches come off: it needs nothing of asgiscope.
"""

import asyncio
import contextlib
import contextvars
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from asgiscope import internal_errors
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core.handler import Middleware
from asgiscope.records.scope import Request, current

logger = logging.getLogger("asgiscope")
PACKAGE: Final = "opentelemetry.instrumentation.django"
_MIDDLEWARE: Final = f"{PACKAGE}.middleware.otel_middleware"
_COMMENTER: Final = f"{PACKAGE}.middleware.sqlcommenter_middleware"
RELIES_ON: Final = (
    "process_request",
    "process_view",
    "process_response",
    "_environ_activation_key",
    "_environ_token",
    "_environ_span_key",
    "_environ_active_request_attr_key",
    "_active_request_counter",
    "_otel_request_hook",
    "_otel_response_hook",
    "_tracer",
)
"""Attributes of `_DjangoMiddleware` without which its async form is not used."""
_DEFERRED: Final = "asgiscope.otel_django.hooks_deferred"
"""Key of `request.META`: the async form calls the hooks, not the middleware's own methods."""
_EXTRA: Final = (
    "pip install 'opentelemetry-instrumentation-django[asgi]', which asgiscope's extra otel-django names"
)
_query_wrapper: contextvars.ContextVar[Any] = contextvars.ContextVar("asgiscope_sql_commenter", default=None)
"""The wrapper that adds OpenTelemetry's comment to the queries of this context's request, on any thread."""


class Tracing(Protocol):
    """The request's side of OpenTelemetry's server span."""

    def expect_server_spans(self) -> None:
        """From now on, let DjangoInstrumentor create the server span of every request."""

    def lend_ids(self, request: Request, tracer: Any, patches: Patches) -> AbstractContextManager[object]:
        """Give the next span that the tracer starts the ids of a request."""

    def adopt(self, request: Request, span: Any) -> None:
        """Make OpenTelemetry's span the request's server span."""

    def add_sums(self, request: Request, span: Any) -> None:
        """Set the request's sums so far on OpenTelemetry's span."""


def install(tracing: Tracing, middleware: Middleware, *, activate: bool) -> Patches:
    """Patch the middleware, now or once it is imported; with `activate`, activate DjangoInstrumentor.

    Raises:
        Unsupported: it is to be activated and is not installed, or it refuses this Django.
    """
    patches = Patches()

    def on_imported(_package: Any) -> None:
        module = sys.modules[_MIDDLEWARE]
        missing = [name for name in RELIES_ON if not hasattr(module._DjangoMiddleware, name)]
        if missing:
            logger.warning(
                "asgiscope leaves OpenTelemetry's Django middleware sync-only, which costs each request hops: "
                "this version has no %s",
                ", ".join(missing),
            )
            return
        if not getattr(module, "_is_asgi_supported", True):
            logger.warning(
                "OpenTelemetry's Django instrumentation makes no spans under ASGI here, because "
                "opentelemetry-instrumentation-asgi is missing: %s",
                _EXTRA,
            )
        form = _middleware_form(module, tracing, middleware, patches)
        patches.replace(module, "_DjangoMiddleware", form)

    patches.when_imported(PACKAGE, on_imported)
    patches.when_imported(
        _COMMENTER, lambda module: patches.replace(module, "SqlCommenter", _commenter_form(module))
    )
    if activate:
        _activate(patches)
    return patches


def _activate(patches: Patches) -> None:
    """Activate DjangoInstrumentor if it is not active, until the patches are removed."""
    try:
        from opentelemetry.instrumentation.django import (  # type: ignore[import-not-found] # noqa: PLC0415 - an extra
            DjangoInstrumentor,
        )
    except ImportError as error:
        patches.remove()
        raise Unsupported(f"ASGISCOPE_OTEL_DJANGO is set and it is not installed: {_EXTRA}") from error
    instrumentor = DjangoInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        return
    instrumentor.instrument()
    if not instrumentor.is_instrumented_by_opentelemetry:
        patches.remove()
        raise Unsupported(
            "ASGISCOPE_OTEL_DJANGO is set and DjangoInstrumentor refuses this version of Django"
        )
    patches.on_remove(instrumentor.uninstrument)


class _Postponed:
    """Replaces the activation of a span until the response hook has run. `outcome` is what ended it."""

    def __init__(self) -> None:
        self.outcome: tuple[object, ...] = (None, None, None)

    def __exit__(self, *outcome: object) -> None:
        self.outcome = outcome


class _Async:
    """Mixin placed before `_DjangoMiddleware` among the bases of its async form.

    The class attributes below are set by `_middleware_form`.
    """

    sync_capable = True
    async_capable = True
    has_async_view_hook = True
    """Its instances have a `process_view` of the handler's mode."""
    original: Any
    tracing: Tracing
    chain: Middleware
    patches: Patches
    run_hook: "_HookRunner"

    def __init__(self, get_response: Callable[..., Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction  # noqa: PLC0415 - Django is there

        super().__init__(get_response)  # type: ignore[call-arg] # the other base's
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        if self.chain.is_async:
            # Django uses view middleware in the handler's mode, and would run a sync method in a thread.
            self.process_view = self._process_view
        self.tracing.expect_server_spans()

    @classmethod
    def _otel_request_hook(cls, span: Any, request: Any) -> None:
        hook = cls.original._otel_request_hook
        if hook is not None and _DEFERRED not in request.META:
            hook(span, request)

    @classmethod
    def _otel_response_hook(cls, span: Any, request: Any, response: Any) -> None:
        hook = cls.original._otel_response_hook
        if hook is not None and _DEFERRED not in request.META:
            hook(span, request, response)

    def __call__(self, request: Any) -> Any:
        return self._serve(request) if self.is_async else self.original.__call__(self, request)

    async def _process_view(self, *args: Any, **kwargs: Any) -> Any:
        return self.original.process_view(self, *args, **kwargs)

    def process_request(self, request: Any) -> None:
        """Start OpenTelemetry's span, under the ids of asgiscope's request."""
        ours = _request_here()
        if ours is None:
            self.original.process_request(self, request)
            return
        with self.tracing.lend_ids(ours, self.original._tracer, self.patches):
            self.original.process_request(self, request)
        span = request.META.get(self.original._environ_span_key)
        if span is not None:
            _guarded(self.tracing.adopt, ours, span)

    def process_response(self, request: Any, response: Any) -> Any:
        """End OpenTelemetry's span, with the request's sums on it."""
        self._add_sums(request.META.get(self.original._environ_span_key))
        return self.original.process_response(self, request, response)

    async def _serve(self, request: Any) -> Any:
        request.META[_DEFERRED] = True
        self.process_request(request)
        span = request.META.get(self.original._environ_span_key)
        if span is not None:
            await self.run_hook(self.original._otel_request_hook, span, request)
        try:
            response = await self.get_response(request)  # type: ignore[attr-defined] # the other base's
        except BaseException as error:
            self._abandon(request, error)
            raise
        return await self._finish(request, response, span)

    async def _finish(self, request: Any, response: Any, span: Any) -> Any:
        """Do what `process_response` does, with the response hook awaited before the span ends."""
        original = self.original
        activation = request.META.get(original._environ_activation_key)
        if activation is None or span is None:
            return original.process_response(self, request, response)
        token = request.META.pop(original._environ_token, None)
        postponed = request.META[original._environ_activation_key] = _Postponed()
        try:
            response = original.process_response(self, request, response)
            await self.run_hook(original._otel_response_hook, span, request, response)
            self._add_sums(span)
        finally:
            request.META.pop(_DEFERRED, None)
            activation.__exit__(*postponed.outcome)
            _detach(token)
        return response

    def _abandon(self, request: Any, error: BaseException) -> None:
        """End the span of a request whose task was cancelled (by a disconnect) or that raised past Django."""
        meta, original = request.META, self.original
        activation = meta.pop(original._environ_activation_key, None)
        span = meta.pop(original._environ_span_key, None)
        counted = meta.pop(original._environ_active_request_attr_key, None)
        meta.pop(_DEFERRED, None)
        if counted is not None:
            original._active_request_counter.add(-1, counted)
        if activation is not None:
            self._add_sums(span)
            # not an error of the application
            left = isinstance(error, asyncio.CancelledError | GeneratorExit)
            outcome = (None, None, None) if left else (type(error), error, error.__traceback__)
            # it raises the given exception again, and so does our caller
            with contextlib.suppress(type(error)):
                activation.__exit__(*outcome)
        _detach(meta.pop(original._environ_token, None))

    def _add_sums(self, span: Any) -> None:
        ours = _request_here()
        if ours is not None and span is not None:
            _guarded(self.tracing.add_sums, ours, span)


def _middleware_form(module: Any, tracing: Tracing, middleware: Middleware, patches: Patches) -> type:
    """Return the form of `_DjangoMiddleware` that runs sync or async, as Django requires."""
    original = module._DjangoMiddleware
    attributes = {
        "original": original,
        "tracing": tracing,
        "chain": middleware,
        "patches": patches,
        "run_hook": _HookRunner(module._logger),
    }
    return _derive(original, (_Async, original), attributes)


class _HookRunner:
    """Calls a hook on the event loop; in a thread once Django has refused its operations there."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._in_thread: set[int] = set()
        """`id()` of the hooks that need a thread: there is one of each kind per process."""

    async def __call__(self, hook: Callable[..., Any] | None, *args: Any) -> None:
        if hook is None:
            return
        from asgiref.sync import sync_to_async  # noqa: PLC0415
        from django.core.exceptions import SynchronousOnlyOperation  # noqa: PLC0415

        try:
            if id(hook) not in self._in_thread:
                try:
                    hook(*args)
                except SynchronousOnlyOperation:
                    self._in_thread.add(id(hook))
                else:
                    return
            await sync_to_async(hook, thread_sensitive=True)(*args)
        except Exception:  # noqa: BLE001 - as the middleware itself does: the request's span must not leak
            self._log.exception("Exception raised by %s", getattr(hook, "__qualname__", "a hook"))


class _AsyncCommenter:
    """Mixin placed before `SqlCommenter` among the bases of its async form.

    Its own form wraps the connections of its thread, which is the one that runs the queries because it is
    sync-only. The async form sets a context variable, which asgiref copies to every thread.
    """

    sync_capable = True
    async_capable = True
    original: Any
    query_wrapper: Any

    def __init__(self, get_response: Callable[..., Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction  # noqa: PLC0415 - Django is there

        super().__init__(get_response)  # type: ignore[call-arg] # the other base's
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
            _watch_connections()

    def __call__(self, request: Any) -> Any:
        return self._serve(request) if self.is_async else self.original.__call__(self, request)

    async def _serve(self, request: Any) -> Any:
        token = _query_wrapper.set(self.query_wrapper(request))
        try:
            return await self.get_response(request)  # type: ignore[attr-defined] # the other base's
        finally:
            _query_wrapper.reset(token)


def _commenter_form(module: Any) -> type:
    """Return the form of `SqlCommenter` that runs sync or async."""
    original = module.SqlCommenter
    attributes = {"original": original, "query_wrapper": module._QueryWrapper}
    return _derive(original, (_AsyncCommenter, original), attributes)


def _watch_connections() -> None:
    """Let every connection, also of later threads, get the comment from the context."""
    from django.db import connections  # noqa: PLC0415
    from django.db.backends.signals import connection_created  # noqa: PLC0415

    connection_created.connect(_on_connection, dispatch_uid="asgiscope.otel_django")
    for connection in connections.all(initialized_only=True):
        _on_connection(connection=connection)


def _on_connection(connection: Any, **_: Any) -> None:
    # Insert it first: `execute_wrapper()` removes the last one when it ends.
    if _comment not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _comment)


def _comment(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    wrapper = _query_wrapper.get()
    if wrapper is None:
        return execute(sql, params, many, context)
    return wrapper(execute, sql, params, many, context)


def _derive(original: type, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
    """Return a class with the original's module and name, as in `settings.MIDDLEWARE`."""
    names = {
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
    }
    return type(original.__name__, bases, {**names, **attributes})


def _detach(token: Any) -> None:
    if token is not None:
        from opentelemetry.context import detach  # noqa: PLC0415 - only where it is used

        detach(token)


def _request_here() -> Request | None:
    """Return the request that asgiscope records here, None if there is none or it has ended."""
    scope = current.get()
    request = scope.request if scope is not None else None
    return request if request is not None and not request.ended else None


def _guarded(call: Callable[..., object], *args: Any) -> None:
    try:
        call(*args)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("otel_django")
