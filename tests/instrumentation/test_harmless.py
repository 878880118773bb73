"""asgiscope never harms its host: patches come off, failures stay inside, unsupported parts are left alone.

Each test runs in a process of its own: patches and a TracerProvider are for the life of a process.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.instrumentation.conftest import SITE

_PRELUDE = """
import asyncio, inspect, json, os, sys
import django
django.setup()
import asgiscope
from asgiscope import faults, instrumentor
from asgiref.sync import SyncToAsync, AsyncToSync, sync_to_async, async_to_sync
"""


def run(code: str, *, bare: bool = False, check: bool = True, **env: str) -> Any:
    """Run code in the test site's environment and read the JSON on its last line of output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PRELUDE + textwrap.dedent(code)],
        cwd=SITE,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there
            "ASGISCOPE_EXIT_TIMEOUT_MS": "200",
            **({"SITE_BARE": "1"} if bare else {}),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else done.stderr


_PATCHED = """
import concurrent.futures, django.utils.asyncio
from asgiref.current_thread_executor import CurrentThreadExecutor
from django.core.handlers import asgi, base, wsgi
from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper
from django.contrib.sessions.backends.db import SessionStore
PLACES = [
    (SyncToAsync, "__call__"), (AsyncToSync, "__call__"), (CurrentThreadExecutor, "submit"),
    (concurrent.futures.ThreadPoolExecutor, "submit"), (django.utils.asyncio, "get_running_loop"),
    (utils.CursorWrapper, "execute"), (utils.CursorWrapper, "executemany"), (utils.CursorWrapper, "callproc"),
    (BaseDatabaseWrapper, "connect"), (base.BaseHandler, "load_middleware"), (base.BaseHandler, "resolve_request"),
    (base.BaseHandler, "get_response"), (base.BaseHandler, "get_response_async"), (asgi.ASGIHandler, "__call__"),
    (wsgi.WSGIHandler, "__call__"), (SessionStore, "load"), (SessionStore, "save"), (SessionStore, "aload"),
    (SessionStore, "flush"), (asyncio, "to_thread"),
]
def now(): return [vars(owner).get(name) for owner, name in PLACES]
"""


def test_patches_come_off_and_leave_no_trace() -> None:
    """Every attribute is the very object it was; threads are gone."""
    answer = run(
        _PATCHED
        + """
import threading
before = now()
assert asgiscope.instrument()
during = now()
assert not instrumentor.active().refused, instrumentor.active().refused
asgiscope.uninstrument()
after = now()
print(json.dumps({
    "changed": sum(a is not b for a, b in zip(before, during)), "of": len(PLACES),
    "restored": sum(a is b for a, b in zip(before, after)),
    "threads": [t.name for t in threading.enumerate() if t.name.startswith("asgiscope")],
}))
""",
        bare=True,
    )
    assert answer["changed"] == answer["restored"] == answer["of"]
    assert answer["threads"] == []


def test_bridges_look_to_inspect_as_they_did() -> None:
    """Frameworks ask whether a callable is a coroutine function; the answer must not change."""
    code = """
def look():
    bridge = sync_to_async(len)
    coroutine = bridge("abc")
    seen = [
        inspect.iscoroutinefunction(SyncToAsync.__call__), inspect.iscoroutinefunction(bridge.__call__),
        asyncio.iscoroutine(coroutine), coroutine.__qualname__, str(inspect.signature(SyncToAsync.__call__)),
        inspect.iscoroutinefunction(AsyncToSync.__call__), SyncToAsync.__call__.__doc__,
    ]
    return [*seen, asyncio.run(coroutine)]
print(json.dumps(look()))
"""
    assert run(code) == run(code, bare=True)


def test_the_kill_switch_installs_nothing() -> None:
    """`ASGISCOPE_DISABLED=1`: no patch, no thread."""
    answer = run(_PATCHED + "print(json.dumps([type(x).__name__ for x in now()]))", ASGISCOPE_DISABLED="1")
    assert "FunctionWrapper" not in answer


def test_a_wrong_setting_leaves_the_site_alone() -> None:
    """One warning, no patch, no exception."""
    answer = run("print(json.dumps(instrumentor.active() is None))", ASGISCOPE_WAIT_MS="soon")
    assert answer is True


_FAULTS = {
    "asgiref": ("asgiscope.probes.asgiref.callsite", "near"),
    "asgiref tags": ("asgiscope.recorder.Recorder", "dress"),
    "asgiref settle": ("asgiscope.recorder.Recorder", "settle"),
    "executor": ("asgiscope.probes.executor", "_claim"),
    "executor start": ("asgiscope.ledger.Queue", "start"),
    "executor end": ("asgiscope.ledger.Queue", "end"),
    "guard": ("asgiscope.probes.guard", "chain"),
    "operations": ("asgiscope.recorder.Recorder", "enter"),
    "operations end": ("asgiscope.recorder.Recorder", "leave"),
    "orm": ("asgiscope.probes.orm", "_describe"),
    "sessions": ("asgiscope.probes.sessions", "_begin"),
    "request begin": ("asgiscope.probes.handler", "_begin"),
    "request end": ("asgiscope.ledger.Ledger", "finish"),
    "outbox": ("asgiscope.emit.outbox.Outbox", "put"),
    "spans": ("asgiscope.emit.spans.SpanMaker", "make"),
    "watchdog": ("asgiscope.watchdog.Watchdog", "watch"),
    "sampling": ("asgiscope.emit.pipeline.Pipeline", "_decide"),
}


@pytest.mark.parametrize("place", list(_FAULTS))
def test_a_failure_inside_never_reaches_the_site(place: str, database: Path) -> None:
    """Each part of our own code is made to raise: every page answers as before, and the fault is counted."""
    owner, name = _FAULTS[place]
    answer = run(
        f"""
        import importlib, pydoc
        owner = pydoc.locate({owner!r})
        def broken(*args, **kwargs):
            raise ZeroDivisionError("made to fail")
        setattr(owner, {name!r}, broken)
        from django.test import AsyncRequestFactory
        from django.core.handlers.asgi import ASGIHandler
        import urls
        handler = ASGIHandler()
        async def ask(path):
            scope = {{"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"",
                     "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80)}}
            sent = []
            sending = asyncio.Event()
            async def receive():
                if not sent:
                    sent.append(None)
                    return {{"type": "http.request", "body": b""}}
                await asyncio.Event().wait()
            status = []
            async def send(message):
                if message["type"] == "http.response.start":
                    status.append(message["status"])
            await handler(scope, receive, send)
            return status[0]
        async def main():
            return [await ask(path) for path in
                    ("/gathered/", "/sync-view/", "/async-orm/", "/parks/", "/orm-on-loop/", "/raises/",
                     "/timeout/")]
        import logging
        logging.disable(logging.CRITICAL)
        answers = asyncio.run(main())
        instrumentor.active().pipeline.outbox.flush(0.6)
        print(json.dumps({{"answers": answers, "faults": sum(faults.counts.values())}}))
        """,
        SITE_DB=str(database),
    )
    assert answer["answers"] == [200, 200, 200, 200, 500, 200, 200]
    assert answer["faults"] > 0


def test_an_unsupported_part_is_left_alone() -> None:
    """A Django whose cursor wrapper is not the one we know: everything else works."""
    answer = run(
        """
        from django.db.backends import utils
        real = utils.CursorWrapper.callproc
        del utils.CursorWrapper.callproc
        asgiscope.instrument()
        print(json.dumps([sorted(instrumentor.active().installed), instrumentor.active().refused]))
        """,
        bare=True,
    )
    installed, refused = answer
    assert refused == {"orm": "django's CursorWrapper has no callproc"}
    assert installed == ["asgiref", "executor", "guard", "handler", "process", "sessions"]


def test_another_tracer_provider_is_not_replaced() -> None:
    """Its spans keep their exporter, their parents and their trace; they get our tags."""
    answer = run(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        from asgiscope.scope import Request
        made = instrumentor.active()
        request = Request(None, 1, "GET", "/")
        token = made.pipeline.begin(request, lambda name: [])
        with trace.get_tracer("app").start_as_current_span("theirs"):
            pass
        made.pipeline.end(token)
        (span,) = exporter.get_finished_spans()
        print(json.dumps({
            "same": trace.get_tracer_provider() is provider, "parent": span.parent is not None,
            "role": span.attributes["asgiscope.thread.role"],
            "names": [s.name for s in exporter.get_finished_spans()],
        }))
        """
    )
    assert answer == {"same": True, "parent": False, "role": "main", "names": ["theirs"]}


def test_calls_that_wait_for_one_another_do_not_keep_each_other_alive() -> None:
    """Under contention that never ends, in traces that are sampled and in those that are not."""
    code = """
        import gc
        from asgiscope.ledger import Call
        instrumentor.active().pipeline._deliver = lambda records: [instrumentor.active().pipeline.maker.make(r)
                                                                   for r in records] != []
        instrumentor.active().pipeline.outbox._deliver = instrumentor.active().pipeline._deliver
        import time
        counts = []
        def work(last):
            time.sleep(0.001)  # so that somebody always waits
            if last:  # this call is alive, and so is all that it still refers to
                instrumentor.active().pipeline.outbox.flush(10)
                gc.collect()
                counts.append(sum(type(x) is Call for x in gc.get_objects()))
        async def client():
            for n in range(300):
                await sync_to_async(work)(n == 299)
        async def main():
            await asyncio.gather(*(asyncio.create_task(client()) for _ in range(4)))
            return counts
        print(json.dumps(asyncio.run(main())))
        """
    for sampler in ("always_on", "always_off"):
        assert max(run(code, OTEL_TRACES_SAMPLER=sampler)) < 250  # of 1,200


def test_a_task_that_outlives_its_request_is_no_longer_its() -> None:
    """And a task that starts its successor for ever does not grow a chain of parents."""
    answer = run(
        """
        from asgiscope.scope import Request, Scope, current
        recorder = instrumentor.active().recorder
        request = Request(None, 1, "GET", "/")
        current.set(request)
        during = recorder.enclosing() is request
        request.ended = 2
        scope = None
        for _ in range(1000):
            scope = Scope(scope, 1)
        length = 0
        while scope is not None:
            scope, length = scope.parent, length + 1
        print(json.dumps([during, recorder.enclosing() is None, length]))
        """
    )
    assert answer[:2] == [True, True]
    assert answer[2] <= 66


def test_submitted_functions_take_any_keyword() -> None:
    """Ours around them has no names of its own."""
    code = """
        from concurrent.futures import ThreadPoolExecutor
        def work(**kwargs):
            return sorted(kwargs)
        async def main():
            with ThreadPoolExecutor(1) as pool:
                return await asyncio.wrap_future(pool.submit(work, call=1, func=2, recorder=3, self_=4))
        print(json.dumps(asyncio.run(main())))
        """
    assert run(code) == run(code, bare=True) == ["call", "func", "recorder", "self_"]


def test_an_excluded_wsgi_request_that_raises_runs_once() -> None:
    """What the application raises is the application's."""
    answer = run(
        """
        from django.core.handlers.wsgi import WSGIHandler
        from django.test import RequestFactory
        ran = []
        def get_response(request):
            ran.append(request.path)
            raise LookupError("the application's own")
        handler = WSGIHandler()
        handler.get_response = get_response
        try:
            handler(RequestFactory().get("/health/").environ, lambda *args: None)
        except LookupError:
            pass
        print(json.dumps(ran))
        """,
        OTEL_PYTHON_DJANGO_EXCLUDED_URLS="health",
    )
    assert answer == ["/health/"]


def test_the_applications_objects_die_when_it_drops_them() -> None:
    """A record that waits for a collector names what ran; it does not hold it."""
    answer = run(
        """
        import gc, weakref
        class Document:
            def read(self):
                return 1
        alive = []
        async def main():
            for _ in range(20):
                document = Document()
                alive.append(weakref.ref(document))
                await sync_to_async(document.read)()
                await asyncio.to_thread(document.read)
        asyncio.run(main())
        gc.collect()
        print(json.dumps(sum(ref() is not None for ref in alive)))
        """,
        ASGISCOPE_SEND_INTERVAL_MS="3600000",
    )
    assert answer <= 1


def test_a_full_outbox_and_a_busy_queue_do_not_fill_the_memory() -> None:
    """A record that is dropped lets go of those it waited for."""
    answer = run(
        """
        import gc, time
        from asgiscope.ledger import Call
        counts = []
        def work(last):
            time.sleep(0.001)
            if last:
                gc.collect()
                counts.append(sum(type(x) is Call for x in gc.get_objects()))
        async def client():
            for n in range(300):
                await sync_to_async(work)(n == 299)
        async def main():
            await asyncio.gather(*(asyncio.create_task(client()) for _ in range(4)))
        asyncio.run(main())
        print(json.dumps([max(counts), instrumentor.active().pipeline.outbox.dropped]))
        """,
        ASGISCOPE_SEND_INTERVAL_MS="3600000",
        ASGISCOPE_QUEUE_SIZE="20",
    )
    assert answer[0] < 250  # of 1,200
    assert answer[1] > 500


def test_a_forked_child_is_a_process_of_its_own() -> None:
    """Its own pid in the resource, its own connection, its own counters; and it does not hang."""
    answer = run(
        """
        made = instrumentor.active()
        exporter = made.pipeline._exporter
        made.pipeline.outbox.dropped = 7
        read, write = os.pipe()
        child = os.fork()
        if not child:
            asyncio.run(sync_to_async(len)("abc"))
            mine = made.pipeline._resource.attributes["process.pid"] == os.getpid()
            seen = [mine, made.pipeline._exporter is not exporter, made.pipeline.outbox.dropped]
            os.write(write, json.dumps(seen).encode())
            os._exit(0)
        os.waitpid(child, 0)
        print(os.read(read, 100).decode())
        """
    )
    assert answer == [True, True, 0]


def test_a_loop_that_does_not_run_is_not_blocked() -> None:
    """Between two `run_until_complete`, the time is the application's own."""
    answer = run(
        """
        import time
        seen = []
        recorder = instrumentor.active().recorder
        recorder.stalled = lambda stall, thread: seen.append(stall.blocked_ns)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(sync_to_async(len)("abc"))
        loop.run_until_complete(asyncio.sleep(0.05))
        time.sleep(0.4)
        loop.run_until_complete(asyncio.sleep(0.05))
        between = list(seen)
        async def blocks():
            await asyncio.sleep(0.05)
            time.sleep(0.4)
            await asyncio.sleep(0.05)
        loop.run_until_complete(blocks())
        loop.close()
        print(json.dumps([between, len(seen)]))
        """
    )
    assert answer == [[], 1]


def test_loops_that_are_dropped_are_let_go() -> None:
    """Also those that nobody closed."""
    answer = run(
        """
        import gc, warnings, weakref
        warnings.simplefilter("ignore")
        loops = []
        def once():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(sync_to_async(len)("abc"))
            loops.append(weakref.ref(loop))
        for _ in range(10):
            once()
        gc.collect()
        print(json.dumps(sum(ref() is not None for ref in loops)))
        """
    )
    assert answer <= 1


def test_an_applications_runtime_error_is_not_a_refusal() -> None:
    """Only asgiref's own are, also where the executor is one we cannot see into."""
    answer = run(
        """
        from concurrent.futures import Executor, Future
        refused = []
        instrumentor.active().recorder.refused = lambda refusal: refused.append(refusal.message)
        class Inline(Executor):
            def submit(self, fn, *args, **kwargs):
                future = Future()
                try:
                    future.set_result(fn(*args, **kwargs))
                except Exception as error:
                    future.set_exception(error)
                return future
        def fail():
            raise RuntimeError("the application's own")
        async def main():
            try:
                await sync_to_async(fail, thread_sensitive=False, executor=Inline())()
            except RuntimeError as error:
                return str(error)
        print(json.dumps([asyncio.run(main()), refused]))
        """
    )
    assert answer == ["the application's own", []]


def test_what_utf8_cannot_carry_loses_nothing_else() -> None:
    """A lone surrogate in a name, and values of an application's span that OTLP has no type for."""
    answer = run(
        """
        from asgiscope.scope import Request
        made = instrumentor.active()
        request = Request(None, 1, "GET", "/caf" + chr(0xdce9))
        request.template = "/caf" + chr(0xdce9)
        request.extra = {"big": 1 << 80, "object": object(), "none": None, "list": [1, "x"]}
        request.ended = 2
        span = made.pipeline.maker.make(request)
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        encoded = encode_spans([span]).SerializeToString()
        print(json.dumps([span.name, str(span.attributes["big"]), "object" in span.attributes, len(encoded) > 0]))
        """
    )
    assert answer == ["GET /caf?", str(1 << 80), False, True]


def test_the_exit_of_the_interpreter_is_not_held_up() -> None:
    """With records unsent and nobody to take them."""
    answer = run(
        """
        async def main():
            await sync_to_async(len)("abc")
        asyncio.run(main())
        print(json.dumps(instrumentor.active().pipeline.outbox.delivered))
        """
    )
    assert answer == 0
