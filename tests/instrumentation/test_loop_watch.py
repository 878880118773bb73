"""One loop as the watchdog sees it, on a clock and with stacks and counters that the test sets."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asgiscope import recorder
from asgiscope.config import Config
from asgiscope.contention.queue import Call, Ledger
from asgiscope.detection.starvation import OwnUse, Reading
from asgiscope.event_loop.loop_watch import LoopWatch
from asgiscope.export.resolve.stalls import attributes_of
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, Request
from asgiscope.records.stall import Stall
from asgiscope.semconv import Awaited, Cause, Starvation
from asgiscope.stack import call_site

from tests.instrumentation.fake_frames import PACKAGES, STDLIB, code_at, stack

MS = 1_000_000
OTHER = 4711
"""A thread that the loop may wait for."""
PERIOD = 10 * MS

SELECT = (f"{STDLIB}/selectors.py", "EpollSelector.select", 468)
RUN_ONCE = (f"{STDLIB}/asyncio/base_events.py", "BaseEventLoop._run_once", 1898)
HANDLE = (f"{STDLIB}/asyncio/events.py", "Handle._run", 84)
VIEW = ("/srv/shop/views.py", "report", 12)
HANDLER = (f"{PACKAGES}/django/core/handlers/asgi.py", "ASGIHandler.__call__", 165)
AEXIT = (f"{PACKAGES}/asgiref/sync.py", "ThreadSensitiveContext.__aexit__", 148)
SHUTDOWN = (f"{STDLIB}/concurrent/futures/thread.py", "ThreadPoolExecutor.shutdown", 235)
WORKER = (f"{STDLIB}/concurrent/futures/thread.py", "_WorkItem.run", 58)
THREAD_HANDLER = (f"{PACKAGES}/asgiref/sync.py", "SyncToAsync.thread_handler", 559)


class FakeLoop:
    """A loop in native code, unless `sleeps_in_python`."""

    running = True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def is_running(self) -> bool:
        return self.running

    def call_soon_threadsafe(self, callback: Any, **_: Any) -> None:
        self.asked.append(callback)


class Scene:
    """A watched loop whose clock, stacks and counters are the test's."""

    def __init__(self) -> None:
        self.now = 1_000 * MS
        self.cpu = self.process = self.delay = self.slices = 0
        self.asleep = False
        self.threads: dict[int, Any] = {}
        self.sent: list[Stall] = []
        self.ledger = Ledger(lambda: self.now)
        outbox = cast("Any", SimpleNamespace(put=self.take))
        self.recorder = Recorder(Config(), self.ledger, outbox, lambda _scope: True)
        self.loop = FakeLoop()
        self.watch = LoopWatch(cast("Any", self.loop), self.recorder, lambda _: None)
        self.watch.meter = cast("Any", SimpleNamespace(read=self.read, is_asleep=lambda: self.asleep))
        self.watch.frames = lambda: self.threads
        self.watch.last = self.watch.looked = self.now

    def take(self, record: Stall) -> bool:
        """Keep what is sent."""
        self.sent.append(record)
        return True

    def read(self, at: int, *, whole: bool) -> Reading:
        """What the system has counted."""
        more = (self.delay, self.slices) if whole else (None, None)
        return Reading(at, self.cpu, self.process, *more)

    def stand(self, loop: Any, ms: int, *, other: Any = None, cpu: float = 0, others_cpu: float = 0) -> None:
        """Have the loop's thread stand somewhere while the watchdog looks; `cpu` is its share of the time."""
        for _ in range(ms * MS // PERIOD):
            self.now += PERIOD
            self.cpu += int(PERIOD * cpu)
            self.process += int(PERIOD * (cpu + others_cpu))
            self.threads = {self.watch.thread_id: loop, **({OTHER: other} if other is not None else {})}
            self.watch.look(self.now)

    def answer(self) -> list[Stall]:
        """Let the loop run what it was asked: the stalls that are sent."""
        self.now += MS
        for callback in self.loop.asked:
            callback()
        self.loop.asked.clear()
        return self.sent


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A loop that runs, without tasks that the real asyncio knows of."""
    monkeypatch.setattr(asyncio, "current_task", lambda _loop=None: None)
    return Scene()


def joining(thread: Any) -> tuple[tuple[str, str, int, dict[str, Any]], ...]:
    """The innermost frames of a join, as Python 3.11 has them."""
    file = f"{STDLIB}/threading.py"
    return (
        (file, "Thread._wait_for_tstate_lock", 1139, {"self": thread}),
        (file, "Thread.join", 1119, {"self": thread}),
    )


def request_on_other(scene: Scene) -> Request:
    """A request whose view runs on the other thread."""
    request = Request(None, scene.now, "GET", "/report/")
    request.template = "/report/"
    request.thread_id = scene.watch.thread_id
    scene.ledger.begin(request)
    call = Call(request, scene.now, "sync_to_async", len)
    queue = scene.ledger.queue(object(), "request", 1)
    queue.submit(call, scene.now)
    call.run_tags = (OTHER, "ThreadPoolExecutor-0_0")
    queue.start(call, scene.now)
    return request


def test_a_loop_that_joins_a_requests_thread_is_blocked_by_what_that_thread_does(scene: Scene) -> None:
    """Nothing but asgiref, Django and the standard library is on the loop's stack (asgiref before 3.12)."""
    request = request_on_other(scene)
    victim = Request(None, scene.now, "GET", "/health/")
    victim.thread_id = scene.watch.thread_id
    scene.ledger.begin(victim)
    loop = stack(*joining(SimpleNamespace(ident=OTHER)), SHUTDOWN, AEXIT, HANDLER, HANDLE)
    scene.stand(loop, 500, other=stack(VIEW, THREAD_HANDLER, WORKER))

    ongoing = scene.watch.current_stall(scene.now)
    assert ongoing is not None
    (stall,) = scene.answer()
    for one in (ongoing, stall):
        assert one.cause is Cause.WAIT
        assert one.request is request
        assert one.awaited is not None
        assert (one.awaited.kind, one.awaited.thread_id) == (Awaited.THREAD, OTHER)
        found = attributes_of(one)
        assert (found["code.file.path"], found["code.function.name"], found["code.line.number"]) == VIEW
        assert found["asgiscope.awaited.code"] == "report (/srv/shop/views.py:12)"
        assert found["asgiscope.operation"] == "asgiref.sync.ThreadSensitiveContext.__aexit__"
        assert "in ThreadPoolExecutor.shutdown" in found["code.stacktrace"]
        assert found["asgiscope.stall.thread_cpu_ns"] == 0
    assert [one for one, _ in stall.victims] == [victim]


def test_the_applications_own_line_that_waits_on_the_loop_stays_the_call_site(scene: Scene) -> None:
    """What it waits for is named beside it."""
    scene.stand(
        stack(*joining(SimpleNamespace(ident=OTHER)), ("/srv/shop/views.py", "joins", 30), HANDLE),
        300,
        other=stack(VIEW, WORKER),
    )
    (stall,) = scene.answer()
    found = attributes_of(stall)
    assert (found["code.function.name"], found["code.line.number"]) == ("joins", 30)
    assert found["asgiscope.awaited.code"] == "report (/srv/shop/views.py:12)"
    assert found["asgiscope.operation"] == "threading.Thread.join"


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ([("_base.py", "Future.result")], Awaited.FUTURE),
        ([("threading.py", "Condition.wait"), ("threading.py", "Event.wait")], Awaited.EVENT),
        ([("threading.py", "Condition.wait"), ("queue.py", "Queue.get")], Awaited.QUEUE),
        ([("threading.py", "Condition.wait"), ("_base.py", "Future.result")], Awaited.FUTURE),
        ([("threading.py", "Condition.wait")], Awaited.CONDITION),
        ([("threading.py", "Condition.wait"), ("threading.py", "Semaphore.acquire")], Awaited.SEMAPHORE),
        ([("threading.py", "Condition.wait"), ("threading.py", "Barrier.wait")], Awaited.BARRIER),
    ],
)
def test_a_wait_in_the_standard_library_blocks_the_loop(
    scene: Scene, frames: list[tuple[str, str]], kind: Awaited
) -> None:
    """Whoever called it there, and although no thread that could end it is known."""
    folders = {"_base.py": f"{STDLIB}/concurrent/futures"}
    innermost = [(f"{folders.get(file, STDLIB)}/{file}", name, 1) for file, name in frames]
    scene.stand(stack(*innermost, AEXIT, HANDLER, HANDLE), 300)
    (stall,) = scene.answer()
    assert stall.starved is None
    assert stall.cause is Cause.WAIT
    assert stall.awaited is not None
    assert stall.awaited.kind is kind
    assert "asgiscope.awaited.thread.id" not in attributes_of(stall)


def test_a_library_is_named_where_it_is_entered_whatever_its_innermost_line(scene: Scene) -> None:
    """One piece of work, one finding."""
    entered = (f"{PACKAGES}/markup/__init__.py", "render", 8)
    sites = set()
    for inner in range(6):
        deep = [(f"{PACKAGES}/markup/block{n}.py", f"parse{n}", 100 * inner + n) for n in range(inner)]
        scene.stand(
            stack((f"{STDLIB}/re/__init__.py", "match", 1), *deep, entered, HANDLER, HANDLE), 100, cpu=1
        )
        found = attributes_of(scene.answer().pop())
        sites.add((found["code.file.path"], found["code.function.name"]))
    assert sites == {entered[:2]}


READ_WAKEUP = (f"{STDLIB}/asyncio/selector_events.py", "BaseSelectorEventLoop._read_from_self", 131)
PROCESS_EVENTS = (f"{STDLIB}/asyncio/selector_events.py", "BaseSelectorEventLoop._process_events", 740)


@pytest.mark.parametrize(
    "innermost",
    [(SELECT, RUN_ONCE), (RUN_ONCE,), (READ_WAKEUP, HANDLE, RUN_ONCE), (PROCESS_EVENTS, RUN_ONCE)],
    ids=["selector", "between callbacks", "its wake-up socket", "its events"],
)
def test_a_loop_sampled_in_its_own_code_is_never_a_finding(
    scene: Scene, innermost: tuple[tuple[str, str, int], ...]
) -> None:
    """It was ready to run, used no processor, and nothing says why."""
    scene.watch._seeks = True
    scene.stand(stack((f"{STDLIB}/shop_tasks.py", "step", 3), HANDLE), 10)  # it works at the first look
    scene.stand(stack(*innermost), 200)
    assert scene.watch.current_stall(scene.now) is None
    (stall,) = scene.answer()
    assert stall.starved is Starvation.UNKNOWN
    assert stall.frames == []
    assert "code.file.path" not in attributes_of(stall)


def test_a_loop_without_the_gil_blames_nobody_on_its_stack(scene: Scene) -> None:
    """It woke up all the time to ask for it, while another thread computed."""
    for _ in range(30):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.05, others_cpu=0.95)
        scene.slices += 2
    assert scene.watch.current_stall(scene.now) is None
    (stall,) = scene.answer()
    assert stall.starved is Starvation.GIL
    assert attributes_of(stall)["asgiscope.stall.starved_of"] == "gil"
    assert "code.file.path" not in attributes_of(stall)


def test_a_task_that_computes_for_a_stalls_length_blocks_a_crowded_machine_too(scene: Scene) -> None:
    """It got a quarter of a processor: it would have blocked the loop for 100 ms on a machine of its own."""
    for _ in range(40):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.25)
        scene.delay += 7 * MS
    lasting = scene.watch.current_stall(scene.now)
    assert lasting is not None
    (stall,) = scene.answer()
    assert (stall.starved, stall.cause) == (None, Cause.CPU)
    assert attributes_of(stall)["code.function.name"] == "report"


def test_a_sleep_that_the_scheduler_counts_as_delay_blocks_the_loop(scene: Scene) -> None:
    """Linux 6.12 and later: nobody waits for a processor whose thread is asleep at each look."""
    scene.asleep = True
    scene.stand(stack(VIEW, HANDLER, HANDLE), 600)
    assert scene.watch.current_stall(scene.now) is not None
    scene.delay += 598 * MS
    (stall,) = scene.answer()
    assert (stall.starved, stall.cause) == (None, Cause.CPU)
    assert attributes_of(stall)["code.function.name"] == "report"


def test_a_task_that_computes_for_less_than_a_stall_is_not_to_blame_for_a_crowded_machine(
    scene: Scene,
) -> None:
    """40 ms of its own in 400: nobody would have noticed."""
    for _ in range(40):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.1)
        scene.delay += 9 * MS
    assert scene.watch.current_stall(scene.now) is None
    (stall,) = scene.answer()
    assert stall.starved is Starvation.PROCESSOR
    assert "code.function.name" not in attributes_of(stall)


def test_a_thread_that_was_started_and_does_not_run_is_the_machines_fault(scene: Scene) -> None:
    """`Thread.start` waits on the loop until the new thread has begun."""
    file = f"{STDLIB}/threading.py"
    started = SimpleNamespace(ident=OTHER)
    waits: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
        (file, "Condition.wait", 1, {}),
        (file, "Event.wait", 2, {}),
        (file, "Thread.start", 3, {"self": started}),
    )
    scene.stand(stack(*waits, VIEW, HANDLER, HANDLE), 200)
    (stall,) = scene.answer()
    assert stall.starved is Starvation.PROCESSOR


def test_what_runs_a_loop_in_native_code_is_not_on_its_stack(scene: Scene) -> None:
    """A callback of such a loop leaves nothing but the frames that run the loop."""
    runner = stack(
        (f"{PACKAGES}/gunicorn/workers/gasgi.py", "ASGIWorker.run", 155), ("/srv/serve.py", "<module>", 9)
    )
    scene.watch._base = (id(runner), runner.f_code)
    scene.stand(runner, 200, cpu=1)
    (stall,) = scene.answer()
    assert (stall.starved, stall.cause, stall.frames) == (None, Cause.UNKNOWN, [])
    scene.sent.clear()

    work = stack(VIEW, HANDLER)
    work.f_back.f_back = runner
    scene.watch._base = (id(runner), runner.f_code)
    scene.stand(work, 200, cpu=1)
    (stall,) = scene.answer()
    assert [frame.code.co_name for frame in stall.frames] == ["report", "__call__"]


def test_a_frame_of_another_run_that_has_the_same_identity_ends_no_stack() -> None:
    """An `id()` is given again; the code tells."""
    work = stack(VIEW, HANDLER)
    other = code_at("/srv/serve.py", "<module>", 9)
    assert len(call_site.stack(work, (id(work.f_back), other))) == 2
    assert len(call_site.stack(work, (id(work.f_back), work.f_back.f_code))) == 1


def test_a_loop_that_is_not_run_is_not_blocked(scene: Scene) -> None:
    """Between two `run_until_complete`, or in a thread that does something else meanwhile."""
    scene.stand(stack(VIEW, HANDLE), 100, cpu=1)
    scene.loop.running = False
    scene.stand(stack(VIEW), 500, cpu=1)
    assert scene.watch.current_stall(scene.now) is None
    assert scene.answer() == []


def test_the_watchdogs_sleeps_count_from_the_one_before_the_loop_was_asked(scene: Scene) -> None:
    """Those of a loop that turned in between say nothing of this stall."""
    scene.watch.slept(900 * MS, 0)
    scene.watch.look(scene.now)
    scene.watch.slept(5 * MS, 0)
    scene.stand(stack(VIEW, HANDLE), 100, cpu=1)
    scene.watch.slept(7 * MS, 0)
    before, since = scene.watch.counted(scene.now)
    assert (before.overslept_ns, since.overslept_ns) == (5 * MS, 7 * MS)
    assert threading.get_ident() == scene.watch.thread_id


def rendered(scene: Scene, ms: int) -> Operation:
    """A page that was rendered on the loop until now, for so long."""
    operation = Operation(None, scene.now - ms * MS, "template", "template")
    operation.guarded, operation.on_loop, operation.ended = False, True, scene.now
    scene.recorder.watched = {id(None): scene.watch}  # no loop runs in this thread
    return operation


def test_an_operation_on_a_loop_without_a_processor_blames_nobody(scene: Scene) -> None:
    """A page took 200 ms to render because the machine was crowded: it computed for 4 ms of them."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.02)
        scene.delay += 9 * MS
    scene.recorder.blocked(rendered(scene, 200), False, None)
    (stall,) = scene.sent
    assert stall.starved is Starvation.PROCESSOR
    found = attributes_of(stall)
    assert found["asgiscope.stall.starved_of"] == "processor"
    assert found["asgiscope.stall.scheduler_delay_ns"] > 100 * MS
    assert "code.file.path" not in found


def test_an_operation_that_computes_long_on_a_crowded_machine_blocks_the_loop(scene: Scene) -> None:
    """40 ms of its own are a stall, whatever else it lost."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.2)
        scene.delay += 8 * MS
    operation = rendered(scene, 200)
    scene.recorder.blocked(operation, False, None)
    (stall,) = scene.sent
    assert (stall.starved, stall.work) == (None, operation)


def test_a_guarded_operation_on_a_crowded_machine_stays_a_finding(scene: Scene) -> None:
    """A query on the loop is a mistake however long it takes."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.02)
        scene.delay += 9 * MS
    scene.recorder.blocked(rendered(scene, 200), True, None)
    (stall,) = scene.sent
    assert stall.starved is None


def test_a_short_operation_that_never_gave_its_processor_up_is_judged_by_its_own_use(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended before the watchdog looked: nothing else was counted."""
    scene.now += 20 * MS
    operation = rendered(scene, 20)
    operation.used = OwnUse(5 * MS, 7)
    for now, starved in (
        (OwnUse(7 * MS, 7), Starvation.PROCESSOR),
        (OwnUse(7 * MS, 8), None),
        (OwnUse(20 * MS, 7), None),
    ):
        scene.sent.clear()
        monkeypatch.setattr(recorder, "own_use", lambda now=now: now)
        scene.recorder.blocked(operation, False, None)
        assert [stall.starved for stall in scene.sent] == [starved]
