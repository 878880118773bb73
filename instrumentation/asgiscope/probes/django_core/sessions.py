"""Django's sessions: load, save, create, delete and the rest, for any session engine.

Owns: those methods, sync and async, of the `SessionStore` class of `settings.SESSION_ENGINE`, and those that
change a session. The methods of its base classes are not patched. Keys and values are never recorded.

A save is a finding if nothing had changed and `SESSION_SAVE_EVERY_REQUEST` asks for it, and if a route that
only reads saves nine times of ten: each reader waits for the write. Every request is counted; for requests
whose traces are not sampled, a route's finding is reported once a minute. A session changed by
`session.modified = True` alone leaves no line.

Overhead model: see `operations`, for each session access, of which a request makes one or two; a few
dictionary look-ups for each load and save.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.detection.rate_limit import RateLimiter
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.operations import Work
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Request
from asgiscope.stack import call_site

OPERATIONS = ("load", "save", "create", "delete", "exists", "cycle_key", "flush")
CHANGES = (
    "__setitem__",
    "__delitem__",
    "pop",
    "setdefault",
    "update",
    "aset",
    "apop",
    "asetdefault",
    "aupdate",
)
_COOKIES = "django.contrib.sessions.backends.signed_cookies"
"""Its saves write only to the response."""
_READS = frozenset({"GET", "HEAD"})
_SEEN = 10
"""Number of requests to a route, with an existing session, before its saves are judged."""
_MAX_ROUTES = 1000
_DEPTH = 12


def install(recorder: Recorder) -> Patches:
    """Patch the session engine.

    Raises:
        Unsupported: Django is missing, sessions are not used, or their engine cannot be imported.
    """
    try:
        from django.conf import settings  # noqa: PLC0415 - may be missing
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    try:
        if "django.contrib.sessions" not in settings.INSTALLED_APPS:
            raise Unsupported("django.contrib.sessions is not in INSTALLED_APPS")
        engine = settings.SESSION_ENGINE
        store = import_module(engine).SessionStore
    except (ImproperlyConfigured, ImportError, AttributeError) as error:
        raise Unsupported(f"the session engine cannot be used: {error}") from error
    # Its queries are guarded, not the session: signed cookies and a cache in memory cost next to nothing.
    work = Work(recorder, "sessions", sc.SPAN_SESSION, nests=True)
    patches = Patches()
    saves = Saves(settings, recorder)
    for name in OPERATIONS:
        if callable(getattr(store, name, None)):
            patches.wrap(store, name, _sync(recorder, work, engine, name, saves))
        if callable(getattr(store, f"a{name}", None)):
            patches.wrap(store, f"a{name}", _async(recorder, work, engine, name, saves))
    for name in CHANGES:
        if callable(getattr(store, name, None)):
            patches.wrap(store, name, _changes(saves))
    return patches


class Saves:
    """Routes that only read and yet save the session on every request."""

    def __init__(self, settings: Any, recorder: Recorder) -> None:
        self._settings = settings
        self._recorder = recorder
        self._seldom = RateLimiter(recorder.clock)
        self._routes: dict[str, list[int]] = {}
        """Route -> requests that read their session, requests that saved it. Threads may lose a count."""

    def loaded(self) -> None:
        """Count a request that has read its session."""
        request = self._recorder.request()
        if request is not None and not request.session_loaded:
            request.session_loaded = True
            if request.method in _READS:
                self._counts(request)[0] += 1

    def changed(self, frame: FrameType) -> None:
        """Record the line that changed the session of a request, if it may be reported."""
        request = self._recorder.request()
        if request is None or request.session_site is not None:
            return
        if request.sampled or (self._many(request) and self._seldom.due(request.template)):
            request.session_site = call_site.nearest_app_frame(frame, _DEPTH)

    def saved(self, request: Request, store: Any) -> bool | None:
        """Count a saved session. True or False is a finding: whether nothing had changed."""
        if not request.session_loaded:
            return None
        unchanged = bool(self._settings.SESSION_SAVE_EVERY_REQUEST) and not store.modified
        every = False
        if request.method in _READS:
            self._counts(request)[1] += 1
            every = self._many(request)
        return unchanged if unchanged or every else None

    def due(self, request: Request) -> bool:
        """Return whether to report a request whose trace is not sampled."""
        return self._seldom.take(request.template)

    def _many(self, request: Request) -> bool:
        """Return whether nearly all requests to its route save."""
        loads, saves = self._counts(request)
        return request.method in _READS and loads >= _SEEN and saves * 10 >= loads * 9

    def _counts(self, request: Request) -> list[int]:
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        return self._routes.setdefault(request.template, [0, 0])


def _changes(saves: Saves) -> Wrapper:
    """Return a wrapper that records the line that first changes a request's session.

    Async forms change it when awaited.
    """

    def change(wrapped: Callable[..., Any], store: Any, args: Any, kwargs: Any) -> Any:
        before = getattr(store, "modified", True)
        result = wrapped(*args, **kwargs)
        try:
            if not before and (store.modified or hasattr(result, "__await__")):
                saves.changed(sys._getframe(1))  # noqa: SLF001 - one's own caller
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("sessions.change")
        return result

    return change


def _sync(recorder: Recorder, work: Work, engine: str, name: str, saves: Saves) -> Wrapper:
    def describe(operation: Operation, store: Any, _args: Any, _kwargs: Any) -> None:
        _name(operation, engine, name)
        request = operation.request
        if counts and operation.sampled and request is not None:
            unchanged = saves.saved(request, store)
            if unchanged is not None:
                _find(operation, request, unchanged)

    counts = name == "save" and engine != _COOKIES
    access = work.wrapper(describe)
    if name == "load":
        return _load(access, saves)
    return _save(recorder, access, engine, saves) if counts else access


def _name(operation: Operation, engine: str, name: str) -> None:
    operation.name = f"{sc.SPAN_SESSION} {name}"
    operation.attributes[sc.SESSION_ENGINE] = engine
    operation.attributes[sc.SESSION_OPERATION] = name


def _find(operation: Operation, request: Request, unchanged: bool) -> None:
    """Make a save a finding, at the line that changed the session, or at the one that saved it unchanged."""
    operation.attributes[sc.FINDING] = sc.FindingKind.SESSION_SAVED
    operation.attributes[sc.SESSION_UNCHANGED] = unchanged
    changed = None if unchanged else request.session_site
    operation.site = changed or call_site.select_call_site_or_innermost(call_site.current_stack())


def _load(access: Wrapper, saves: Saves) -> Wrapper:
    def load(wrapped: Callable[..., Any], store: Any, args: Any, kwargs: Any) -> Any:
        try:
            saves.loaded()
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("sessions.load")
        return access(wrapped, store, args, kwargs)

    return load


def _save(recorder: Recorder, access: Wrapper, engine: str, saves: Saves) -> Wrapper:
    """Return a wrapper that counts saves of requests whose traces are not sampled, and reports one when due."""

    def watched(store: Any) -> Operation | None:
        request = recorder.request()
        if request is None or request.sampled:
            return None
        unchanged = saves.saved(request, store)
        if unchanged is None or not saves.due(request):
            return None
        operation = Operation(recorder.enclosing(), recorder.clock(), sc.SPAN_SESSION, sc.SPAN_SESSION)
        _name(operation, engine, "save")
        _find(operation, request, unchanged)
        return operation

    def save(wrapped: Callable[..., Any], store: Any, args: Any, kwargs: Any) -> Any:
        operation: Operation | None = None
        try:
            operation = watched(store)
        except Exception:  # noqa: BLE001
            internal_errors.report("sessions.save")
        if operation is None:
            return access(wrapped, store, args, kwargs)
        try:
            return access(wrapped, store, args, kwargs)
        finally:
            try:
                operation.ended = recorder.clock()
                recorder.send(operation, notable=True)
            except Exception:  # noqa: BLE001
                internal_errors.report("sessions.save")

    return save


def _async(recorder: Recorder, work: Work, engine: str, name: str, saves: Saves) -> Wrapper:
    """Return a wrapper for an async session access: an operation, but never a blocking one."""

    async def access(wrapped: Callable[..., Any], _store: Any, args: Any, kwargs: Any) -> Any:
        operation: Operation | None = None
        try:
            scope = recorder.enclosing()
            if scope is not None and scope.sampled:
                operation = Operation(scope, recorder.clock(), sc.SPAN_SESSION, sc.SPAN_SESSION)
                recorder.attach_context(operation)
            if name == "load":
                saves.loaded()
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("sessions.enter")
        if operation is None:
            return await wrapped(*args, **kwargs)
        return await work.awaited(operation, wrapped(*args, **kwargs), lambda done: _name(done, engine, name))

    return access
