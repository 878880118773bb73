"""What a request in flight awaits: the chain of coroutines below Django's handler, down to what nobody completes.

A request that awaits a future, a socket or a lock of asyncio blocks nothing and waits for no thread: nothing else
reports it. Long polling looks the same, so that it is a report and never a finding.

Overhead model: nothing until a report is due; then one walk over the tasks of the loops, on the asking thread.
Known limitation: what `asyncio.wait` or a task group waits for is not followed; the line that awaits it is named.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from asgiscope.contention.queue import Ledger
from asgiscope.event_loop.samples import scope_of
from asgiscope.records.scope import Request
from asgiscope.stack import call_site, dump
from asgiscope.stack.call_site import Frame

_MAX_TASKS: Final = 16
"""Tasks followed one into another."""


def unanswered(ledger: Ledger, since: int) -> list[Request]:
    """Return the requests in flight that began before `since`, in ns, and have not begun to answer.

    A stream whose response has begun, and a WebSocket, are meant to last.
    """
    return [
        request
        for request in [*ledger.requests]
        if request.started <= since and not request.status and not request.released
    ]


def tasks_by_request(tasks: "Iterable[asyncio.Task[Any]]") -> "dict[Request, list[asyncio.Task[Any]]]":
    """Return the tasks that work for each request."""
    found: dict[Request, list[asyncio.Task[Any]]] = {}
    for task in tasks:
        scope = scope_of(task)
        request = scope.request if scope is not None else None
        if request is not None and not task.done():
            found.setdefault(request, []).append(task)
    return found


def stack_of(tasks: "Iterable[asyncio.Task[Any]]") -> list[Frame]:
    """Return where a request stands that these tasks work for, innermost first; [] where that is not known.

    Django awaits the view in a task beside one that listens for the client, and both below the server's: the view's
    is the one that has been through most of Django's layers.
    """
    stacks = [_followed(task) for task in tasks]
    return max(stacks, key=lambda frames: (sum(map(call_site.is_layer, frames)), len(frames)), default=[])


def _followed(task: "asyncio.Task[Any]") -> list[Frame]:
    """Return a task's chain of coroutines, innermost first, and of the tasks that it awaits."""
    frames: list[Frame] = []
    awaited: asyncio.Future[Any] | None = task
    for _ in range(_MAX_TASKS):
        if not isinstance(awaited, asyncio.Task):
            break
        chain = dump.chain(awaited.get_coro())
        frames = [
            *(
                call_site.record(one)
                for one in reversed(chain.frames)
                if not call_site.is_internal(one.f_code)
            ),
            *frames,
        ]
        awaited = chain.future
        children = getattr(awaited, "_children", ())  # of `asyncio.gather`
        awaited = next((child for child in children if not child.done()), awaited)
    return frames
