"""`/api/live`: current waits, and notifications about new data, as server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from asgiscope_collector.feed import OLD_SECONDS, Feed
from asgiscope_collector.queries.common.ranges import parse_range
from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.queries.findings import live
from asgiscope_collector.schemas import Changed, Live, Problem
from asgiscope_collector.web.routes.common import PROBLEMS, InLastHour, Store, Text

router = APIRouter(prefix="/api/live", tags=["live"])

_LOOK_SECONDS: Final = 0.5
"""Longest time until a client's stream notices that the server stops."""
_RETRY_MS: Final = 2_000
_BACK: Final = "1h"


async def seat(request: Request) -> AsyncIterator[Feed]:
    """Take a seat at the feed, and give it back when the client disconnects."""
    feed: Feed = request.app.state.collector.feed
    feed.subscribe()
    try:
        yield feed
    finally:
        feed.leave()


@router.get("/now", responses=PROBLEMS)
async def now(store: Store, asked: InLastHour) -> Live:
    """Return the current waits and stalls that started in the range (by default 1 h), the longest first."""
    return await store.run(live.live, store, asked, time.time_ns())


@router.get(
    "",
    response_class=EventSourceResponse,
    responses={503: {"model": Problem, "description": "too many readers, or the store is not open"}},
)
async def follow(
    feed: Annotated[Feed, Depends(seat)],
    service: Text = "",
    environment: Text = "",
    last_event_id: Annotated[str, Header(max_length=64)] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Stream server-sent events until the client disconnects.

    `waiting` has the current waits (the response of `/api/live/now`), at the start and whenever they change;
    `changed` says that data was stored since, so that the page should reload. A comment is sent at least
    every 15 seconds. A client that reconnects with the id of the newest event gets nothing until there is a
    new one.
    """
    version, shown = feed.version, None
    fresh = last_event_id != feed.id
    looked = time.monotonic()
    while not feed.stopping:
        again = shown is not None and shown.waiting and time.monotonic() - looked > OLD_SECONDS
        if fresh or again:
            looked = time.monotonic()
            moment = time.time_ns()
            scope = Scope(
                range=parse_range(None, None, default=_BACK, now_ns=moment),
                service=service,
                environment=environment,
            )
            version, name = feed.version, feed.id
            if fresh:
                stored = Changed(now_ns=moment, stored_ns=feed.stored_ns)
                yield ServerSentEvent(event="changed", id=name, data=stored, retry=_RETRY_MS)
            found = await feed.live(scope)
            if found is not None and (shown is None or found.waiting != shown.waiting):
                shown = found
                yield ServerSentEvent(event="waiting", id=name, data=found)
        await feed.changed(version, _LOOK_SECONDS)
        fresh = feed.version != version
