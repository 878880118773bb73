"""psycopg's connection pools: waits for a connection, and the holders of connections.

Owns: `getconn` and `putconn` of `psycopg_pool.ConnectionPool` and of `AsyncConnectionPool`, wrapped when the
first connection from such a pool is requested: importing the package would cost every site.

A thread that waits in `ConnectionPool.getconn` is an operation, which blocks a loop that runs there; a task
that waits in `AsyncConnectionPool.getconn` blocks no thread. If all connections are in use, the wait is a
finding, also while it lasts (see event_loop/ongoing.py).

Overhead model: for each connection taken two records and a look at up to 40 frames for the requesting line;
and at the pool's statistics, which the pool counts anyway. Known limitations: holders from before the pool
was watched are unknown; a pool whose connections are in use at the first look is assumed to be as large as
its `max_size`.
"""

import asyncio
import importlib
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.contention.pools import HeldPool, Hold, PoolWait, site_around
from asgiscope.patching import Patches
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Scope
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame

SYSTEM = "postgresql"
_DEPTH = 40
"""Frames between a pool and the line that asks: all coroutines of an asynchronous ORM are on the stack."""
_KIND = "pool"


class Pools:
    """The pools of the process from which a connection was requested since asgiscope was installed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pools: weakref.WeakKeyDictionary[Any, HeldPool] = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()
        self._patches: Patches | None = None
        self._watched: set[str] = set()
        self.waiting: dict[PoolWait, None] = {}
        """Waits for a connection while all are in use. Kept like `Ledger.requests`."""

    def installed(self, patches: Patches) -> None:
        """Set the patches to which those of the pools are added."""
        self._patches = patches
        self._watched = set()

    def reset(self) -> None:
        """Drop everything in a forked child: holders and waiters belong to the parent."""
        self._lock = threading.RLock()
        self._pools = weakref.WeakKeyDictionary()
        self.waiting.clear()

    def watch(self, name: str = "ConnectionPool") -> None:
        """Wrap a class of psycopg's pools, once, when it is about to be used."""
        patches = self._patches
        if patches is None or name in self._watched:
            return
        self._watched.add(name)
        cls = getattr(importlib.import_module("psycopg_pool"), name)  # the caller imports it next
        patches.wrap(cls, "getconn", self._agetconn if name == "AsyncConnectionPool" else self._getconn)
        patches.wrap(cls, "putconn", self._putconn)

    # --- a connection is requested
    # ----------------------------------------------------------------------------

    def _getconn(self, wrapped: Callable[..., Any], pool: Any, args: Any, kwargs: Any) -> Any:
        wait: PoolWait | None = None
        try:
            wait = self._recorder.start_operation(_KIND, sc.SPAN_POOL, PoolWait)
            self._begin(wait, pool, sys._getframe(1), threading.get_ident())  # noqa: SLF001 - one's own stack
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("pools.getconn")
        if wait is None:
            return wrapped(*args, **kwargs)
        try:
            connection = wrapped(*args, **kwargs)
        except BaseException as error:
            wait.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                self._end(wait)
                self._recorder.finish_operation(wait)
                if not wait.sampled and self._is_finding(wait):
                    self._recorder.send(wait, notable=True)
            except Exception:  # noqa: BLE001
                internal_errors.report("pools.got")
                self._recorder.reset_nesting()
        self._take(wait, connection, sys._getframe(1), threading.current_thread().name)  # noqa: SLF001
        return connection

    async def _agetconn(self, wrapped: Callable[..., Any], pool: Any, args: Any, kwargs: Any) -> Any:
        wait: PoolWait | None = None
        frame = sys._getframe(1)  # noqa: SLF001 - the coroutine that awaits
        try:
            recorder = self._recorder
            wait = PoolWait(recorder.enclosing(), recorder.clock(), _KIND, sc.SPAN_POOL)
            recorder.decide_sampling(wait)
            self._begin(wait, pool, frame, 0)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("pools.agetconn")
        if wait is None:
            return await wrapped(*args, **kwargs)
        del frame  # of a coroutine that is suspended meanwhile
        try:
            connection = await wrapped(*args, **kwargs)
        except BaseException as error:
            wait.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                self._end(wait)
                self._recorder.send(wait, notable=self._is_finding(wait))
            except Exception:  # noqa: BLE001
                internal_errors.report("pools.agot")
        task = asyncio.current_task()
        self._take(wait, connection, sys._getframe(1), task.get_name() if task is not None else "")  # noqa: SLF001
        return connection

    def _begin(self, wait: PoolWait, pool: Any, frame: FrameType, thread_id: int) -> None:
        wait.pool = held = self._held(pool)
        stats = pool.get_stats()
        size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
        wait.attributes |= {
            sc.DB_SYSTEM: SYSTEM,
            sc.DB_POOL_NAME: held.name,
            sc.DB_POOL_SIZE: size,
            sc.DB_POOL_WAITING: stats.get("requests_waiting", 0),
        }
        held.size = max(size, 1)
        held.waiting[wait] = None
        if available or size < stats.get("pool_max", 0) or not held.holding:
            return  # there is one, or one is being opened
        wait.exhausted = True
        wait.thread_id = thread_id
        wait.site = self._site(frame, wait)
        if wait.tags is None:
            self._recorder.attach_context(wait)
        self.waiting[wait] = None

    def _end(self, wait: PoolWait) -> None:
        recorder, held = self._recorder, wait.pool
        wait.ended = recorder.clock()
        self.waiting.pop(wait, None)
        if held is None:
            return
        if wait.exhausted:
            wait.shares = held.shares(wait.started, wait.ended)
        held.waiting.pop(wait, None)

    def _is_finding(self, wait: PoolWait) -> bool:
        return bool(wait.shares) and wait.ended - wait.started >= self._recorder.wait_ns

    def _site(self, frame: FrameType, scope: Scope) -> Frame | None:
        """Return the application's line that asks, here or where it submitted its work to a thread."""
        return (
            call_site.nearest_app_frame(frame, _DEPTH)
            or site_around(scope)
            or call_site.select_call_site(call_site.stack(frame))
        )

    def _held(self, pool: Any) -> HeldPool:
        held = self._pools.get(pool)
        if held is None:
            with self._lock:
                name = str(getattr(pool, "name", ""))
                held = self._pools.setdefault(pool, HeldPool(name, getattr(pool, "max_size", 1)))
        return held

    # --- and is in use until it is returned
    # --------------------------------------------------------------------

    def _take(self, wait: PoolWait, connection: Any, frame: FrameType, thread: str) -> None:
        try:
            recorder, held, key = self._recorder, wait.pool, id(connection)
            if held is not None:
                site = wait.site or self._site(frame, wait)
                hold = Hold(recorder.enclosing(), site, thread, recorder.clock())
                held.take(key, hold)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("pools.take")

    def _putconn(self, wrapped: Callable[..., Any], pool: Any, args: Any, kwargs: Any) -> Any:
        try:
            connection = args[0] if args else kwargs.get("conn")
            held = self._pools.get(pool)
            if held is not None:  # before it is returned: the next call may take it at once
                held.release(id(connection), self._recorder.clock())
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("pools.putconn")
        return wrapped(*args, **kwargs)
