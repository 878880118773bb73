"""Database connections: opening, age, and those left open in an ended thread or in an idle worker.

Owns: `BaseDatabaseWrapper.connect`. A connection is never touched from another thread than its own: the check
reads whether Django's wrapper still holds a connection, and nothing of the connection.

Under ASGI, each request's synchronous code has a thread that ends with the request. With `CONN_MAX_AGE` above
0 its connection stays open until the garbage collector runs, because Django's wrapper is part of a reference
cycle: the database then runs out of connections although none is used. At the end of a request Django closes
only the connections of the request's own thread: one that was opened in a worker of a pool
(`asyncio.to_thread`) stays open while the worker is idle, up to one per worker. If `CONN_MAX_AGE` allows a
connection to stay, nothing is reported until that has passed.

Overhead model: a few attribute writes and a walk up the stack for each opened connection, of which a list of
code and instructions is kept; frames are built on demand. A dictionary look-up for each statement in a
sampled trace; the check, every two seconds, walks the open connections. Known limitation: a thread that was
not started by `threading` (a foreign one) counts as alive.
"""

import functools
import sys
import threading
import time
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Callable, Collection
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.contention.pools import site_around
from asgiscope.detection.rate_limit import RateLimiter
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.pools import Pools
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Scope
from asgiscope.records.tags import Tags
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame

SYSTEMS = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db"}
"""Django's vendor -> OpenTelemetry's `db.system.name`."""
_LOOK_NS = 2_000_000_000


class _Opened:
    """An opened connection: where, by which call, and when."""

    __slots__ = (
        "_trace",
        "alias",
        "at",
        "ident",
        "idle_since",
        "is_reported",
        "name",
        "role",
        "route",
        "site",
        "system",
        "thread",
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
        self.is_reported = False
        self.idle_since = 0
        """Since when its thread has been idle; 0 if it is busy."""
        self.site: Frame | None = None
        """The line that submitted the work to this thread: the thread's own stack begins below it."""
        self._trace = trace

    @property
    def frames(self) -> list[Frame]:
        """Return the stack that opened it, innermost first."""
        return call_site.resolve(self._trace)

    def call_site(self) -> Frame | None:
        """Return the call site: the application's own line on the stack, else the one that submitted the work."""
        found = call_site.select_call_site(self.frames)
        if found is not None and call_site.owner(found.code) is call_site.Owner.APPLICATION:
            return found
        return self.site or found

    def is_left(self) -> bool:
        """Return whether it is open, and the only thread that may use it has ended."""
        thread = self.thread()
        return (thread is None or not thread.is_alive()) and self._is_open()

    def is_idle(self, busy: Collection[int]) -> bool:
        """Return whether it is open, and its thread is a pool's worker that is not among the `busy` ones."""
        if self.role != sc.ThreadRole.POOL or self.ident in busy:
            return False
        thread, wrapper = self.thread(), self.wrapper()
        if thread is None or wrapper is None or not thread.is_alive() or not self._is_open():
            return False
        close_at = getattr(wrapper, "close_at", None)  # None: `CONN_MAX_AGE` keeps it open without a limit
        return close_at is not None and time.monotonic() >= close_at

    def _is_open(self) -> bool:
        """Return whether Django's wrapper still holds a connection, without touching the connection."""
        wrapper = self.wrapper()
        return (
            wrapper is not None
            and wrapper.connection is not None
            and getattr(wrapper, "_thread_ident", self.ident) == self.ident
            and not getattr(wrapper, "allow_thread_sharing", False)
        )


class Connections:
    """The connections of the process that were opened since asgiscope was installed."""

    def __init__(self, recorder: Recorder, pools: Pools) -> None:
        self._recorder = recorder
        self.pools = pools
        self._opened: dict[int, _Opened] = {}  # by id of Django's wrapper; single operations need no lock
        self._next = 0
        self._limiter = RateLimiter(recorder.clock)

    def age_ns(self, wrapper: object) -> int:
        """Return how long the connection of a wrapper has been open, in ns; 0 if unknown."""
        opened = self._opened.get(id(wrapper))
        return self._recorder.clock() - opened.at if opened is not None else 0

    def reset(self) -> None:
        """Drop the parent's connections in a forked child: the parent reports them."""
        self._opened = {}

    def check(self, now: int) -> None:
        """Report open connections that are not used. Called often, on the watchdog's thread; checks rarely."""
        if now < self._next:
            return
        self._next = now + _LOOK_NS
        known = list(self._opened.copy().values())
        left = [opened for opened in known if opened.is_left()]
        for opened in left:
            if not opened.is_reported:
                opened.is_reported = True
                count = {sc.DB_CONNECTIONS_LEFT: len(left)}
                self._report(opened, now, sc.FindingKind.CONNECTION_LEFT, sc.SPAN_CONNECTION_LEFT, count)
        self._look_at_workers(known, now)

    def _look_at_workers(self, known: list[_Opened], now: int) -> None:
        busy = {
            call.run_tags[0]
            for queue in self._recorder.ledger.queues()
            for call in queue.running.copy()
            if call.run_tags is not None
        }
        idle = []
        for opened in known:
            if not opened.is_idle(busy):
                opened.idle_since = 0
            elif opened.idle_since:
                idle.append(opened)
            else:  # report at the next check if it is still idle: it may have been between two calls
                opened.idle_since = now
        for opened in idle:
            site = opened.call_site()
            if not opened.is_reported and self._limiter.take(site.key if site is not None else opened.alias):
                opened.is_reported = True
                count = {sc.DB_CONNECTIONS_IDLE: len(idle)}
                self._report(opened, now, sc.FindingKind.CONNECTION_IDLE, sc.SPAN_CONNECTION_IDLE, count)

    def _report(
        self, opened: _Opened, now: int, kind: sc.FindingKind, span: str, count: dict[str, Any]
    ) -> None:
        operation = Operation(None, now, "connection", f"{span} {opened.alias}")
        operation.ended = now
        operation.sampled = True
        operation.site = opened.call_site()
        operation.tags = Tags(opened.ident, opened.name, opened.role, False, "", 0)
        operation.attributes = {
            sc.DB_SYSTEM: opened.system,
            sc.DB_ALIAS: opened.alias,
            sc.DB_OWNER_THREAD_ID: opened.ident,
            sc.DB_CONNECTION_AGE_NS: now - opened.at,
            sc.HTTP_ROUTE: opened.route,
            sc.FINDING: str(kind),
            sc.FINDING_COST_NS: 0,
            sc.CODE_STACKTRACE: call_site.render(opened.frames),
            **count,
        }
        self._recorder.send(operation, notable=True)

    # --- opening ------------------------------------------------------------------------------------------

    def connect(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `BaseDatabaseWrapper.connect`: an operation, and a record of the connection."""
        operation: Operation | None = None
        scope: Scope | None = None
        try:
            if is_pooled(instance):
                self.pools.watch()
            scope = self._recorder.enclosing()
            if scope is None or scope.sampled or _get_running_loop() is not None:
                operation = self._recorder.start_operation("connect", f"connect {instance.alias}")
                operation.attributes[sc.DB_SYSTEM] = SYSTEMS.get(instance.vendor, instance.vendor)
                operation.attributes[sc.DB_ALIAS] = instance.alias
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("connections.connect")
        if operation is None:  # it needs no span, and blocks no loop
            answer = wrapped(*args, **kwargs)
        else:
            answer = self._record(operation, functools.partial(wrapped, *args, **kwargs))
        try:
            self._remember(instance, scope)
        except Exception:  # noqa: BLE001
            internal_errors.report("connections.remember")
        return answer

    def _record(self, operation: Operation, work: Callable[[], Any]) -> Any:
        """Run work as an operation."""
        try:
            return work()
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                self._recorder.finish_operation(operation)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("connections.connect")
                self._recorder.reset_nesting()

    def _remember(self, wrapper: Any, scope: Scope | None) -> None:
        key, known, recorder = id(wrapper), self._opened, self._recorder
        trace = call_site.capture_raw(sys._getframe(2))  # noqa: SLF001 - one's own stack
        opened = _Opened(wrapper, recorder.clock(), trace, lambda _: known.pop(key, None))
        if scope is not None:
            opened.route = scope.route
            opened.site = site_around(scope)
        on_loop = _get_running_loop() is not None
        opened.role = sc.ThreadRole.EVENT_LOOP if on_loop else recorder.off_loop()
        known[key] = opened


def is_pooled(wrapper: Any) -> bool:
    """Return whether Django takes its connections from a pool."""
    if getattr(wrapper, "vendor", "") != "postgresql":
        return False
    return bool((wrapper.settings_dict.get("OPTIONS") or {}).get("pool"))


def install(connections: Connections) -> Patches:
    """Patch the opening of connections.

    Raises:
        Unsupported: Django is missing or its database wrapper differs.
    """
    try:
        from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    if "connect" not in vars(BaseDatabaseWrapper):
        raise Unsupported("django's BaseDatabaseWrapper has no connect")
    patches = Patches()
    connections.pools.installed(patches)
    wrapper: Wrapper = connections.connect
    return patches.wrap(BaseDatabaseWrapper, "connect", wrapper)
