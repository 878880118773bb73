"""The time that calls wait while others hold their thread is attributed to named calls, whatever is mixed."""

import textwrap

import pytest

from tests.instrumentation.processes import run
from tests.measuring import Length, measure

Answers = list[tuple[dict[str, list[int]], int]]
"""For each loop: by role of the thread, how long calls waited, for named calls, and for an idle thread (ns); and
how many waited."""

_KEPT = """
import random, threading, time, uvloop
from concurrent.futures import ThreadPoolExecutor
from asgiref.sync import ThreadSensitiveContext
from asgiscope.stack.call_site import callable_name
from asgiscope.contention.attribution import attribute
recorder = instrumentor.active().recorder
kept = []
settle = recorder.finish_call
def keep(call):
    if call.run_started:
        held = attribute(call)
        named = sum(one.overlap_ns for one in held.holders)
        assert named + held.others_ns + held.idle_ns == call.wait_ns
        if call.depth:  # who finds the thread free, or still to be started, waits for nobody
            kept.append([str(call.queue.role), call.wait_ns, named, callable_name(call.func), held.idle_ns])
    settle(call)
recorder.finish_call = keep
chance = random.Random(7)
def work(seconds):
    time.sleep(seconds)
def fails(seconds):
    time.sleep(seconds)
    raise LookupError
async def call(function=work, **options):
    await asyncio.sleep(chance.uniform(0, 0.05))
    try:
        await sync_to_async(function, **options)(chance.uniform(0.06, 0.12))
    except LookupError:
        pass
def told():
    waits = [entry for entry in kept if entry[1] >= 1_000_000]
    roles = sorted({entry[0] for entry in waits})
    sums = {
        role: [sum(entry[place] for entry in waits if entry[0] == role) for place in (1, 2, 4)] for role in roles
    }
    kept.clear()
    return sums, len(waits)
def on_both_loops(main):
    answers = []
    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
        answers.append(told())
    print(json.dumps(answers))
"""

_CASES = {
    "shared": """
        async def main():
            await sync_to_async(len)("the thread has been started")
            await asyncio.gather(*(call(fails if n % 5 == 0 else work) for n in range(12)))
        on_both_loops(main)
        """,
    "request": """
        async def request(executor=None):
            async with ThreadSensitiveContext(**({"executor": executor} if executor else {})):
                await sync_to_async(len)("the thread has been started")
                await asyncio.gather(*(call() for _ in range(5)))
        async def main():
            with ThreadPoolExecutor(1) as own:
                await asyncio.gather(request(), request(), request(own))
        on_both_loops(main)
        """,
    "parent": """
        def nested():
            async_to_sync(call)()
            time.sleep(0.01)
        async def outer():
            await asyncio.gather(*(call() for _ in range(6)), *(sync_to_async(nested)() for _ in range(3)))
        async def main():
            await sync_to_async(async_to_sync(outer))()
        on_both_loops(main)
        """,
    "pool": """
        async def main():
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(time.sleep, (0.05, 0.05, 0.05)))  # the threads have been started
                calls = [call(thread_sensitive=False, executor=pool) for _ in range(24)]
                await asyncio.gather(*calls)
        on_both_loops(main)
        """,
    "given up": """
        async def impatient():
            try:
                await asyncio.wait_for(call(), chance.uniform(0.2, 1.2))
            except TimeoutError:
                pass
        async def main():
            await sync_to_async(len)("the thread has been started")
            await asyncio.gather(*(impatient() for _ in range(14)))
            await sync_to_async(len)("the thread is free")
        on_both_loops(main)
        """,
    "generators": """
        def rows():
            for n in range(5):
                time.sleep(0.05)
                yield n
        async def read():
            found, done = rows(), object()
            while await sync_to_async(next)(found, done) is not done:
                pass
        async def main():
            await sync_to_async(len)("the thread has been started")
            await asyncio.gather(read(), read(), read())
        on_both_loops(main)
        """,
}


@pytest.mark.parametrize("case", list(_CASES))
def test_waits_are_attributed_to_named_calls(case: str) -> None:
    """On every kind of thread, with calls that fail, that are given up, that are made of each other."""
    kind = {"given up": "shared", "generators": "shared"}.get(case, case)

    def idle_shares(answers: Answers) -> list[Length]:
        """A busy machine keeps a free thread from the next call: then there is little to attribute."""
        return [Length("idle, %", 100 * sums[kind][2] / sums[kind][0], most=20) for sums, _ in answers]

    answers = measure(lambda: run(_KEPT + textwrap.dedent(_CASES[case])), idle_shares)
    for sums, waits in answers:
        waited, named, idle = sums[kind]
        assert waits >= 5
        assert named >= 0.99 * (waited - idle)


def test_asgirefs_own_deadlock_error_is_a_refusal() -> None:
    """A loop made on the shared thread itself: its calls would wait for the thread that runs them."""
    answers = run(
        """
        import uvloop
        refused = []
        instrumentor.active().recorder.refused = lambda refusal: refused.append([refusal.by, refusal.message])
        async def inner():
            try:
                await sync_to_async(len)("abc")
            except RuntimeError as error:
                return str(error)
        async def main(factory):
            def work():
                with asyncio.Runner(loop_factory=factory) as runner:
                    return runner.run(inner())
            return await sync_to_async(work)()
        answers = []
        for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                answers.append([runner.run(main(factory)), refused.pop(), len(refused)])
        print(json.dumps(answers))
        """
    )
    for message, (by, told), more in answers:
        assert (by, told, more) == ("asgiref", message, 0)
        assert "would deadlock" in message
