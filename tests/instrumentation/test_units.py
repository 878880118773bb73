"""Messages of consumers and background tasks are victims too, counted apart from requests."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiscope import instrumentor
from asgiscope.config import Config
from asgiscope.probes import channels as probe
from asgiscope.records.scope import Connection, current
from channels import consumer as consumers  # type: ignore[import-untyped] # has no types
from channels.consumer import AsyncConsumer  # type: ignore[import-untyped]
from channels.exceptions import StopConsumer  # type: ignore[import-untyped]
from channels.routing import URLRouter  # type: ignore[import-untyped]
from django.urls import path

from tests.e2e import environments
from tests.instrumentation.one_file_site import run_site
from tests.instrumentation.test_outcomes import Kept, request

_PROBES = ["asgiref", "executor", "channels"]


async def _nothing() -> None:
    """Close no connections: Django has no settings here."""


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Install the probes of the bridges and of Channels; consumers have no layer and no database."""
    monkeypatch.setattr(consumers, "get_channel_layer", lambda _alias: None)
    monkeypatch.setattr(consumers, "aclose_old_connections", _nothing)
    config = Config(wait_ms=30, blocked_ms=30)
    sender = Kept(config)
    made = instrumentor.Instrumentation(config, sender, warn=lambda *_: None)
    probes = made.probes()
    made.probes = lambda: {name: probes[name] for name in _PROBES}  # type: ignore[method-assign]
    with instrumentor.instead(made):
        yield sender


def findings(kept: Kept, kind: str) -> list[dict[str, Any]]:
    """Return the findings of a kind among what was recorded since the last time."""
    return [found for found in kept.made() if found.get("asgiscope.finding") == kind]


class Waits(AsyncConsumer):  # type: ignore[misc] # Channels is not typed
    """Waits in its handler until it is told to go on."""

    async def websocket_connect(self, _message: Any) -> None:
        await sync_to_async(len)("accepted")

    async def websocket_receive(self, message: Any) -> None:
        await message["do"]()

    async def websocket_disconnect(self, _message: Any) -> None:
        raise StopConsumer


async def serve(*handlers: Any) -> None:
    """Serve one connection, whose messages have these done."""
    messages = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "do": each} for each in handlers),
        {"type": "websocket.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    router = URLRouter([path("chat/", Waits.as_asgi())])
    await router({"type": "websocket", "path": "/chat/"}, receive, None)


def test_a_message_that_waits_for_a_thread_is_a_victim_of_its_own_kind(kept: Kept) -> None:
    """Twice in one message it is one; the next message is another. No request is counted."""

    async def hold(seconds: float) -> None:
        held = asyncio.ensure_future(sync_to_async(time.sleep)(seconds))
        await asyncio.sleep(0)
        await sync_to_async(len)("abc")
        await held

    async def twice() -> None:
        await hold(0.1)
        await hold(0.1)

    async def once() -> None:
        await hold(0.1)

    asyncio.run(serve(twice, once))
    waits = findings(kept, "contention")
    assert len(waits) >= 3
    assert sum(found["asgiscope.finding.messages"] for found in waits) == 2
    assert sum(found["asgiscope.finding.victims"] for found in waits) == 0
    assert sum(found["asgiscope.finding.tasks"] for found in waits) == 0
    lost = sum(found["asgiscope.finding.background_ns"] for found in waits)
    assert 0 < lost <= sum(found["asgiref.wait_ns"] for found in waits)
    assert not _in_flight()


def _in_flight() -> list[Any]:
    made = instrumentor.active()
    assert made is not None
    return [*made.recorder.ledger.messages]


def test_a_blocked_loop_delays_the_messages_in_flight_but_not_the_one_that_blocks(kept: Kept) -> None:
    """A request in flight is counted beside them."""

    async def main() -> None:
        go_on, there = asyncio.Event(), asyncio.Semaphore(0)

        async def wait() -> None:
            there.release()
            await go_on.wait()

        async def block() -> None:
            time.sleep(0.15)  # noqa: ASYNC251 - it blocks

        others = [asyncio.ensure_future(serve(wait)) for _ in range(2)]
        for _ in others:
            await there.acquire()
        with request("/page/") as made:
            made.thread_id = threading.get_ident()
            current.set(None)
            await serve(block)
            await asyncio.sleep(0.1)  # until the loop has answered
        go_on.set()
        await asyncio.gather(*others)

    asyncio.run(main())
    (stall,) = [
        found for found in findings(kept, "loop_blocked") if found["asgiscope.blocked_ns"] > 100_000_000
    ]
    assert stall["asgiscope.finding.messages"] == 2
    assert stall["asgiscope.finding.victims"] == 1
    assert stall["asgiscope.finding.background_ns"] > stall["asgiscope.finding.victims_ns"]
    assert [link["http.route"] for link in stall["links"]] == ["/page/"]


def test_a_task_outside_of_any_request_is_a_victim(kept: Kept) -> None:
    """Each task once, whichever way it goes to a thread; a request's own calls count for the request."""

    async def waits(pool: ThreadPoolExecutor) -> None:
        for _ in range(2):
            await sync_to_async(time.sleep)(0.05)
        await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.05)

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            await asyncio.gather(*(asyncio.create_task(waits(pool)) for _ in range(3)))

    asyncio.run(main())
    made = kept.made()
    contention = [found for found in made if found.get("asgiscope.finding") == "contention"]
    assert sum(found["asgiscope.finding.tasks"] for found in contention) in (2, 3)  # the first may never wait
    starved = [found for found in made if found.get("asgiscope.finding") == "pool_starvation"]
    assert sum(found["asgiscope.finding.tasks"] for found in starved) <= 3
    assert not any(found["asgiscope.finding.victims"] for found in (*contention, *starved))
    assert sum(found["asgiscope.finding.background_ns"] for found in contention) > 0


def test_a_consumer_gets_its_messages_although_the_probe_fails(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it raises goes where it went."""
    monkeypatch.setattr(probe, "BackgroundUnit", None)
    seen: list[str] = []

    async def note() -> None:
        seen.append("handled")
        raise LookupError("of the consumer")

    with pytest.raises(LookupError, match="of the consumer"):
        asyncio.run(serve(note))
    assert seen == ["handled"]
    assert kept.made() is not None


def test_messages_are_handed_on_by_what_is_wrapped() -> None:
    """A canary: Channels' consumers call it with the callables and the handler of a message."""
    assert Connection(0, "/").message is None
    code = consumers.AsyncConsumer.__call__.__code__
    assert "await_many_dispatch" in code.co_names
    assert consumers.await_many_dispatch.__code__.co_varnames[:2] == ("consumer_callables", "dispatch")


TASKS = """
from asgiscope import instrumentor
from django.tasks import task

@task
async def report():
    held = asyncio.ensure_future(sync_to_async(time.sleep)(0.4))
    await asyncio.sleep(0)
    await sync_to_async(len)("abc")
    await held

async def page(request):
    await report.aenqueue()
    return HttpResponse("done")

urlpatterns = [path("page/", page)]
with record() as seen:
    report.call()
    told(seen)
ask("/page/")
"""


def test_a_task_of_django_is_a_victim_of_its_own_kind(tmp_path: Path) -> None:
    """In a worker; run at once within a request it is part of that request."""
    environment = environments.make(
        "django==6.1.3", "asgiref==3.13.0", python=environments.later_pythons()[-1]
    )
    tasks = '{"TASKS": {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}}'
    site = run_site(tmp_path, TASKS, settings=tasks, python=environment.python)
    (within,) = site.findings("contention")
    assert within["asgiscope.finding.victims"] == 1
    assert "asgiscope.finding.tasks" not in within
    site = run_site(tmp_path, TASKS.replace('ask("/page/")', ""), settings=tasks, python=environment.python)
    (alone,) = site.findings("contention")
    assert (alone["asgiscope.finding.tasks"], alone["asgiscope.finding.victims"]) == (1, 0)
    assert alone["asgiscope.finding.background_ns"] > 0
