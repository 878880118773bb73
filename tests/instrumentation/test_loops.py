"""Event loops that are not the ordinary one: forked, taking turns, with a clock of their own."""

from tests.instrumentation.processes import run

_SEEN = """
import time
recorder = instrumentor.active().recorder
watchdog = instrumentor.active().watchdog
seen = []
recorder.stalled = lambda stall, thread: seen.append(round(stall.blocked_ns / 1e6))
"""


def test_a_child_forked_while_a_loop_runs_beats_for_its_own_loops_only() -> None:
    """The parent's loop is on the child's stack, with our timer in it: it must not report for the child."""
    answer = run(
        _SEEN
        + """
async def blocks():
    await sync_to_async(len, thread_sensitive=False)("abc")  # asgiref's own thread is not in the child
    await asyncio.sleep(0.05)
    time.sleep(0.3)
    await asyncio.sleep(0.05)

async def main():
    await sync_to_async(len)("abc")
    await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    theirs = watchdog.watches()[0][1]
    read, write = os.pipe()
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        asyncio.run(blocks())
        handles = [h for h in loop._scheduled if not h.cancelled()]
        time.sleep(0.2)
        for handle in handles:  # as the parent's loop would, if the child went back to it
            handle._run()
        long = [ms for ms in seen if ms >= 250]  # a crowded machine adds short ones
        os.write(write, json.dumps([len(long), theirs.stopped, len(watchdog.watches())]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    await blocks()
    return json.loads(os.read(read, 100)), len(seen)

print(json.dumps(asyncio.run(main())))
"""
    )
    (stalls, stopped, _), parents = answer
    assert stalls == 1
    assert stopped is True
    assert parents >= 1


def test_two_loops_that_take_turns_on_one_thread() -> None:
    """What a probe saw block the one is not reported again by its watch, whichever was seen last."""
    answer = run(
        _SEEN
        + """
async def blocks():
    await asyncio.sleep(0.05)
    operation = recorder.start_operation("query", "query")
    time.sleep(0.2)
    recorder.finish_operation(operation)
    await asyncio.sleep(0.05)

first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
for loop in (first, second):
    loop.run_until_complete(sync_to_async(len)("abc"))
for loop in (first, second, first):
    loop.run_until_complete(blocks())
first.close()
second.close()
print(json.dumps(seen))
"""
    )
    assert len([length for length in answer if length >= 190]) == 3  # a busy machine may add short ones


def test_a_loop_whose_clock_is_not_the_real_one_is_left_alone() -> None:
    """A loop that jumps to its next timer would do nothing but beat; and nothing blocks it."""
    answer = run(
        _SEEN
        + """
from concurrent.futures import ThreadPoolExecutor
class Jumping(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        self.now, self.turns = 0.0, 0
        select = self._selector.select
        def jump(timeout=None):
            self.turns += 1
            events = select(0 if timeout is not None else None)
            if timeout and not events:
                self.now += timeout
            return events
        self._selector.select = jump
    def time(self):
        return self.now

async def main():
    await sync_to_async(len)("abc")
    before = time.monotonic()
    await asyncio.sleep(3600)
    took = time.monotonic() - before
    loop = asyncio.get_running_loop()
    turns = loop.turns
    with ThreadPoolExecutor(1) as pool:  # for the default one's end, later Pythons wait by the loop's clock
        await loop.run_in_executor(pool, time.sleep, 0.3)
    return took < 5, loop.time() - 3600 < 2, loop.turns - turns < 50

with asyncio.Runner(loop_factory=Jumping) as runner:
    print(json.dumps([runner.run(main()), seen]))
"""
    )
    assert answer == [[True, True, True], []]


def test_a_call_made_below_a_bridge_that_is_over_waits_for_the_outer_one() -> None:
    """It is handed to the thread that stands further out; who runs there is its holder."""
    answer = run(
        """
        import time
        from asgiscope.stack.call_site import callable_name
        from asgiscope.contention.attribution import attribute
        recorder = instrumentor.active().recorder
        settled = []
        settle = recorder.finish_call
        def keep(call):
            if callable_name(call.func) == "late":
                held = attribute(call)
                names = [callable_name(one.call.func) for one in held.holders]
                settled.append([names, held.idle_ns / call.wait_ns, str(call.queue.role)])
            settle(call)
        recorder.finish_call = keep
        started = []
        def late():
            pass
        def holder():
            async_to_sync(inner)()
            time.sleep(0.3)
        async def background():
            await asyncio.sleep(0.05)
            await sync_to_async(late)()
        async def inner():
            started.append(asyncio.create_task(background()))
            await asyncio.sleep(0)
        async def outer():
            await sync_to_async(holder)()
            await started[0]
        async_to_sync(outer)()
        print(json.dumps(settled))
        """
    )
    ((holders, idle, role),) = answer
    assert holders == ["holder"]
    assert idle < 0.01
    assert role == "parent"


def test_an_executor_that_the_application_gave_to_a_context() -> None:
    """Is that context's one thread, also where it was used as a pool before."""
    answer = run(
        """
        import time
        from concurrent.futures import ThreadPoolExecutor
        from asgiref.sync import ThreadSensitiveContext
        from asgiscope.contention.attribution import attribute
        recorder = instrumentor.active().recorder
        settled = []
        settle = recorder.finish_call
        def keep(call):
            settled.append([str(call.queue.role), call.wait_ns > 40e6, bool(attribute(call).holders)])
            settle(call)
        recorder.finish_call = keep
        import uvloop
        async def main(used):
            with ThreadPoolExecutor(1) as executor:
                if used:
                    await asyncio.get_running_loop().run_in_executor(executor, len, "abc")
                async with ThreadSensitiveContext(executor=executor):
                    await asyncio.gather(sync_to_async(time.sleep)(0.05), sync_to_async(time.sleep)(0.05))
        for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main(False))
                runner.run(main(True))
        print(json.dumps(settled))
        """
    )
    context = [["context", False, False], ["context", True, True]]
    assert answer == [*context, ["pool", False, False], *context] * 2
