"""Database connections: being opened, being waited for in a pool, their age, and those left open behind a thread.

Owns: `BaseDatabaseWrapper.connect`, and of Django's pool for psycopg `psycopg_pool.ConnectionPool.getconn`,
wrapped when the first connection from a pool is asked for. A connection is never touched from another thread than
its own: the look at those left behind reads whether Django's wrapper still holds one, and nothing of the
connection.

Under ASGI, each request's synchronous code has a thread that ends with the request. With `CONN_MAX_AGE` above 0
its connection stays open, and since Django's wrapper is part of a reference cycle, until the garbage collector
comes by: a database then runs out of connections that nobody uses.

Overhead model: a few attribute writes and a walk up the stack for each connection that is opened, of which a list
of code and instructions is kept; frames are made of it when somebody asks. A dictionary look-up for each statement
in a sampled trace; the look, every two seconds, walks the connections there are.
Known limitation: whose thread was not started by `threading` (a foreign one) is taken to be alive.
"""

import functools
import importlib
import sys
import threading
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any

from asgiscope import callsite, faults
from asgiscope import semconv as sc
from asgiscope.callsite import Frame
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.recorder import Recorder
from asgiscope.scope import Operation, Scope, Tags

SYSTEMS = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db"}
"""Django's vendor -> OpenTelemetry's `db.system.name`."""
_LOOK_NS = 2_000_000_000
_MAX_HOLDERS = 16


class _Opened:
    """A connection that was opened: where, by whom, and since when."""

    __slots__ = (
        "_trace",
        "alias",
        "at",
        "ident",
        "name",
        "role",
        "route",
        "system",
        "thread",
        "told",
        "wrapper",
    )

    def __init__(self, wrapper: Any, at: int, trace: list[Any], forget: Callable[[Any], object]) -> None:
        thread = threading.current_thread()
        self.wrapper = weakref.ref(wrapper, forget)
        self.thread = weakref.ref(thread)
        self.ident = threading.get_ident()
        self.name = thread.name
        self.role = ""
        self.at = at
        self.alias: str = wrapper.alias
        self.system: str = SYSTEMS.get(wrapper.vendor, wrapper.vendor)
        self.route = ""
        self.told = False
        self._trace = trace

    @property
    def frames(self) -> list[Frame]:
        """The stack that opened it, innermost first."""
        return callsite.frames(self._trace)

    def is_open(self) -> bool:
        """Whether Django's wrapper still holds a connection; it is not asked what kind."""
        wrapper = self.wrapper()
        return wrapper is not None and wrapper.connection is not None

    def is_left(self) -> bool:
        """Whether it is open, and the only thread that may use it has ended."""
        thread = self.thread()
        if thread is not None and thread.is_alive():
            return False
        wrapper = self.wrapper()
        return (
            wrapper is not None
            and wrapper.connection is not None
            and getattr(wrapper, "_thread_ident", self.ident) == self.ident
            and not getattr(wrapper, "allow_thread_sharing", False)
        )


class Connections:
    """The connections of the process that have been opened since asgiscope was installed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._opened: dict[
            int, _Opened
        ] = {}  # by id of Django's wrapper; single operations, which need no lock
        self._next = 0
        self._patches: Patches | None = None

    def installed(self, patches: Patches) -> None:
        """The patches to which that of a pool will be added."""
        self._patches = patches

    def age_ns(self, wrapper: object) -> int:
        """How long the connection of one of Django's wrappers has been open; 0 if that is not known."""
        opened = self._opened.get(id(wrapper))
        return self._recorder.clock() - opened.at if opened is not None else 0

    def reset(self) -> None:
        """In a forked child: its parent's connections are its parent's to tell of."""
        self._opened = {}

    def look(self, now: int) -> None:
        """Report connections whose thread has ended. Called on the watchdog's thread, often; looks seldom."""
        if now < self._next:
            return
        self._next = now + _LOOK_NS
        left = [opened for opened in self._opened.copy().values() if opened.is_left()]
        for opened in left:
            if not opened.told:
                opened.told = True
                self._tell(opened, now, len(left))

    def _tell(self, opened: _Opened, now: int, left: int) -> None:
        operation = Operation(None, now, "connection", f"{sc.SPAN_CONNECTION_LEFT} {opened.alias}")
        operation.ended = now
        operation.sampled = True
        operation.site = callsite.find(opened.frames)
        operation.tags = Tags(opened.ident, opened.name, opened.role, False, "", 0)
        operation.attributes = {
            sc.DB_SYSTEM: opened.system,
            sc.DB_ALIAS: opened.alias,
            sc.DB_OWNER_THREAD_ID: opened.ident,
            sc.DB_CONNECTION_AGE_NS: now - opened.at,
            sc.DB_CONNECTIONS_LEFT: left,
            sc.HTTP_ROUTE: opened.route,
            sc.FINDING: str(sc.FindingKind.CONNECTION_LEFT),
            sc.FINDING_COST_NS: 0,
            sc.FINDING_VICTIMS: 0,
            sc.FINDING_VICTIMS_NS: 0,
            sc.CODE_STACKTRACE: callsite.render(opened.frames),
        }
        self._recorder.send(operation, notable=True)

    # --- opening ------------------------------------------------------------------------------------------

    def connect(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """`BaseDatabaseWrapper.connect`: an operation, and what is then remembered of the connection."""
        operation: Operation | None = None
        scope: Scope | None = None
        try:
            self._watch_pool(instance)
            scope = self._recorder.enclosing()
            if scope is None or scope.sampled or _get_running_loop() is not None:
                operation = self._recorder.enter("connect", f"connect {instance.alias}")
                operation.attributes[sc.DB_SYSTEM] = SYSTEMS.get(instance.vendor, instance.vendor)
                operation.attributes[sc.DB_ALIAS] = instance.alias
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("connections.connect")
        if operation is None:  # no span comes of it, and it blocks no loop
            answer = wrapped(*args, **kwargs)
        else:
            answer = self._record(
                operation, "connect", self._recorder.leave, functools.partial(wrapped, *args, **kwargs)
            )
        try:
            self._remember(instance, scope)
        except Exception:  # noqa: BLE001
            faults.report("connections.remember")
        return answer

    def _record(
        self, operation: Operation, what: str, leave: Callable[[Operation], None], work: Callable[[], Any]
    ) -> Any:
        """Do what is an operation while it lasts; `leave` ends it, however it went."""
        try:
            return work()
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                leave(operation)
            except Exception:  # noqa: BLE001 - never into the application
                faults.report(f"connections.{what}")
                self._recorder.lost()

    def _remember(self, wrapper: Any, scope: Scope | None) -> None:
        key, known, recorder = id(wrapper), self._opened, self._recorder
        trace = callsite.trace(sys._getframe(2))  # noqa: SLF001 - one's own stack
        opened = _Opened(wrapper, recorder.clock(), trace, lambda _: known.pop(key, None))
        if scope is not None:
            opened.route = scope.route
        on_loop = _get_running_loop() is not None
        opened.role = sc.ThreadRole.EVENT_LOOP if on_loop else recorder.off_loop()
        known[key] = opened

    # --- Django's pool for psycopg ------------------------------------------------------------------------

    def _watch_pool(self, wrapper: Any) -> None:
        """Wrap `getconn` when it is first needed: importing the pool would cost every site."""
        if self._patches is None or getattr(wrapper, "vendor", "") != "postgresql":
            return
        if not (wrapper.settings_dict.get("OPTIONS") or {}).get("pool"):
            return
        psycopg_pool = importlib.import_module("psycopg_pool")  # Django imports it next
        patches, self._patches = self._patches, None
        patches.wrap(psycopg_pool.ConnectionPool, "getconn", self._getconn)

    def _getconn(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        operation: Operation | None = None
        try:
            operation = self._recorder.enter("pool", sc.SPAN_POOL)
            self._describe(operation, instance)
        except Exception:  # noqa: BLE001
            faults.report("connections.getconn")
        if operation is None:
            return wrapped(*args, **kwargs)
        return self._record(operation, "getconn", self._got, functools.partial(wrapped, *args, **kwargs))

    def _describe(self, operation: Operation, pool: Any) -> None:
        stats = pool.get_stats()
        size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
        operation.attributes |= {
            sc.DB_SYSTEM: SYSTEMS["postgresql"],
            sc.DB_POOL_NAME: str(getattr(pool, "name", "")),
            sc.DB_POOL_SIZE: size,
            sc.DB_POOL_WAITING: stats.get("requests_waiting", 0),
        }
        if available or size < stats.get("pool_max", 0):
            return
        holders = [
            f"{opened.name}: {_place(opened)}"
            for opened in self._opened.copy().values()
            if opened.system == SYSTEMS["postgresql"] and opened.is_open()
        ]
        if holders:  # else its connections are being opened
            operation.attributes[sc.DB_POOL_HOLDERS] = holders[:_MAX_HOLDERS]

    def _got(self, operation: Operation) -> None:
        recorder = self._recorder
        operation.ended = recorder.clock()
        waited = operation.ended - operation.started
        exhausted = sc.DB_POOL_HOLDERS in operation.attributes and waited >= recorder.wait_ns
        if exhausted:
            victims = 1 if operation.request is not None else 0
            operation.attributes |= {
                sc.FINDING: str(sc.FindingKind.CONNECTION_WAIT),
                sc.FINDING_COST_NS: waited,
                sc.FINDING_VICTIMS: victims,
                sc.FINDING_VICTIMS_NS: waited * victims,
            }
            operation.site = operation.site or callsite.find(callsite.here())
        recorder.leave(operation)
        if exhausted and not operation.sampled:
            recorder.send(operation, notable=True)


def _place(opened: _Opened) -> str:
    """Where a connection was asked for, and on which route."""
    frame = callsite.find(opened.frames)
    line = f"{frame.code.co_qualname} ({frame.code.co_filename}:{frame.line})" if frame is not None else "?"
    return f"{line} on {opened.route}" if opened.route else line


def install(connections: Connections) -> Patches:
    """Patch what opens connections.

    Raises:
        Unsupported: Django is missing or its database wrapper has another shape.
    """
    try:
        from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    if "connect" not in vars(BaseDatabaseWrapper):
        raise Unsupported("django's BaseDatabaseWrapper has no connect")
    patches = Patches()
    connections.installed(patches)
    wrapper: Wrapper = connections.connect
    return patches.wrap(BaseDatabaseWrapper, "connect", wrapper)
