"""Processes, threads and loops of every kind: what is recorded in them arrives, and they do as they did."""

import pytest

from tests.instrumentation.processes import run
from tests.sink import Sink, SpanView

_CHILD = """
import asyncio
import django

def named_in_child(text):
    return len(text)

def work():
    django.setup()
    from asgiref.sync import sync_to_async
    asyncio.run(sync_to_async(named_in_child)("abc"))

if __name__ == "__main__":
    import json, multiprocessing, sys
    django.setup()
    process = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    process.start()
    process.join(30)
    print(json.dumps(process.exitcode))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_child_records_last_arrives(method: str) -> None:
    """A forked child of multiprocessing skips the interpreter's exit functions."""
    with Sink() as sink:
        code = f"""
            import pathlib, subprocess, tempfile
            script = pathlib.Path(tempfile.mkdtemp(), "script.py")
            script.write_text({_CHILD!r})
            path = {{**os.environ, "PYTHONPATH": os.getcwd()}}
            command = [sys.executable, str(script), {method!r}]
            done = subprocess.run(command, env=path, capture_output=True, text=True)
            print(json.dumps([done.stdout.strip(), done.stderr]))
            """
        answer = run(
            code,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
            ASGISCOPE_SEND_INTERVAL_MS="3600000",
            ASGISCOPE_EXIT_TIMEOUT_MS="5000",
        )
        assert answer == ["0", ""]
        (span,) = sink.named("sync_to_async named_in_child")
    assert span.resource["process.pid"] > 0


_LATE = """
import asyncio, os, sys

def named_in_child(text):
    return len(text)

def work():  # the site is loaded by the child alone, as granian's workers load it
    import django
    django.setup()
    from asgiref.sync import sync_to_async
    asyncio.run(sync_to_async(named_in_child)("abc"))

if __name__ == "__main__":
    import json, multiprocessing
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    print(json.dumps(process.exitcode))
"""


def test_what_a_child_records_that_loads_the_site_after_its_fork_arrives() -> None:
    """Its parent never had asgiscope: there is nothing to inherit."""
    with Sink() as sink:
        code = f"""
            import pathlib, subprocess, tempfile
            script = pathlib.Path(tempfile.mkdtemp(), "script.py")
            script.write_text({_LATE!r})
            path = {{**os.environ, "PYTHONPATH": os.getcwd()}}
            done = subprocess.run([sys.executable, str(script)], env=path, capture_output=True, text=True)
            print(json.dumps([done.stdout.strip(), done.stderr]))
            """
        answer = run(
            code,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
            ASGISCOPE_SEND_INTERVAL_MS="3600000",
            ASGISCOPE_EXIT_TIMEOUT_MS="5000",
        )
        assert answer == ["0", ""]
        (span,) = sink.named("sync_to_async named_in_child")
    assert span.resource["process.pid"] > 0


_MANY = """
    import gc, threading, time
    def hold(name):
        time.sleep(0.03)
        return name
    async def serve(name):
        time.sleep(0.08)  # blocks this loop and no other
        return await asyncio.gather(*(sync_to_async(hold)(f"{name}-{n}") for n in range(2)))
    answers = {}
    def loop(name):
        answers[name] = asyncio.run(serve(name))
    threads = [threading.Thread(target=loop, args=(f"loop-{n}",), name=f"loop-{n}") for n in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    gc.collect()
    ours = instrumentor.active()
    patience = time.monotonic() + 10  # the watchdog forgets a loop when it next looks
    while ours and ours.watchdog.watches() and time.monotonic() < patience:
        time.sleep(0.02)
    left = ours and [len(ours.watchdog.watches()), dict(internal_errors.counts)]
    print(json.dumps([sorted(answers.items()), left]))
"""


def test_many_loops_in_many_threads() -> None:
    """Each call is recorded where it was made; no loop is left behind; the answers are those without us."""
    with Sink() as sink:
        answers, left = run(_MANY, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, ASGISCOPE_EXIT_TIMEOUT_MS="5000")
        calls = sink.named("sync_to_async hold")
    assert [answers, None] == run(_MANY, bare=True)
    assert left == [0, {}]
    assert sorted(call["thread.name"] for call in calls) == sorted([f"loop-{n}" for n in range(6)] * 2)
    waited = [call for call in calls if call["asgiref.wait_ns"] > 10_000_000]
    assert len(waited) >= 6  # of two calls on one thread, one waits; on the shared thread, all but one
    assert {_remainder(call) for call in calls} == {0}


def _remainder(call: SpanView) -> int:
    """Return what of a call's wait is neither a holder's nor the thread's own idling, ns."""
    held = sum(link["asgiscope.overlap_ns"] for _, _, link in call.links)
    return int(call["asgiref.wait_ns"] - held - call.get("asgiref.wait_idle_ns", 0))


def test_asyncios_debug_mode() -> None:
    """It checks threads and slow callbacks: it finds nothing of ours to complain of."""
    code = """
        import logging, time, uvloop
        from django.test import AsyncClient
        told = []
        class Keep(logging.Handler):
            def emit(self, record):
                told.append(record.getMessage())
        logging.getLogger("asyncio").addHandler(Keep())
        async def main():
            loop = asyncio.get_running_loop()
            assert loop.get_debug()
            loop.slow_callback_duration = 0.5  # not reached for want of a processor
            paths = ("/gathered/", "/parks/", "/pooled/")
            answers = [(await AsyncClient().get(path)).status_code for path in paths]
            time.sleep(0.6)
            await asyncio.sleep(0.05)
            return answers
        answers = []
        for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                answers.append(runner.run(main()))
        print(json.dumps([answers, [line.split(" took ")[0] for line in told if "asgiscope" in line],
                          len([line for line in told if "took" in line]) > 0, dict(internal_errors.counts)]))
        """
    assert run(code, PYTHONASYNCIODEBUG="1") == [[[200, 200, 200]] * 2, [], True, {}]
