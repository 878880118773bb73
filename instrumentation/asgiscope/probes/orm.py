"""Django's ORM: every statement, whichever API made it.

Owns: `CursorWrapper.execute`, `.executemany` and `.callproc`. The debug cursor goes through the same methods, so a
statement is seen once. Parameters are never looked at.

Overhead model: one `Operation` a statement; its SQL is parsed by the sending thread, once a distinct statement.
"""

from collections.abc import Callable
from typing import Any

from asgiscope import faults
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.connections import SYSTEMS, Connections
from asgiscope.recorder import Recorder
from asgiscope.scope import Operation

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
        patches.wrap(utils.CursorWrapper, name, _statement(recorder, connections, name))
    return patches


def _statement(recorder: Recorder, connections: Connections, method: str) -> Wrapper:
    many = method == "executemany"
    procedure = method == "callproc"

    def execute(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        operation: Operation | None = None
        try:
            operation = recorder.enter("query", "query")
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("orm.enter")
        if operation is None:
            return wrapped(*args, **kwargs)
        try:
            return wrapped(*args, **kwargs)
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                statement = args[0] if args else kwargs.get("procname" if procedure else "sql", "")
                _describe(operation, instance, f"CALL {statement}" if procedure else statement, many)
                if operation.sampled:
                    operation.attributes[sc.DB_CONNECTION_AGE_NS] = connections.age_ns(instance.db)
            except Exception:  # noqa: BLE001
                faults.report("orm.describe")
            try:
                recorder.leave(operation)
                request = operation.request
                if request is not None:
                    request.queries += 1
                    request.query_ns += operation.ended - operation.started
            except Exception:  # noqa: BLE001
                faults.report("orm.leave")
                recorder.lost()

    return execute


def _describe(operation: Operation, cursor: Any, statement: Any, many: bool) -> None:
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
