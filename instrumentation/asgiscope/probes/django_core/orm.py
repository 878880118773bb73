"""Django's ORM: every statement, whichever API made it.

Owns: `CursorWrapper.execute`, `.executemany` and `.callproc`. The debug cursor goes through the same methods, so a
statement is seen once. Parameters are never looked at.

Overhead model: two clock readings where no span comes of it: off the loop, in a trace that is not sampled. Else an
`Operation` a statement; its SQL is parsed by the sending thread, once a distinct statement.
"""

from asyncio.events import _get_running_loop
from collections.abc import Callable, Sized
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core.connections import SYSTEMS, Connections
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Request

_MAX_SQL = 8192
"""Characters kept of a statement until its literals are masked."""


def install(recorder: Recorder, connections: Connections) -> Patches:
    """Patch the ORM. `connections` knows the age of a connection.

    Raises:
        Unsupported: Django is missing or its cursor wrapper has other methods.
    """
    try:
        from django.db.backends import utils  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    for name in ("execute", "executemany", "callproc"):
        if name not in vars(utils.CursorWrapper):
            raise Unsupported(f"django's CursorWrapper has no {name}")
    patches = Patches()
    for name in ("execute", "executemany", "callproc"):
        patches.around(utils.CursorWrapper, name, Statements(recorder, connections, name).around)
    return patches


class Statements:
    """What goes around one method of Django's cursors."""

    def __init__(self, recorder: Recorder, connections: Connections, method: str) -> None:
        self._recorder = recorder
        self._connections = connections
        self._many = method == "executemany"
        self._procedure = method == "callproc"

    def around(self, original: Callable[..., Any], on: Sized) -> Callable[..., Any]:
        """See `Patches.around`."""
        recorder, record = self._recorder, self._record

        def execute(cursor: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not on:
                return original(cursor, *args, **kwargs)
            try:
                scope = recorder.enclosing()
                counted = scope is not None and not scope.sampled and _get_running_loop() is None
                request = scope.request if scope is not None and counted else None
                started = recorder.clock()
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("orm.enter")
                return original(cursor, *args, **kwargs)
            if not counted:
                return record(original, cursor, args, kwargs)
            try:
                return original(cursor, *args, **kwargs)
            finally:
                # As a record's, whose request it is not where that had ended before.
                if request is not None and not 0 < request.ended < started:
                    count_query(request, recorder.clock() - started)

        return execute

    def _record(self, original: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
        operation: Operation | None = None
        try:
            operation = self._recorder.start_operation("query", "query")
        except Exception:  # noqa: BLE001
            internal_errors.report("orm.enter")
        if operation is None:
            return original(cursor, *args, **kwargs)
        try:
            return original(cursor, *args, **kwargs)
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            self._recorded(operation, cursor, args, kwargs)

    def _recorded(self, operation: Operation, cursor: Any, args: Any, kwargs: Any) -> None:
        recorder = self._recorder
        try:
            statement = args[0] if args else kwargs.get("procname" if self._procedure else "sql", "")
            describe_statement(
                operation, cursor, f"CALL {statement}" if self._procedure else statement, self._many
            )
            if operation.sampled:
                operation.attributes[sc.DB_CONNECTION_AGE_NS] = self._connections.age_ns(cursor.db)
        except Exception:  # noqa: BLE001
            internal_errors.report("orm.describe")
        try:
            recorder.finish_operation(operation)
            if operation.request is not None:
                count_query(operation.request, operation.ended - operation.started)
        except Exception:  # noqa: BLE001
            internal_errors.report("orm.leave")
            recorder.reset_nesting()


def count_query(request: Request, length_ns: int) -> None:
    """Add a statement to the sums of its request."""
    request.queries += 1
    request.query_ns += length_ns


def describe_statement(operation: Operation, cursor: Any, statement: Any, many: bool) -> None:
    """Give a statement its attributes, from the cursor that has run it; never its parameters."""
    database = cursor.db
    attributes = operation.attributes
    attributes["sql"] = (statement if isinstance(statement, str) else str(statement))[:_MAX_SQL]
    attributes[sc.DB_SYSTEM] = SYSTEMS.get(database.vendor, database.vendor)
    attributes[sc.DB_ALIAS] = database.alias
    attributes[sc.DB_IN_TRANSACTION] = database.in_atomic_block
    attributes[sc.DB_OWNER_THREAD_ID] = getattr(database, "_thread_ident", 0)
    if many:
        attributes[sc.DB_EXECUTEMANY] = True
    rows = getattr(cursor, "rowcount", -1)
    if isinstance(rows, int) and rows >= 0:
        attributes[sc.DB_ROWS] = rows
