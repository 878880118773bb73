"""Of all time that calls waited, 99 hundredths are put down to named calls, whatever is mixed."""

import textwrap

import pytest

from tests.instrumentation.processes import run

_KEPT = """
import random, threading, time
from concurrent.futures import ThreadPoolExecutor
from asgiref.sync import ThreadSensitiveContext
from asgiscope.callsite import callable_name
from asgiscope.ledger import attribute
recorder = instrumentor.active().recorder
kept = []
settle = recorder.settle
def keep(call):
    if call.run_started:
        held = attribute(call)
        named = sum(one.overlap_ns for one in held.holders)
        assert named + held.others_ns + held.idle_ns == call.wait_ns
        kept.append([str(call.queue.role), call.wait_ns, named, callable_name(call.func)])
    settle(call)
recorder.settle = keep
chance = random.Random(7)
def work(seconds):
    time.sleep(seconds)
def fails(seconds):
    time.sleep(seconds)
    raise LookupError
async def call(function=work, **options):
    await asyncio.sleep(chance.uniform(0, 0.05))
    try:
        await sync_to_async(function, **options)(chance.uniform(0.04, 0.08))
    except LookupError:
        pass
def told():
    waits = [entry for entry in kept if entry[1] >= 1_000_000]
    roles = sorted({entry[0] for entry in waits})
    shares = {
        role: sum(e[2] for e in waits if e[0] == role) / sum(e[1] for e in waits if e[0] == role) for role in roles
    }
    print(json.dumps([shares, len(waits)]))
"""

_CASES = {
    "shared": """
        async def main():
            await asyncio.gather(*(call(fails if n % 5 == 0 else work) for n in range(12)))
        asyncio.run(main())
        """,
    "request": """
        async def request(executor=None):
            async with ThreadSensitiveContext(**({"executor": executor} if executor else {})):
                await asyncio.gather(*(call() for _ in range(5)))
        async def main():
            with ThreadPoolExecutor(1) as own:
                await asyncio.gather(request(), request(), request(own))
        asyncio.run(main())
        """,
    "parent": """
        def nested():
            async_to_sync(call)()
            time.sleep(0.01)
        async def outer():
            await asyncio.gather(*(call() for _ in range(6)), *(sync_to_async(nested)() for _ in range(3)))
        async_to_sync(outer)()
        """,
    "pool": """
        async def main():
            with ThreadPoolExecutor(3) as pool:
                calls = [call(thread_sensitive=False, executor=pool) for _ in range(24)]
                await asyncio.gather(*calls)
        asyncio.run(main())
        """,
    "given up": """
        async def impatient():
            try:
                await asyncio.wait_for(call(), chance.uniform(0.1, 0.6))
            except TimeoutError:
                pass
        async def main():
            await asyncio.gather(*(impatient() for _ in range(14)))
            await sync_to_async(len)("the thread is free")
        asyncio.run(main())
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
            await asyncio.gather(read(), read(), read())
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("case", list(_CASES))
def test_waits_are_put_down_to_named_calls(case: str) -> None:
    """On every kind of thread, with calls that fail, that are given up, that are made of each other."""
    shares, waits = run(_KEPT + textwrap.dedent(_CASES[case]) + "\ntold()\n")
    assert waits >= 5
    assert shares
    assert min(shares.values()) >= 0.99
    expected = {"given up": "shared", "generators": "shared"}.get(case, case)
    assert expected in shares


def test_asgirefs_own_deadlock_error_is_a_refusal() -> None:
    """A loop made on the shared thread itself: its calls would wait for the thread that runs them."""
    answer = run(
        """
        refused = []
        instrumentor.active().recorder.refused = lambda refusal: refused.append([refusal.by, refusal.message])
        async def inner():
            try:
                await sync_to_async(len)("abc")
            except RuntimeError as error:
                return str(error)
        def work():
            return asyncio.run(inner())
        async def main():
            return await sync_to_async(work)()
        print(json.dumps([asyncio.run(main()), refused]))
        """
    )
    message, ((by, told),) = answer
    assert by == "asgiref"
    assert told == message
    assert "would deadlock" in message
