"""Django's handlers: requests, their routes, and the middleware chain.

Owns: `ASGIHandler.__call__`, `WSGIHandler.__call__`; of `BaseHandler`: `load_middleware`, `resolve_request`,
`get_response`, `get_response_async`; `response_for_exception` in `django.core.handlers.exception`. No
middleware is installed: the chain is the site's own, and a request runs in the same tasks and crosses to
threads exactly as often as without asgiscope.

Overhead model: a `Request`, a context variable, and three thin wrappers per request.
Longer than 400 lines because it holds everything about Django's handlers.
"""

import functools
import logging
import sys
from asyncio.events import _get_running_loop
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from asgiscope import internal_errors
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.recorder import Recorder
from asgiscope.records.middleware import Chain, SyncMiddleware
from asgiscope.records.scope import Request, current
from asgiscope.stack import call_site, declared

logger = logging.getLogger("asgiscope")
HOOKS = (
    "process_request",
    "process_view",
    "process_template_response",
    "process_exception",
    "process_response",
)
"""The hooks that Django calls on a middleware in addition to the middleware itself."""
VIEW = "view"
"""The last element of a chain: Django's own dispatch to the view, which the innermost middleware calls."""
_DISPATCH = ("django.core.handlers.base", "BaseHandler._get_response_async")
"""The asynchronous dispatch, which Django wraps like middleware."""


class Tracing(Protocol):
    """OpenTelemetry's side of a request."""

    def begin(self, request: Request, headers: Callable[[str], list[str]]) -> object:
        """Extract the caller's trace context, decide on sampling, and make the request's span current."""

    def end(self, token: object) -> None:
        """Restore the previous current span."""

    def excluded(self, path: str) -> bool:
        """Return whether requests to this path are excluded (`OTEL_PYTHON_DJANGO_EXCLUDED_URLS`)."""


class Middleware:
    """The site's middleware: where each is defined, and which sync-only one causes each bridge."""

    def __init__(self) -> None:
        self.is_async = False
        """Whether the chain that is being loaded belongs to the ASGI handler."""
        self.forced: dict[tuple[str, str], SyncMiddleware] = {}
        """Module and qualified name of a middleware whose handler Django bridges -> the one that causes it.
        """
        self.parking: dict[tuple[str, str], SyncMiddleware] = {}
        """The same for async handlers that a thread waits for, because their caller is synchronous."""
        self._files: dict[str, str] = {}

    def learn(self, path: str, factory: Any) -> SyncMiddleware:
        """Return a middleware of `settings.MIDDLEWARE`, by its dotted path."""
        site = None
        for method in ("__call__", "process_request", "process_view", "process_response", "__init__"):
            if isinstance(factory, type):
                site = site or call_site.definition(vars(factory).get(method))
        site = site or call_site.definition(factory)
        if site is not None and not getattr(factory, "__module__", "").startswith("django."):
            self._files[site.file] = path
        return SyncMiddleware(path, site)

    def forces(self, culprit: SyncMiddleware, bridged: Any) -> None:
        """Record that Django runs `bridged` in a thread, because `culprit` cannot run on the loop."""
        self.forced[getattr(bridged, "__module__", ""), getattr(bridged, "__qualname__", "")] = culprit

    def parks(self, culprit: SyncMiddleware, inner: Any) -> None:
        """Record that a thread waits for the async `inner`, because `culprit` outside it cannot run on the loop.

        None is the innermost: Django's dispatch to the view.
        """
        name = (getattr(inner, "__module__", ""), getattr(inner, "__qualname__", ""))
        self.parking[name if inner is not None else _DISPATCH] = culprit

    def of(self, func: object) -> SyncMiddleware | None:
        """Return the sync-only middleware that makes Django bridge this function, or None.

        Django bridges `convert_exception_to_response(middleware)`, which has the middleware as `__wrapped__`.
        """
        return _culprit(self.forced, func)

    def parks_for(self, func: object) -> SyncMiddleware | None:
        """Return the sync-only middleware that makes a thread wait for this function, or None."""
        return _culprit(self.parking, func)

    def in_file(self, filename: str) -> str:
        """Return the middleware defined in a file, '' for none. Django's own are not call sites and not listed."""
        return self._files.get(filename, "")


def _culprit(known: dict[tuple[str, str], SyncMiddleware], func: object) -> SyncMiddleware | None:
    """Return the record of the middleware or view dispatch that a function of Django wraps."""
    if not known:
        return None
    target = getattr(func, "__wrapped__", None)
    if target is None:
        return None
    name = getattr(target, "__qualname__", "").partition(".<locals>")[0]
    if name:
        return known.get((getattr(target, "__module__", ""), name))
    kind = type(target)
    return known.get((kind.__module__, kind.__qualname__))


def install(recorder: Recorder, watchdog: Watchdog, tracing: Tracing, middleware: Middleware) -> Patches:
    """Patch the handlers.

    Raises:
        Unsupported: Django is missing or its handlers have other methods.
    """
    try:
        from django.core.handlers import exception  # noqa: PLC0415 - may be missing
        from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415
        from django.core.handlers.base import BaseHandler  # noqa: PLC0415
        from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    for name in ("load_middleware", "resolve_request", "get_response", "get_response_async"):
        if name not in vars(BaseHandler):
            raise Unsupported(f"django's BaseHandler has no {name}")

    if not callable(getattr(exception, "response_for_exception", None)):
        raise Unsupported("django.core.handlers.exception has no response_for_exception")

    patches = Patches()
    patches.wrap(exception, "response_for_exception", _respond_to_exception(recorder))
    patches.wrap(BaseHandler, "load_middleware", _load(recorder, middleware))
    patches.wrap(BaseHandler, "resolve_request", _resolve)
    patches.wrap(BaseHandler, "get_response", _respond(recorder))
    patches.wrap(BaseHandler, "get_response_async", _respond_async(recorder))
    patches.wrap(ASGIHandler, "__call__", asgi(recorder, watchdog, tracing))
    patches.wrap(WSGIHandler, "__call__", wsgi(recorder, tracing))
    return patches


def asgi(recorder: Recorder, watchdog: Watchdog, tracing: Tracing) -> Any:
    """Return a wrapper of the `__call__` of a handler whose first argument is an ASGI scope."""

    async def serve(wrapped: Callable[..., Any], args: Any, kwargs: Any, scope: Any) -> Any:
        loop = _get_running_loop()
        if loop is None:
            _refuse_loop()
            return await wrapped(*args, **kwargs)
        try:
            if id(loop) not in recorder.watched:
                watchdog.watch(loop)
                call_site.recognise_server(loop, sys._getframe(1))  # noqa: SLF001 - the application's caller
            # No parent: a server may start a request in the context of the previous one on the connection.
            request = Request(None, recorder.clock(), scope["method"], scope["path"])
            request.scheme = scope.get("scheme", "")
            request.http_version = scope.get("http_version", "")
            server = scope.get("server")
            if server:
                request.server = (server[0], _port(server[1]))
            headers = scope.get("headers") or ()
            tags = begin(recorder, tracing, request, _reader(headers))
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("handler.asgi")
            return await wrapped(*args, **kwargs)
        try:
            if recorder.begun is not None:
                _tell_begun(
                    recorder.begun, request, scope, args[1] if len(args) > 1 else kwargs.get("receive")
                )
            return await wrapped(*args, **kwargs)
        except BaseException as error:
            request.error = type(error).__qualname__
            _unhandled(recorder, request, error)
            raise
        finally:
            end(recorder, tracing, request, tags, headers)

    serve.__name__ = "__call__"
    serve.__qualname__ = "ASGIHandler.__call__"

    def call(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        scope = args[0] if args else kwargs.get("scope")
        if (
            not isinstance(scope, dict)
            or scope.get("type") != "http"
            or tracing.excluded(scope.get("path", ""))
        ):
            return wrapped(*args, **kwargs)
        return serve(wrapped, args, kwargs, scope)

    return call


@functools.cache
def _refuse_loop() -> None:
    """Warn once that trio is not supported: asgiref and Django need asyncio."""
    logger.warning(
        "asgiscope sees no request of this server: it does not run the site on asyncio, which asgiref and Django "
        "need. Choose an asyncio worker (for hypercorn `-k asyncio` or `-k uvloop`)."
    )


def wsgi(recorder: Recorder, tracing: Tracing) -> Any:
    """Return a wrapper of the `__call__` of a handler whose first argument is a WSGI environ."""

    def call(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            environ = args[0] if args else kwargs["environ"]
            path = environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace")
            excluded = tracing.excluded(path)
        except Exception:  # noqa: BLE001
            internal_errors.report("handler.wsgi")
            excluded = True
        if excluded:
            return wrapped(*args, **kwargs)
        try:
            request = Request(recorder.enclosing(), recorder.clock(), environ.get("REQUEST_METHOD", ""), path)
            request.scheme = environ.get("wsgi.url_scheme", "")
            request.http_version = environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/")
            request.server = (environ.get("SERVER_NAME", ""), _port(environ.get("SERVER_PORT")))
            request.user_agent = environ.get("HTTP_USER_AGENT", "")
            tags = begin(recorder, tracing, request, lambda name: _cgi(environ, name))
        except Exception:  # noqa: BLE001
            internal_errors.report("handler.wsgi")
            return wrapped(*args, **kwargs)
        try:
            return wrapped(*args, **kwargs)
        except BaseException as error:
            request.error = type(error).__qualname__
            _unhandled(recorder, request, error)
            raise
        finally:
            end(recorder, tracing, request, tags)

    return call


def _port(given: object) -> int | None:
    """Return a port as a number: the ASGI specification requires one, but some servers, and WSGI, pass text."""
    if isinstance(given, str):
        return int(given) if given.isdecimal() else None
    return given if isinstance(given, int) else None


def _tell_begun(
    begun: Callable[[Request, dict[str, Any], object], None], request: Request, scope: Any, receive: Any
) -> None:
    try:
        begun(request, scope, receive)
    except Exception:  # noqa: BLE001
        internal_errors.report("handler.begun")


def begin(
    recorder: Recorder, tracing: Tracing, request: Request, headers: Callable[[str], list[str]]
) -> tuple[Any, object]:
    """Begin a request on the calling thread and return what `end` takes. `headers` returns a header's values."""
    request.tags = recorder.tags()
    request.thread_id = request.tags.thread_id
    span_token = tracing.begin(request, headers)  # nothing after it may fail: `end` undoes it
    recorder.ledger.begin(request)
    return current.set(request), span_token


def end(
    recorder: Recorder,
    tracing: Tracing,
    request: Request,
    tokens: tuple[Any, object],
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """End a request, and send its record if it is sampled or notable. Never raises."""
    try:
        recorder.ledger.finish(request, recorder.clock())
        try:
            current.reset(tokens[0])
            tracing.end(tokens[1])
        except ValueError:
            # Closed by the garbage collector, in another context: OpenTelemetry would complain.
            internal_errors.report("handler.reset")
        recorder.on_answer(request)
        many = len(request.crossings) + request.hops >= recorder.config.hop_storm
        recorder.tallies.ended(request)
        notable = request.notable or (many and _storms(recorder, request))
        if request.sampled or notable:
            request.user_agent = request.user_agent or _latin1(headers, b"user-agent")
            recorder.send(request, notable)
    except Exception:  # noqa: BLE001
        internal_errors.report("handler.end")


def _storms(recorder: Recorder, request: Request) -> bool:
    """Return whether one line crossed the bridge too often."""
    busiest = recorder.tallies.busiest_site(request)
    return busiest is not None and busiest[0] >= recorder.config.hop_storm


def _resolve(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    match = wrapped(*args, **kwargs)
    try:
        scope = current.get()
        request = scope.request if scope is not None else None
        # Django's test client may request another page within a request: the outer route was set first.
        if request is not None and not request.ended and not request.template:
            request.template = "/" + match.route.lstrip("/")
            request.view = match.func
    except Exception:  # noqa: BLE001
        internal_errors.report("handler.resolve")
    return match


def _respond_to_exception(recorder: Recorder) -> Any:
    """Wrap Django's response to an exception that neither the view nor a middleware has caught."""

    def respond(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        scope = current.get()
        request = scope.request if scope is not None else None
        error = args[1] if len(args) > 1 else kwargs.get("exc")
        if request is not None and request.refused and isinstance(error, BaseException):
            _unhandled(recorder, request, error)
        return wrapped(*args, **kwargs)

    return respond


def _unhandled(recorder: Recorder, request: Request, error: BaseException) -> None:
    try:
        recorder.on_unhandled(request, error)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("handler.unhandled")


def _status(recorder: Recorder, response: Any) -> None:
    try:
        scope = current.get()
        request = scope.request if scope is not None else None
        if request is not None and not request.ended:
            request.status = response.status_code
            if request.refused:
                recorder.on_answer(request)
    except Exception:  # noqa: BLE001
        internal_errors.report("handler.status")


def _respond(recorder: Recorder) -> Any:
    def respond(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        response = wrapped(*args, **kwargs)
        _status(recorder, response)
        return response

    return respond


def _respond_async(recorder: Recorder) -> Any:
    async def responding(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        response = await wrapped(*args, **kwargs)
        _status(recorder, response)
        return response

    def respond(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        return responding(wrapped, args, kwargs)

    return respond


def _load(recorder: Recorder, middleware: Middleware) -> Any:
    def load_middleware(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        middleware.is_async = is_async = bool(args[0] if args else kwargs.get("is_async", False))
        loaded = wrapped(*args, **kwargs)
        try:
            chain = describe(recorder.clock(), middleware, is_async=is_async)
            recorder.decide_sampling(chain)
            recorder.send(chain, notable=True)
        except Exception:  # noqa: BLE001
            internal_errors.report("handler.load_middleware")
        return loaded

    return load_middleware


def describe(now: int, middleware: Middleware, *, is_async: bool) -> Chain:
    """Return the middleware chain of the settings, with Django's adaptation of each.

    Follows `BaseHandler.load_middleware`: from the view outwards, a middleware that can be both runs in the
    mode of the next layer; a bridge is needed wherever two neighbours differ.
    """
    from django.conf import settings  # noqa: PLC0415 - Django is set up by now
    from django.utils.module_loading import import_string  # noqa: PLC0415

    names, modes, adapted, hooks = [VIEW], ["async" if is_async else "sync"], [], [""]
    inner_async = is_async
    inner: Any = None
    culprit: SyncMiddleware | None = None
    for path in reversed(settings.MIDDLEWARE):
        factory = import_string(path)
        can_sync = getattr(factory, "sync_capable", True)
        can_async = getattr(factory, "async_capable", False)
        runs_async = False if not inner_async and can_sync else can_async
        names.append(path)
        hooks.append(_hooks_of(factory))
        modes.append("both" if can_sync and can_async else "async" if can_async else "sync")
        adapted.append(_adaptation(runs_async, inner_async))
        known = middleware.learn(path, factory)
        declared.learn_middleware(path, factory)
        if runs_async and not inner_async and culprit is not None:
            middleware.forces(culprit, inner)
            culprit = None
        if inner_async and not runs_async:
            middleware.parks(known, inner)
        if not can_async and culprit is None:
            culprit = known
        inner_async, inner = runs_async, factory
    adapted.append(_adaptation(is_async, inner_async))
    if is_async and not inner_async and culprit is not None:
        middleware.forces(culprit, inner)
    return Chain(now, names[::-1], modes[::-1], adapted[::-1], hooks[::-1])


def _hooks_of(factory: Any) -> str:
    """Return the names of a middleware's hooks, separated by spaces."""
    found = (getattr(factory, hook, None) for hook in HOOKS)
    return " ".join(call_site.callable_name(hook) for hook in found if callable(hook))


def _adaptation(outer_async: bool, inner_async: bool) -> str:
    """Return Django's adaptation of a handler whose caller runs in the other mode."""
    if outer_async == inner_async:
        return ""
    return "sync_to_async" if outer_async else "async_to_sync"


@functools.lru_cache(64)
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1")


def _reader(headers: Iterable[tuple[bytes, bytes]]) -> Callable[[str], list[str]]:
    """Return a function that returns a header's values.

    Usually no requested header is present: names are read once.
    """
    names = {key.lower() for key, _ in headers}

    def read(name: str) -> list[str]:
        wanted = _encoded(name)
        return _all(headers, wanted) if wanted in names else []

    return read


def _all(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _latin1(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    values = _all(headers, name)
    return values[0] if values else ""


def _cgi(environ: Any, name: str) -> list[str]:
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return [value] if value is not None else []
