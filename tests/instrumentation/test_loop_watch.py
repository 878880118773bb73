"""One loop as the watchdog sees it, on a clock and with stacks and counters that the test sets."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from asgiscope.contention.queue import Call
from asgiscope.export.resolve.stalls import attributes_of
from asgiscope.records.scope import Request
from asgiscope.records.tags import RunThread
from asgiscope.semconv import Awaited, Cause, Starvation
from asgiscope.stack import call_site

from tests.instrumentation.fake_frames import PACKAGES, STDLIB, code_at, stack
from tests.instrumentation.watched_loop import (
    AEXIT,
    HANDLE,
    HANDLER,
    MS,
    OTHER,
    PERIOD,
    RUN_ONCE,
    SELECT,
    SHUTDOWN,
    THREAD_HANDLER,
    VIEW,
    WORKER,
    Scene,
)


def joining(thread: Any) -> tuple[tuple[str, str, int, dict[str, Any]], ...]:
    """Return the innermost frames of a join, as Python 3.11 has them."""
    file = f"{STDLIB}/threading.py"
    return (
        (file, "Thread._wait_for_tstate_lock", 1139, {"self": thread}),
        (file, "Thread.join", 1119, {"self": thread}),
    )


def request_on_other(scene: Scene) -> Request:
    """Return a request whose view runs on the other thread."""
    request = Request(None, scene.now, "GET", "/report/")
    request.template = "/report/"
    request.thread_id = scene.watch.thread_id
    scene.ledger.begin(request)
    call = Call(request, scene.now, "sync_to_async", len)
    queue = scene.ledger.queue(object(), "request", 1)
    queue.submit(call, scene.now)
    call.run_tags = RunThread(OTHER, "ThreadPoolExecutor-0_0")
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


@pytest.mark.parametrize(
    ("at_work", "cpu", "starved"), [(20, 0.05, Starvation.UNKNOWN), (60, 0.05, None), (20, 0.5, None)]
)
def test_a_loop_seen_at_work_for_less_than_a_stall_between_samples_at_rest_is_no_finding(
    scene: Scene, at_work: int, cpu: float, starved: Starvation | None
) -> None:
    """It was ready to run most of the time and did not get to; what ran when it was seen blocked it for 20 ms."""
    scene.watch._seeks = True
    scene.stand(stack((f"{STDLIB}/shop_tasks.py", "step", 3), HANDLE), 10)
    scene.stand(stack(RUN_ONCE), 70, cpu=cpu)
    scene.stand(stack(VIEW, HANDLER, HANDLE), at_work, cpu=cpu)
    scene.stand(stack(RUN_ONCE), 70, cpu=cpu)
    (stall,) = scene.answer()
    assert stall.starved is starved


def test_no_stack_is_read_of_a_loop_that_has_not_run_since_it_was_seen_waiting(scene: Scene) -> None:
    """Until its thread has used processor time: the stall that begins then is seen as any other."""
    scene.watch._seeks = True
    looked: list[int] = []
    scene.watch.frames = lambda: looked.append(scene.now) or scene.threads  # type: ignore[func-returns-value]
    scene.stand(stack(SELECT, RUN_ONCE), 100)
    assert len(looked) == 1
    rows = scene.recorder.tallies.take()
    assert (rows.loop_ns, rows.lag.count, rows.lag.zero) == (100 * MS, 10, 10)
    assert scene.watch.last == scene.now

    scene.cpu += 1  # its thread has run, and waits again
    scene.stand(stack(SELECT, RUN_ONCE), 20)
    assert len(looked) == 2
    waited = scene.now

    scene.stand(stack(VIEW, HANDLER, HANDLE), 200, cpu=1)
    assert scene.watch.pending_since == waited + PERIOD
    (stall,) = scene.answer()
    assert attributes_of(stall)["code.function.name"] == "report"
    assert stall.blocked_ns == scene.now - waited - PERIOD // 2  # midway between two looks


def test_loop_starved_of_the_gil_has_no_call_site(scene: Scene) -> None:
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


def test_oversleep_counts_from_the_sleep_before_the_callback(scene: Scene) -> None:
    """Those of a loop that turned in between say nothing of this stall."""
    scene.watch.record_oversleep(900 * MS, 0)
    scene.watch.check(scene.now)
    scene.watch.record_oversleep(5 * MS, 0)
    scene.stand(stack(VIEW, HANDLE), 100, cpu=1)
    scene.watch.record_oversleep(7 * MS, 0)
    before, since = scene.watch.counted(scene.now)
    assert (before.overslept_ns, since.overslept_ns) == (5 * MS, 7 * MS)
    assert threading.get_ident() == scene.watch.thread_id
