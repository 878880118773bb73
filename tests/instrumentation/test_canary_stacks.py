"""Canaries: what the looks at stacks, deadlocks, connections and the kernel rely on in foreign code."""

import asyncio
import inspect
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync
from asgiscope.event_loop.socket_times import age_of_last_bytes
from asgiscope.stack import dump
from django.db.backends.sqlite3.base import DatabaseWrapper
from uvicorn.protocols.http.h11_impl import RequestResponseCycle as H11Cycle
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as HttpToolsCycle


async def _seen(awaitable: Any) -> dump.Chain:
    """Return the chain of a task that awaits this, once it waits."""
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0.01)
    chain = dump.chain(task.get_coro())
    task.cancel()
    await asyncio.wait([task])
    return chain


def test_asyncios_own_waits_show_what_they_wait_for() -> None:
    """`wait` by its locals, a task group by its tasks, `gather` by its children."""

    async def waits(other: "asyncio.Future[None]") -> None:
        await asyncio.wait([other])

    async def groups(other: "asyncio.Future[None]") -> None:
        async def one() -> None:
            await other

        async with asyncio.TaskGroup() as group:
            group.create_task(one())

    async def gathers(other: "asyncio.Future[None]") -> None:
        await asyncio.gather(other)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        last = (await _seen(waits(other := loop.create_future()))).frames[-1]
        assert last.f_code.co_qualname == "_wait"
        assert {"fs", "return_when"} <= set(inspect.getargs(last.f_code).args)
        assert not other.cancelled()
        group = (await _seen(groups(loop.create_future()))).frames
        assert any(frame.f_code.co_qualname.startswith("TaskGroup.") for frame in group[-2:])
        assert hasattr(asyncio.TaskGroup(), "_tasks")
        gathered = (await _seen(gathers(loop.create_future()))).future
        assert len(gathered._children) == 1  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_chain_goes_through_asynchronous_generators() -> None:
    """Into what `async for` awaits, although its awaitable has no attributes."""

    async def numbers() -> Any:
        await asyncio.sleep(60)
        yield 1

    async def reads() -> None:
        async for _ in numbers():
            """Never."""

    names = [frame.f_code.co_name for frame in asyncio.run(_seen(reads())).frames]
    assert names == ["reads", "numbers", "sleep"]


def test_asgirefs_bridges_have_the_names_by_which_they_are_known() -> None:
    """Of the coroutine that a parked thread waits for, and of an executor that is over."""
    assert AsyncToSync.main_wrap.__qualname__ == "AsyncToSync.main_wrap"
    executor = CurrentThreadExecutor(None)
    assert executor._broken is False
    assert executor._old_executor is None


def test_django_wrapper_has_the_thread_of_its_connection() -> None:
    """The connection, the thread, and whether others may use it; all read, none called."""
    wrapper: Any = DatabaseWrapper({"TIME_ZONE": None, "NAME": ":memory:"}, "other")
    assert wrapper.connection is None
    assert wrapper._thread_ident == threading.get_ident()
    assert wrapper.allow_thread_sharing is False
    assert (wrapper.alias, wrapper.vendor, wrapper.settings_dict["NAME"]) == ("other", "sqlite", ":memory:")


def test_uvicorn_shows_its_transport() -> None:
    """`receive` is a method of what has it."""
    for cycle in (H11Cycle, HttpToolsCycle):
        assert "receive" in vars(cycle)
        assert "transport" in inspect.signature(cycle).parameters


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel tells")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("port", [int, str], ids=["number", "text"])
def test_kernel_has_the_time_of_the_last_bytes(
    family: socket.AddressFamily, port: Callable[[int], int | str]
) -> None:
    """By the addresses, of a connection that nobody has accepted when they came. Granian gives ports as text."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listening:
        address = listening.getsockname()[:2]
        with socket.create_connection(address) as client:
            client.send(b"x")
            asyncio.run(asyncio.sleep(0.1))
            accepted, _ = listening.accept()
            with accepted:
                theirs, ours = accepted.getpeername(), accepted.getsockname()
                scope = {"client": (theirs[0], port(theirs[1])), "server": (ours[0], port(ours[1]))}
                age = age_of_last_bytes(scope, None)
    assert age is not None
    assert 80_000_000 <= age < 5_000_000_000
