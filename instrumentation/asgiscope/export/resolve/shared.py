"""Attributes that the spans of one call site, one thread or one statement share, computed once.

Used by the sending thread alone. Entries are found by the `id()` of code and frames, because code is slow to
hash; an entry keeps its key object alive, so that its `id()` is not reused.
"""

from typing import Any, Final, NamedTuple, TypeVar

from asgiscope import semconv as sc
from asgiscope.contention.queue import Call, Queue
from asgiscope.export.encode import Block
from asgiscope.export.resolve import hops, sql
from asgiscope.records.scope import Operation
from asgiscope.records.tags import RunThread
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame, Site

_CACHED: Final = 4_096
_NOWHERE: Final = (0, 0)
_STATEMENT: Final = (sc.DB_SYSTEM, sc.DB_ALIAS, sc.DB_IN_TRANSACTION)
"""Attributes of a statement that are the same for many queries, besides its text."""


class Known(NamedTuple):
    """A span name, and the shared attributes."""

    name: str
    block: Block
    keeps: object
    """The key object."""


class Shared:
    """Caches shared attributes."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Any, ...], Known] = {}
        self._threads: dict[tuple[Any, ...], Block] = {}
        self._statements: dict[tuple[Any, ...], Known] = {}

    def call(self, call: Call) -> Known:
        """Return those of the bridge calls that one line makes of one function: both, and the hop's reason."""
        frame = frame_of(call)
        key = (id(call.func), frame.key if frame is not None else _NOWHERE, id(call.maker), call.kind)
        known = None if call.middleware is not None else self._calls.get(key)
        if known is None:
            function = call_site.callable_name(call.func)
            site = call_site.site_of(frame) if frame is not None else call_site.definition(call.func)
            block = Block({sc.BRIDGE_FUNCTION: function, **hops.attributes(call, function), **code(site)})
            known = Known(f"{call.kind} {function}", block, (call.func, frame, call.maker))
            if call.middleware is None:
                _keep(self._calls, key, known)
        return known

    def thread(self, queue: Queue, run_tags: RunThread | None, outcome: sc.Outcome | None) -> Block:
        """Return those of the calls that a thread ran for an executor: both, and the outcome."""
        key = (queue.id, queue.role, run_tags, outcome)
        known = self._threads.get(key)
        if known is None:
            attributes: dict[str, Any] = {
                sc.THREAD_SENSITIVE: queue.role != sc.ThreadRole.POOL,
                sc.EXECUTOR_ROLE: str(queue.role),
                sc.EXECUTOR_ID: queue.id,
                sc.EXECUTOR_WORKERS: queue.workers,
            }
            if outcome is not None:
                attributes[sc.OUTCOME] = str(outcome)
            if run_tags is not None:
                attributes[sc.RUN_THREAD_ID], attributes[sc.RUN_THREAD_NAME] = run_tags[:2]
            known = _keep(self._threads, key, Block(attributes))
        return known

    def statement(self, operation: Operation, attributes: dict[str, Any]) -> Known:
        """Return those of one line's queries with one statement. Removes them from `attributes`."""
        text = attributes.pop("sql", "")
        values = [attributes.pop(key, None) for key in _STATEMENT]
        frame = operation.site
        key = (text, *values, frame.key if frame is not None else _NOWHERE)
        known = self._statements.get(key)
        if known is None:
            statement = sql.describe(str(text))
            described = {
                sc.DB_OPERATION: statement.operation,
                sc.DB_SUMMARY: statement.summary,
                sc.DB_TEXT: statement.text,
                sc.DB_COLLECTION: statement.collection,
                **dict(zip(_STATEMENT, values, strict=True)),
                **(code(call_site.site_of(frame)) if frame is not None else {}),
            }
            block = Block({name: value for name, value in described.items() if value not in ("", None)})
            known = _keep(self._statements, key, Known(statement.summary, block, frame))
        return known


def code(site: Site | None) -> dict[str, Any]:
    """Return a line as attributes."""
    if site is None:
        return {}
    return {sc.CODE_FUNCTION: site.function, sc.CODE_FILE: site.file, sc.CODE_LINE: site.line}


V = TypeVar("V")


def frame_of(call: Call) -> Frame | None:
    """Return the line that made a call: the application's, also if it was found further out."""
    site = call.site
    if not call.stack or not call_site.lacks_application(site):
        return site
    found = call_site.select_call_site(call.stack)
    return found if found is not None and (site is None or call_site.is_application(found)) else site


def _keep(known: dict[tuple[Any, ...], V], key: tuple[Any, ...], value: V) -> V:
    if len(known) >= _CACHED:
        known.clear()
    known[key] = value
    return value
