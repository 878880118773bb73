"""Answers that are told again: while nothing is stored, and not a moment longer."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from asgiscope_collector.store.client import Engine
from asgiscope_collector.web.response_cache import ResponseCache
from starlette.types import Message, Receive, Scope, Send

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender

NOT_MODIFIED = 304


@pytest.fixture
def asked(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the functions that the API has run on the engine since."""
    run, names = Engine.run, []

    async def recorded(engine: Engine, function: Any, *args: Any, **kwargs: Any) -> Any:
        names.append(f"{function.__module__}.{function.__name__}")
        return await run(engine, function, *args, **kwargs)

    monkeypatch.setattr(Engine, "run", recorded)
    yield names
    assert running.collector.engine.is_open


def about(names: list[str], module: str) -> int:
    """Return how often a module's functions ran; others ask too, each second."""
    return sum(name.rpartition(".")[0].endswith(f".{module}") for name in names)


def test_the_same_question_costs_one_run_until_something_is_stored(
    running: Running, sender: Sender, asked: list[str]
) -> None:
    """304 for who has the answer, the answer for who has not; a stored span makes it another one at once."""
    running.send(sender)
    path = f"/api/findings?service={sender.service}"
    for _ in range(3):  # a minute may end in between
        asked.clear()
        first = running.http.get(path)
        again = running.http.get(path)
        known = running.http.get(path, headers={"If-None-Match": f'"another", W/{first.headers["etag"]}'})
        if about(asked, "findings") == 1:
            break
    assert about(asked, "findings") == 1
    assert first.headers["cache-control"] == "private, no-cache"
    assert again.content == first.content
    assert (known.status_code, known.content) == (NOT_MODIFIED, b"")
    assert known.headers["etag"] == first.headers["etag"]

    for count in (1, 2, 3):
        sender.stall(sender.request("GET", "/cached/"), blocked_ns=5 * MS)
        running.send(sender)
        answer = running.http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert answer.json()["findings"][0]["count"] == count


def test_a_decision_is_seen_at_once(running: Running, sender: Sender) -> None:
    """Also by who asks with the tag of the answer before it."""
    sender.stall(sender.request("GET", "/decided/"), blocked_ns=5 * MS)
    running.send(sender)
    before = running.http.get(f"/api/findings?service={sender.service}")
    (found,) = before.json()["findings"]
    running.http.post(f"/api/findings/{found['id']}/state", json={"state": "resolved"}).raise_for_status()
    after = running.http.get(
        f"/api/findings?service={sender.service}", headers={"If-None-Match": before.headers["etag"]}
    )
    assert after.json()["findings"][0]["state"]["state"] == "resolved"


def test_those_who_ask_together_wait_for_one_run(running: Running, sender: Sender, asked: list[str]) -> None:
    """Eight pages that follow the same view."""
    sender.stall(sender.request("GET", "/together/"), blocked_ns=5 * MS)
    running.send(sender)
    path = f"/api/releases/compare?service={sender.service}&since=6h"
    with ThreadPoolExecutor(8) as pages:
        bodies = {answer.content for answer in pages.map(lambda _: running.http.get(path), range(8))}
    assert len(bodies) == 1
    together = about(asked, "comparison")
    asked.clear()
    running.http.get(path, headers={"Cache-Control": "no-cache"}).raise_for_status()
    alone = about(asked, "comparison")
    assert alone
    assert together in {alone, 2 * alone}, "once; twice where the minute ended"


def test_what_is_no_answer_is_not_kept(running: Running, asked: list[str]) -> None:
    """An unknown finding may arrive; what waits now moves with the clock; a file is made for who asks."""
    for path, module in (
        ("/api/findings/0123456789abcdef", "finding"),
        ("/api/live/now", "live"),
        (f"/api/traces/{'0' * 32}/export", "export"),
    ):
        runs = []
        for _ in range(2):
            asked.clear()
            answer = running.http.get(path)
            assert "etag" not in answer.headers, path
            assert answer.headers["cache-control"] == "no-store", path
            runs.append(about(asked, module))
        assert runs[0] == runs[1], path
        assert runs[0], path


class Store:
    """An app over a number that is written to while it is being read."""

    def __init__(self) -> None:
        self.writes = 0
        self.runs = 0
        self.go_on = asyncio.Event()
        self.came = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what was stored when the question came."""
        assert (await receive())["type"] == "http.request"
        self.runs += 1
        self.came.release()
        body = f"{scope['query_string'].decode()}{self.writes}".encode()
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def get(answers: ResponseCache, query: bytes = b"") -> bytes:
    """One reader's question and the body that came."""
    recorded: list[Message] = []

    async def send(message: Message) -> None:
        recorded.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/api/findings", "query_string": query, "headers": []}
    await answers(scope, receive, send)
    return b"".join(message.get("body", b"") for message in recorded)


def test_response_computed_before_a_write_is_not_reused_after_it() -> None:
    """A reader that comes after the write does not wait with one that came before, nor is the old answer kept."""

    async def main() -> None:
        store = Store()
        answers = ResponseCache(store, state=lambda: store.writes)
        before = asyncio.create_task(get(answers))
        await store.came.acquire()
        store.writes = 1
        after = asyncio.create_task(get(answers))
        await store.came.acquire()
        store.go_on.set()
        assert (await before, await after) == (b"0", b"1")
        assert (await get(answers), store.runs) == (b"1", 2)

    asyncio.run(main())


def test_disconnect_of_one_client_does_not_affect_the_others() -> None:
    """The first to ask is cancelled; the second gets the answer."""

    async def main() -> None:
        store = Store()
        answers = ResponseCache(store, state=lambda: store.writes)
        first, second = (asyncio.create_task(get(answers)) for _ in range(2))
        await store.came.acquire()
        first.cancel()
        store.go_on.set()
        assert (await second, store.runs) == (b"0", 1)
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())


def test_what_is_kept_is_bounded() -> None:
    """The oldest answers go first."""

    async def main() -> None:
        store = Store()
        store.go_on.set()
        answers = ResponseCache(store, state=lambda: store.writes)
        large = b"x" * 1_500_000
        for number in range(12):
            await get(answers, large + str(number).encode())
        await get(answers, large + b"11")
        assert store.runs == 12
        await get(answers, large + b"0")
        assert store.runs == 13

    asyncio.run(main())


@pytest.mark.asyncio
async def test_question_that_waits_for_its_client_to_leave_is_answered() -> None:
    """A page's file under a path of the API listens for that: found by fuzzing, it kept the loop for good."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        leaving = asyncio.ensure_future(leave())
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        leaving.cancel()

    transport = httpx.ASGITransport(app=ResponseCache(app, state=lambda: 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await asyncio.wait_for(client.get("/api/findings/..%2f"), 30)
    assert answer.status_code == 404
