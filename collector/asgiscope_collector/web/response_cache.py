"""A cache of API responses, each computed once while the stored data has not changed.

The key is the path and query as sent, and the state of the store at the time. A repeated request in the same
state gets the cached response, or 304 if the client has it (RFC 9110, 13.1.2); concurrent requests wait for
the same computation. Any write changes the state, and responses of an earlier state are not used again.
`Cache-Control: no-cache` in a request bypasses the cache.
"""

import asyncio
import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READ: Final = frozenset(
    {
        "blocking",
        "contention",
        "findings",
        "hops",
        "metrics",
        "middleware",
        "overview",
        "pools",
        "refusals",
        "releases",
        "services",
        "traces",
    }
)
"""Routes that answer from the store alone, the same for everybody who may ask; see `routes/`."""
_KEPT_BYTES: Final = 16 * 1024 * 1024
_LARGEST: Final = 2 * 1024 * 1024
"""Limit in bytes for all cached responses, and for one; a larger one is sent only to the requests that wait
for it.
"""
_CACHE_CONTROL: Final = "private, no-cache"


@dataclass(slots=True)
class Answer:
    """A complete response of the app."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    etag: str = ""

    async def take(self, message: Message) -> None:
        """Collect the app's messages as its `send`."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def set_etag(self) -> None:
        """Set an ETag from the content, so that an unchanged response is not sent again."""
        if self.status == HTTPStatus.OK:
            self.etag = f'"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'
            headers = MutableHeaders(raw=self.headers)
            headers["ETag"] = self.etag
            headers["Cache-Control"] = _CACHE_CONTROL

    async def send_to(self, known: str, send: Send) -> None:
        """Send the response, or 304 if `known` lists its ETag."""
        if self.etag and _has(known, self.etag):
            headers = [(b"etag", self.etag.encode()), (b"cache-control", _CACHE_CONTROL.encode())]
            await send({"type": "http.response.start", "status": HTTPStatus.NOT_MODIFIED, "headers": headers})
            await send({"type": "http.response.body"})
            return
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": bytes(self.body)})


class ResponseCache:
    """ASGI middleware in front of the API. Runs on the event loop."""

    def __init__(self, app: ASGIApp, *, state: Callable[[], Hashable]) -> None:
        self._app = app
        self._state_now = state
        self._state: Hashable = None
        self._kept: dict[tuple[str, bytes], Answer] = {}
        self._kept_bytes = 0
        self._coming: dict[tuple[Hashable, str, bytes], asyncio.Task[Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or call the app."""
        if not _reads(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = self._state_now()
        question = (scope["path"], scope["query_string"])
        if state != self._state:
            self._state, self._kept, self._kept_bytes = state, {}, 0
        if "no-cache" in headers.get("cache-control", ""):
            answer = await self._ask(scope)
            self._keep(state, question, answer)
        elif (kept := self._kept.get(question)) is not None:
            answer = kept
        else:
            answer = await self._shared(scope, state, question)
        await answer.send_to(headers.get("if-none-match", ""), send)

    async def _shared(self, scope: Scope, state: Hashable, question: tuple[str, bytes]) -> Answer:
        key = (state, *question)
        task = self._coming.get(key)
        if task is None:
            # A separate task: the first client may disconnect while others still wait.
            task = self._coming[key] = asyncio.create_task(self._ask(scope))
            task.add_done_callback(lambda done: self._came(key, done))
        return await asyncio.shield(task)

    def _came(self, key: tuple[Hashable, str, bytes], task: asyncio.Task[Answer]) -> None:
        del self._coming[key]
        state, path, query = key
        if not task.cancelled() and task.exception() is None:
            self._keep(state, (path, query), task.result())

    async def _ask(self, scope: Scope) -> Answer:
        answer = Answer()
        await self._app(scope, _without_body(), answer.take)
        answer.set_etag()
        return answer

    def _keep(self, state: Hashable, question: tuple[str, bytes], answer: Answer) -> None:
        size = len(answer.body)
        # Data written during the computation may or may not be included, so do not cache it then.
        if answer.etag and size <= _LARGEST and state == self._state == self._state_now():
            if (old := self._kept.pop(question, None)) is not None:
                self._kept_bytes -= len(old.body)
            self._kept[question] = answer
            self._kept_bytes += size
            while self._kept_bytes > _KEPT_BYTES:
                oldest = next(iter(self._kept))
                self._kept_bytes -= len(self._kept.pop(oldest).body)


def _reads(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    parts = scope["path"].split("/")
    return len(parts) > 2 and parts[1] == "api" and parts[2] in _READ and parts[-1] != "export"  # noqa: PLR2004


def _has(known: str, etag: str) -> bool:
    """Return whether `If-None-Match` has this ETag; a proxy may have marked it as weak."""
    names = [name.strip().removeprefix("W/") for name in known.split(",")]
    return etag in names or "*" in names


def _without_body() -> Receive:
    """Return a `receive` for a request: an empty body, then nothing, like a client that stays connected.

    An app that waits for the disconnect, as a file response does, would otherwise never yield to the event
    loop.
    """
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive
