"""Stacks of threads and tasks: the lines at which they really stand."""

import asyncio
import sys
import threading
from types import FrameType

from asgiscope.stack import call_site, dump


def line_of(function: str, stack: list[str]) -> int:
    """Return the line that a rendered stack gives for a function of this file."""
    (found,) = [
        line
        for text in stack
        for line in text.splitlines()
        if line.endswith(f", in {function}") and __file__ in line
    ]
    return int(found.split(", line ")[1].split(",")[0])


def stand(frames: list[FrameType], there: threading.Event, leave: threading.Event) -> None:
    """Stand at a line that is far from the first one, in a call over several lines."""
    frames.append(sys._getframe())
    there.set()
    assert frames
    leave.wait(
        timeout=30,
    )


def test_a_thread_dump_gives_the_line_at_which_each_function_stands() -> None:
    """As the interpreter itself says it."""
    frames: list[FrameType] = []
    there, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=stand, args=(frames, there, leave))
    thread.start()
    there.wait()
    try:
        real = frames[0].f_lineno
        assert line_of("stand", dump.threads()) == real
        assert real > stand.__code__.co_firstlineno + 4
        assert call_site.record(frames[0]).line == real
    finally:
        frames.clear()
        leave.set()
        thread.join()


async def outer(waited: "asyncio.Future[None]") -> None:
    """Wait in another coroutine, not at its first line."""
    text = "a line"
    text += " and another"
    await inner(waited, text)


async def inner(waited: "asyncio.Future[None]", text: str) -> None:
    """Wait for a future."""
    assert text
    await waited


def test_a_task_dump_gives_the_line_at_which_each_coroutine_waits() -> None:
    """Of every coroutine in the chain."""

    async def main() -> None:
        waited = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(outer(waited))
        await asyncio.sleep(0)
        frames = dump.chain(task.get_coro()).frames
        printed = dump.tasks([task])
        assert [line_of(name, printed) for name in ("outer", "inner")] == [frame.f_lineno for frame in frames]
        waited.set_result(None)
        await task

    asyncio.run(main())


def test_a_task_that_has_not_begun_stands_at_its_first_line() -> None:
    """Not at a line beyond the end of what it has run."""

    async def main() -> None:
        task = asyncio.create_task(outer(asyncio.get_running_loop().create_future()))
        assert line_of("outer", dump.tasks([task])) == outer.__code__.co_firstlineno
        task.cancel()

    asyncio.run(main())
