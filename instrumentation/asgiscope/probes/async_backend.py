"""django-async-backend: an ORM whose queries are awaited on the event loop, without a thread.

Owns: `execute` and `executemany` of its `AsyncCursorWrapper`, and `BaseAsyncDatabaseWrapper.connect`, once
they are imported. Written for 6.1. A statement is counted and described like Django's own; it is awaited, so
it never counts as work that blocks the loop. Its pool is psycopg's `AsyncConnectionPool`, which `pools`
watches.

Overhead model: two clock readings for a statement of a trace that is not sampled, else an `Operation` and a
look at up to 40 frames, because all of the ORM's coroutines are on the stack. Known limitation: rows that are
fetched after the statement are not timed, as with Django's own cursors.
"""

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core.connections import SYSTEMS, is_pooled
from asgiscope.probes.django_core.orm import count_query, describe_statement
from asgiscope.probes.operations import Work
from asgiscope.probes.pools import Pools
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Scope
from asgiscope.stack import call_site

CURSORS = "django_async_backend.db.backends.utils"
CONNECTIONS = "django_async_backend.db.backends.base.base"
_DEPTH = 40

logger = logging.getLogger("asgiscope")


def install(recorder: Recorder, pools: Pools) -> Patches:
    """Patch the backend, now or once it is imported.

    Raises:
        Unsupported: it has been imported, and its classes have other methods.
    """
    for name, cls, methods in _OWNED:
        if name in sys.modules:
            _require_coroutines(sys.modules[name], cls, *methods)
    patches = Patches()
    queries = Queries(recorder, pools)

    def patch_cursors(module: Any) -> None:
        for method in ("execute", "executemany"):
            patches.wrap(module.AsyncCursorWrapper, method, queries.statement(many=method == "executemany"))

    def patch_connections(module: Any) -> None:
        patches.wrap(module.BaseAsyncDatabaseWrapper, "connect", queries.connect)

    for (name, cls, methods), patch in zip(_OWNED, (patch_cursors, patch_connections), strict=True):
        patches.when_imported(name, functools.partial(_patch_if_supported, patch, cls, methods))
    return patches


_OWNED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (CURSORS, "AsyncCursorWrapper", ("execute", "executemany")),
    (CONNECTIONS, "BaseAsyncDatabaseWrapper", ("connect",)),
)


def _patch_if_supported(
    patch: Callable[[Any], None], cls: str, methods: tuple[str, ...], module: Any
) -> None:
    try:
        _require_coroutines(module, cls, *methods)
    except Unsupported as error:
        logger.warning("asgiscope leaves out its async_backend probe: %s", error)
        return
    patch(module)


def _require_coroutines(module: Any, name: str, *methods: str) -> None:
    found = vars(getattr(module, name, object))
    for method in methods:
        if not inspect.iscoroutinefunction(found.get(method)):
            raise Unsupported(f"{module.__name__}.{name} has no coroutine {method}: its queries are not seen")


class Queries:
    """Wrappers of the methods of its cursors and connections."""

    def __init__(self, recorder: Recorder, pools: Pools) -> None:
        self._recorder = recorder
        self._pools = pools
        self._work = Work(recorder, "async_backend", "query")

    def statement(self, *, many: bool) -> Wrapper:
        """Return the wrapper of a cursor's method."""
        recorder = self._recorder

        async def execute(wrapped: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
            def describe(done: Operation) -> None:
                describe_statement(done, cursor, args[0] if args else kwargs.get("sql", ""), many)
                if done.request is not None:
                    count_query(done.request, done.ended - done.started)

            scope, operation = self._begin("query")
            if operation is not None:
                return await self._work.awaited(operation, wrapped(*args, **kwargs), describe)
            started = recorder.clock()
            try:
                return await wrapped(*args, **kwargs)
            finally:
                request = scope.request if scope is not None else None
                if request is not None and not 0 < request.ended < started:
                    count_query(request, recorder.clock() - started)

        return execute

    async def connect(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `BaseAsyncDatabaseWrapper.connect`: an operation in a sampled trace."""

        def describe(done: Operation) -> None:
            done.name = f"connect {connection.alias}"
            done.attributes[sc.DB_SYSTEM] = SYSTEMS.get(connection.vendor, connection.vendor)
            done.attributes[sc.DB_ALIAS] = connection.alias

        try:
            if is_pooled(connection):
                self._pools.watch("AsyncConnectionPool")
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("async_backend.pool")
        _, operation = self._begin("connect")
        if operation is None:
            return await wrapped(*args, **kwargs)
        return await self._work.awaited(operation, wrapped(*args, **kwargs), describe)

    def _begin(self, kind: str) -> tuple[Scope | None, Operation | None]:
        """Return the enclosing scope, and an operation in it if its trace is sampled."""
        recorder = self._recorder
        scope: Scope | None = None
        try:
            scope = recorder.enclosing()
            if scope is None or not scope.sampled:
                return scope, None
            operation = Operation(scope, recorder.clock(), kind, kind)
            operation.site = call_site.nearest_app_frame(sys._getframe(), _DEPTH)  # noqa: SLF001 - one's own stack
            recorder.attach_context(operation)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("async_backend.enter")
            return scope, None
        return scope, operation
