"""Django's ORM: every statement, whichever API made it.

Owns: `CursorWrapper.execute`, `.executemany` and `.callproc`. The debug cursor uses the same methods, so a
statement is recorded once. Parameters are never recorded. A running bridge call
has the current statement, for the calls that wait for its thread.

Overhead model: two clock readings if no span is needed: off the loop, in a trace that is not sampled. Else an
`Operation` per statement; its SQL is parsed by the sending thread, once per distinct statement.
"""

from asyncio.events import _get_running_loop
from collections.abc import Callable, Sized
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.contention.queue import RUNNING, Call
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core.connections import SYSTEMS, Connections
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Request, Scope

_MAX_SQL = 8192
"""Limit of characters kept of a statement until its literals are masked."""


def install(recorder: Recorder, connections: Connections) -> Patches:
    """Patch the ORM. `connections` has the age of each connection.

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
    """Wrapper of one method of Django's cursors."""

    def __init__(self, recorder: Recorder, connections: Connections, method: str) -> None:
        self._recorder = recorder
        self._connections = connections
        self._many = method == "executemany"
        self._procedure = method == "callproc"

    def around(self, original: Callable[..., Any], on: Sized) -> Callable[..., Any]:
        """Return the wrapper; see `Patches.around`."""
        recorder, record = self._recorder, self._record

        def execute(cursor: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not on:
                return original(cursor, *args, **kwargs)
            try:
                scope = recorder.enclosing()
                counted = scope is not None and not scope.sampled and _get_running_loop() is None
                request = scope.request if scope is not None and counted else None
                holder = holder_of(scope)
                if holder is not None:
                    holder.query = args[0] if args else kwargs.get("sql")
                started = recorder.clock()
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("orm.enter")
                return original(cursor, *args, **kwargs)
            if not counted:
                try:
                    return record(original, cursor, args, kwargs)
                finally:
                    if holder is not None:
                        leave_query(holder, recorder.clock() - started)
            try:
                return original(cursor, *args, **kwargs)
            finally:
                if holder is not None:
                    leave_query(holder, recorder.clock() - started)
                # As for a record: it does not belong to a request that had ended before.
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


def holder_of(scope: Scope | None) -> Call | None:
    """Return the bridge call whose function runs here, within operations or not; None for any other code."""
    while type(scope) is Operation:
        scope = scope.parent
    return scope if type(scope) is Call and scope.state is RUNNING else None


def leave_query(holder: Call, length_ns: int) -> None:
    """Note that a statement of a bridge call has ended. Which was the longest matters only to those who wait."""
    statement, holder.query = holder.query, None
    if holder.queue is None or not holder.queue.waiting:
        return
    if holder.longest_query is None or length_ns > holder.longest_query[0]:
        holder.longest_query = length_ns, statement


def count_query(request: Request, length_ns: int) -> None:
    """Add a statement to the sums of its request."""
    request.queries += 1
    request.query_ns += length_ns


def describe_statement(operation: Operation, cursor: Any, statement: Any, many: bool) -> None:
    """Set a statement's attributes from the cursor that ran it; never its parameters."""
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
