"""What a thread waits for, read from the stacks of real threads that really wait."""

import asyncio
import importlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiscope.semconv import Awaited
from asgiscope.stack import thread_waits
from asgiscope.stack.thread_waits import Wait

from tests.blocking import unwatched


class Stage:
    """What threads of a test wait for, and what ends it."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.other = threading.Thread(target=self.stand, name="other", daemon=True)
        self.lock = threading.RLock()
        self.condition = threading.Condition()
        self.plain = threading.Lock()
        self.never = threading.Event()
        self.semaphore, self.barrier = threading.Semaphore(0), threading.Barrier(2)
        self.items: queue.Queue[int] = queue.Queue()
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="pool")
        self.promised: Future[Any] = Future()

    def stand(self) -> None:
        """Hold everything there is to hold until the end."""
        with self.lock, self.condition, self.plain:
            self.end.wait()

    def enter_lock(self) -> None:
        """Wait in a `with` of an attribute."""
        with self.lock:
            pass

    def acquire_lock(self) -> None:
        """Wait in a call of a local variable's method, with arguments."""
        mine = self.lock
        if mine.acquire(True, 30):
            mine.release()

    def enter_condition(self) -> None:
        """Wait for a condition's lock."""
        with self.condition:
            pass

    def acquire_plain(self) -> None:
        """Wait for a lock that does not know its holder."""
        if self.plain.acquire(timeout=30):
            self.plain.release()


_WAITING: list[threading.Thread] = []
"""Threads that a test has put into a wait."""


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    """Keep the stacks free of what other tests wrap, and let no thread of a test outlive it."""
    with unwatched():
        yield
    join_waiting()


def join_waiting() -> None:
    """Join the threads whose waits have been ended."""
    while _WAITING:
        thread = _WAITING.pop()
        thread.join(30)
        assert not thread.is_alive(), "a test must end the wait that it began"


@pytest.fixture
def stage() -> Iterator[Stage]:
    """With the other thread in its place."""
    made = Stage()
    made.other.start()
    yield made
    made.end.set()
    made.never.set()
    made.items.put(1)
    made.promised.set_result(None)
    made.semaphore.release()
    if made.barrier.n_waiting:
        made.barrier.wait(30)
    made.pool.shutdown(wait=False)


@contextmanager
def waiting(target: Callable[[], Any]) -> Iterator[Callable[[], Wait | None]]:
    """Yield a thread that runs `target`; yields what tells what it waits for now."""
    thread = threading.Thread(target=target, daemon=True)
    _WAITING.append(thread)
    thread.start()

    def ask() -> Wait | None:
        frames = sys._current_frames()
        assert thread.ident is not None
        return thread_waits.wait_of(frames[thread.ident], frames)

    yield ask


def until(ask: Callable[[], Wait | None], kind: Awaited) -> Wait:
    """Return the wait, once the thread has come to it."""
    deadline = time.monotonic() + 10
    while (found := ask()) is None or found.kind is not kind:
        assert time.monotonic() < deadline, f"{found} is not {kind}"
        time.sleep(0.005)
    return found


@pytest.mark.parametrize(
    ("target", "kind", "is_known"),
    [
        (lambda stage: stage.other.join(), Awaited.THREAD, True),
        (lambda stage: stage.other.join(timeout=30), Awaited.THREAD, True),
        (lambda stage: stage.enter_lock(), Awaited.LOCK, True),
        (lambda stage: stage.acquire_lock(), Awaited.LOCK, True),
        (lambda stage: stage.enter_condition(), Awaited.LOCK, True),
        (lambda stage: stage.acquire_plain(), Awaited.LOCK, False),
        (lambda stage: stage.never.wait(), Awaited.EVENT, False),
        (lambda stage: stage.items.get(), Awaited.QUEUE, False),
        (lambda stage: stage.promised.result(), Awaited.FUTURE, False),
        (lambda stage: stage.promised.exception(30), Awaited.FUTURE, False),
        (lambda stage: stage.semaphore.acquire(timeout=30), Awaited.SEMAPHORE, False),
        (lambda stage: stage.barrier.wait(30), Awaited.BARRIER, False),
    ],
)
def test_a_wait_is_recognised_with_the_thread_that_can_end_it(
    stage: Stage, target: Callable[[Stage], Any], kind: Awaited, is_known: bool
) -> None:
    """Where anybody can know it."""
    with waiting(lambda: target(stage)) as ask:
        found = until(ask, kind)
        assert found.thread_id == (stage.other.ident if is_known else 0)


def test_a_future_of_a_pool_names_the_worker_that_runs_it(stage: Stage) -> None:
    """And nobody while it waits in the queue."""
    running = stage.pool.submit(stage.end.wait)
    queued = stage.pool.submit(stage.end.wait)
    with waiting(running.result) as ask:
        found = until(ask, Awaited.FUTURE)
        (worker,) = [thread for thread in threading.enumerate() if thread.name.startswith("pool")]
        assert found.thread_id == worker.ident
    with waiting(queued.result) as ask:
        assert until(ask, Awaited.FUTURE).thread_id == 0


def test_an_executor_that_is_shut_down_waits_for_its_worker(stage: Stage) -> None:
    """As asgiref before 3.12 does on the loop when a request is cancelled."""
    stage.pool.submit(stage.end.wait)
    with waiting(stage.pool.shutdown) as ask:
        found = until(ask, Awaited.THREAD)
        assert found.awaited.name.startswith("pool")
        assert found.thread_id == found.awaited.ident


def test_a_module_that_another_thread_imports_names_that_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two importers waits for the first."""
    (tmp_path / "slow_import_of_a_test.py").write_text(
        "import threading\ngo = threading.Event()\ngo.wait(30)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "slow_import_of_a_test"
    first = threading.Thread(target=importlib.import_module, args=(name,), daemon=True)
    first.start()
    deadline = time.monotonic() + 10
    while not hasattr(sys.modules.get(name), "go"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    try:
        with waiting(lambda: importlib.import_module(name)) as ask:
            assert until(ask, Awaited.IMPORT).thread_id == first.ident
    finally:
        sys.modules[name].go.set()
        first.join()
        join_waiting()  # the second importer must not find the module gone
        del sys.modules[name]


def test_a_thread_that_works_waits_for_nothing() -> None:
    """Sleeping and computing are no waits for others, nor is a method that happens to be called acquire."""

    class Ticket:
        def acquire(self) -> None:
            time.sleep(0.3)

    with waiting(lambda: Ticket().acquire()) as ask:
        time.sleep(0.05)
        assert ask() is None


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
def test_the_loop_that_a_threadsafe_coroutine_needs_is_found_before_and_after_it_began(
    loop_kind: str,
) -> None:
    """While a callback waits on the loop, and when there is a task."""
    import uvloop  # noqa: PLC0415

    loop = asyncio.new_event_loop() if loop_kind == "asyncio" else uvloop.new_event_loop()
    never = loop.create_future()

    async def wait() -> None:
        await never

    coroutine = wait()
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    other = asyncio.new_event_loop()
    assert thread_waits.loop_behind(future, [other, loop]) is loop
    assert thread_waits.loop_behind(future, [other]) is None
    assert thread_waits.task_behind(future) is None
    loop.run_until_complete(asyncio.sleep(0.01))
    task = thread_waits.task_behind(future)
    assert task is not None
    assert task.get_coro() is coroutine
    task.cancel()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    other.close()
