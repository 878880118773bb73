"""`asgiscope.testing.record()`: what it sees, what it leaves alone, and that it says the same as the collector."""

import textwrap
from pathlib import Path
from typing import Any

from tests.instrumentation.processes import run
from tests.sink import Sink

_CLIENT = """
import time
from asgiscope.testing import record
from django.test import AsyncClient
def blocked(seen):  # on a busy machine a loop may get no processor, which is nobody's doing
    return [stall for stall in seen.stalls if not stall.starved]
"""


def recorded(code: str, *, bare: bool = False, **env: str) -> Any:
    """Run code that records, in a process of its own."""
    return run(_CLIENT + textwrap.dedent(code), bare=bare, check=True, **env)


def test_a_recording_takes_the_place_of_an_installation_and_gives_it_back(database: Path) -> None:
    """Nothing that is recorded is sent; before and after it, everything is. Threads and patches are put back."""
    with Sink() as sink:
        answer = recorded(
            """
            import threading
            def threads():
                return sorted(t.name for t in threading.enumerate() if t.name.startswith("asgiscope"))
            before = instrumentor.active()
            call = vars(SyncToAsync)["__call__"]
            async def first(): pass
            async def ask(call):
                await sync_to_async(call)("abc")
            def before_it(text): pass
            def during_it(text): pass
            def after_it(text): pass
            asyncio.run(ask(before_it))
            with record() as seen:
                assert instrumentor.active() is not before
                asyncio.run(ask(during_it))
            assert instrumentor.active() is before
            asyncio.run(ask(after_it))
            asyncio.run(ask(before_it))
            before.pipeline.flush(10)
            print(json.dumps([[c.function for c in seen.calls], threads()]))
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
            ASGISCOPE_EXIT_TIMEOUT_MS="5000",
            SITE_DB=str(database),
        )
        names = [span.name for span in sink.spans if span.name.startswith("sync_to_async")]
    assert answer == [["during_it"], ["asgiscope-export", "asgiscope-watchdog"]]
    assert names == ["sync_to_async before_it", "sync_to_async after_it", "sync_to_async before_it"]


def test_without_an_installation_nothing_stays() -> None:
    """The very objects that were there, no thread, no TracerProvider."""
    answer = recorded(
        """
        import threading
        from django.test.client import AsyncClientHandler, ClientHandler
        from opentelemetry import trace
        places = [(SyncToAsync, "__call__"), (AsyncClientHandler, "__call__"), (ClientHandler, "__call__"),
                  (asyncio.BaseEventLoop, "run_forever")]
        before = [vars(owner)[name] for owner, name in places]
        async def main():
            await AsyncClient().get("/plain/")
        with record() as seen:
            during = [vars(owner)[name] for owner, name in places]
            asyncio.run(main())
        after = [vars(owner)[name] for owner, name in places]
        print(json.dumps([
            [r.path for r in seen.requests],
            [a is b for a, b in zip(before, during)], [a is b for a, b in zip(before, after)],
            instrumentor.active() is None, type(trace.get_tracer_provider()).__name__,
            [t.name for t in threading.enumerate() if t.name.startswith("asgiscope")],
        ]))
        """,
        bare=True,
    )
    assert answer == [["/plain/"], [False] * 4, [True] * 4, True, "ProxyTracerProvider", []]


def test_what_is_seen_is_there_at_once(database: Path) -> None:
    """In the coroutine that blocks, before the loop has had a turn; in recordings within one another."""
    answer = recorded(
        """
        async def main():
            with record() as outer:
                with record() as inner:
                    time.sleep(0.1)
                    seen = [round(stall.blocked_ms, -1) for stall in blocked(inner)]
                await AsyncClient().get("/sync-view/")
                return [seen, len(blocked(inner)), len(inner.requests), len(blocked(outer)), len(outer.requests)]
        first = asyncio.run(main())
        with record() as seen:
            asyncio.run(sync_to_async(len)("abc"))
        from asgiscope import uninstrument
        print(json.dumps([first, len(seen.calls), len(seen.requests)]))
        """,
        bare=True,
        SITE_DB=str(database),
    )
    (blocked, inner_stalls, inner_requests, outer_stalls, outer_requests), calls, requests = answer
    assert len(blocked) == inner_stalls == outer_stalls == 1
    assert 90 <= blocked[0] <= 200
    assert (inner_requests, outer_requests, calls, requests) == (0, 1, 1, 0)


def test_a_loop_that_runs_again_is_seen_from_its_first_turn() -> None:
    """And the time between its runs is not held against it."""
    answer = recorded(
        """
        async def block(seconds):
            time.sleep(seconds)
        with record() as seen, asyncio.Runner() as runner:
            runner.run(block(0))
            time.sleep(0.2)
            runner.run(block(0))
            between = len(blocked(seen))
            time.sleep(0.2)
            runner.run(block(0.1))
        print(json.dumps([between, [stall.site.function for stall in blocked(seen)]]))
        """,
        bare=True,
    )
    assert answer == [0, ["block"]]


def test_bounds_and_what_is_not_held_against_a_test() -> None:
    """An import on the loop is recorded and let pass; a call within its bound too; without Django it says so."""
    answer = recorded(
        """
        import pathlib, tempfile
        from asgiscope.testing import NotReady
        folder = tempfile.mkdtemp()
        pathlib.Path(folder, "slow_module.py").write_text("import time; time.sleep(0.4)")
        sys.path.insert(0, folder)
        async def main():
            import slow_module
        with record() as seen:
            asyncio.run(main())
        (stall,) = blocked(seen)
        seen.check()
        import django.apps
        django.apps.apps.ready = False
        try:
            with record():
                says = ""
        except NotReady as error:
            says = str(error)
        print(json.dumps([stall.importing, stall.blocked_ms > 50, says]))
        """,
        bare=True,
    )
    assert answer[:2] == [True, True]
    assert "set DJANGO_SETTINGS_MODULE and call django.setup()" in answer[2]
