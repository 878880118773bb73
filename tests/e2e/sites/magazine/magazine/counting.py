"""Counts what a request costs, at the level below everything that asgiscope touches.

Hops: submissions to a thread pool, from inside `ThreadPoolExecutor.submit`, and to asgiref's parked threads.
Threads: the threads the interpreter starts. Queries: the statements that SQLite itself runs. Tasks: the tasks that
the event loop is asked for, and how deep below the server's own each one stands.
"""

import asyncio
import contextvars
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor
from django.db.backends.signals import connection_created

counts: Counter[str] = Counter()
depth: contextvars.ContextVar[int] = contextvars.ContextVar("magazine_task_depth", default=0)
_OWN_THREADS = "asgiscope-"
"""asgiscope's own threads, one of each a process: not a cost of a request."""


def install() -> None:
    """Begin to count hops, threads and queries. Called before asgiscope is loaded, so that it wraps this."""
    for executor in (ThreadPoolExecutor, CurrentThreadExecutor):
        _count_calls(executor, "submit", f"hops {executor.__name__}")
    _count_calls(threading.Thread, "start", "threads")
    connection_created.connect(_trace, weak=False)


def _count_calls(owner: Any, name: str, what: str) -> None:
    original = getattr(owner, name)

    def counted(subject: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(getattr(subject, "name", "")).startswith(_OWN_THREADS):
            counts[what] += 1
        return original(subject, *args, **kwargs)

    setattr(owner, name, counted)


def _trace(connection: Any, **_: Any) -> None:
    trace = getattr(connection.connection, "set_trace_callback", None)  # SQLite's alone
    if trace is not None:
        trace(_statement)


def _statement(_sql: str) -> None:
    counts["queries"] += 1


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, /, **options: Any) -> asyncio.Task[Any]:
    counts["tasks"] += 1
    context = options.pop("context", None) or contextvars.copy_context()
    context.run(depth.set, context.get(depth, 0) + 1)
    return asyncio.Task(coroutine, loop=loop, context=context, **options)


class Counted:
    """An ASGI application around Django's.

    `/counts/` tells the counts without costing any, as soon as no other request is under way: Django is not done
    with a request when its response has been sent.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.under_way = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(_make_task)
            # With more workers, chance decides which one runs a call and what an earlier call has left there.
            loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        if scope["type"] != "http" or scope["path"] != "/counts/":
            self.under_way += 1
            self.idle.clear()
            try:
                await self.application(scope, receive, send)
            finally:
                self.under_way -= 1
                if not self.under_way:
                    self.idle.set()
            return
        await self.idle.wait()
        body = json.dumps(counts).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
