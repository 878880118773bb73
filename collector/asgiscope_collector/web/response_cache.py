"""Answers to what pages ask, each computed once while nothing that is stored has changed.

An answer is known by the question, path and query as they came, and by the state of the store when it was asked.
Who asks again in that state gets what was computed, or 304 if he has it (RFC 9110, 13.1.2); who asks while it is
being computed waits for it with the first. As soon as something is written there is another state, and nothing of
the one before is told again. `Cache-Control: no-cache` in a request asks the store itself.
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
"""What answers from the store alone, the same for everybody who may ask; see `api/`."""
_KEPT_BYTES: Final = 16 * 1024 * 1024
_LARGEST: Final = 2 * 1024 * 1024
"""Bytes of all answers that are kept, and of one; a larger one is told to those who wait for it."""
_CACHE_CONTROL: Final = "private, no-cache"


@dataclass(slots=True)
class Answer:
    """What the app said, whole."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    etag: str = ""

    async def take(self, message: Message) -> None:
        """Be the app's `send`."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def seal(self) -> None:
        """Name an answer by its content, so that one that came out the same again is not sent again."""
        if self.status == HTTPStatus.OK:
            self.etag = f'"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'
            headers = MutableHeaders(raw=self.headers)
            headers["ETag"] = self.etag
            headers["Cache-Control"] = _CACHE_CONTROL

    async def tell(self, known: str, send: Send) -> None:
        """Answer somebody who has the answers that `known` lists."""
        if self.etag and _has(known, self.etag):
            headers = [(b"etag", self.etag.encode()), (b"cache-control", _CACHE_CONTROL.encode())]
            await send({"type": "http.response.start", "status": HTTPStatus.NOT_MODIFIED, "headers": headers})
            await send({"type": "http.response.body"})
            return
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": bytes(self.body)})


class ResponseCache:
    """ASGI middleware before the API. Lives on the event loop."""

    def __init__(self, app: ASGIApp, *, state: Callable[[], Hashable]) -> None:
        self._app = app
        self._state_now = state
        self._state: Hashable = None
        self._kept: dict[tuple[str, bytes], Answer] = {}
        self._kept_bytes = 0
        self._coming: dict[tuple[Hashable, str, bytes], asyncio.Task[Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is known, or hand over to the app."""
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
        await answer.tell(headers.get("if-none-match", ""), send)

    async def _shared(self, scope: Scope, state: Hashable, question: tuple[str, bytes]) -> Answer:
        key = (state, *question)
        task = self._coming.get(key)
        if task is None:
            # A task of its own: who asked first may leave, the others still wait.
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
        answer.seal()
        return answer

    def _keep(self, state: Hashable, question: tuple[str, bytes], answer: Answer) -> None:
        size = len(answer.body)
        # What was written while it was computed may be in it or not.
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
    """Whether `If-None-Match` names this answer; a proxy may have marked it as weak."""
    names = [name.strip().removeprefix("W/") for name in known.split(",")]
    return etag in names or "*" in names


def _without_body() -> Receive:
    """Return a question's `receive`: an empty body, then nothing, as of a client that stays.

    Who waits for the client to leave, as a file's response does, would else never let the loop go on.
    """
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive
