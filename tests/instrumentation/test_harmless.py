"""asgiscope never harms its host: patches come off, failures stay inside, unsupported parts are left alone.

Each test runs in a process of its own.
"""

from pathlib import Path

import pytest

from tests.instrumentation.processes import run

_PATCHED = """
import concurrent.futures, django.utils.asyncio
from asgiref.current_thread_executor import CurrentThreadExecutor
from django.core.handlers import asgi, base, wsgi
from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper
from django.contrib.auth import hashers
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.storage import FileSystemStorage, Storage
from django.core.files.storage.handler import StorageHandler
from django.core.files.utils import FileProxyMixin
from django.core.mail import get_connection
from django.core.mail.backends import locmem
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models.signals import post_init, pre_init
from django.dispatch import Signal
from django.template.backends.django import Template
PLACES = [
    (SyncToAsync, "__call__"), (AsyncToSync, "__call__"), (CurrentThreadExecutor, "submit"),
    (concurrent.futures.ThreadPoolExecutor, "submit"), (django.utils.asyncio, "get_running_loop"),
    (utils.CursorWrapper, "execute"), (utils.CursorWrapper, "executemany"), (utils.CursorWrapper, "callproc"),
    (BaseDatabaseWrapper, "connect"), (base.BaseHandler, "load_middleware"), (base.BaseHandler, "resolve_request"),
    (base.BaseHandler, "get_response"), (base.BaseHandler, "get_response_async"), (asgi.ASGIHandler, "__call__"),
    (wsgi.WSGIHandler, "__call__"), (SessionStore, "load"), (SessionStore, "save"), (SessionStore, "aload"),
    (SessionStore, "flush"), (CacheHandler, "create_connection"), (LocMemCache, "get"), (LocMemCache, "get_many"),
    (Template, "render"), (Signal, "send"), (Signal, "send_robust"), (pre_init, "send"), (post_init, "send"),
    (hashers, "get_hasher"), (hashers.MD5PasswordHasher, "encode"), (hashers.MD5PasswordHasher, "verify"),
    (Storage, "open"), (Storage, "save"), (FileSystemStorage, "exists"), (StorageHandler, "create_storage"),
    (FileProxyMixin, "read"), (FileProxyMixin, "write"), (BaseEmailBackend, "__init_subclass__"),
    (locmem.EmailBackend, "send_messages"), (asyncio, "to_thread"),
]
def use():  # what is patched once it is first used
    caches["default"].get("key")
    hashers.get_hasher(hashers.MD5PasswordHasher())
    get_connection("django.core.mail.backends.locmem.EmailBackend")
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
use()
during = now()
assert not instrumentor.active().refused, instrumentor.active().refused
assert not [name for name in ("get_many", "get") if "wrapt" in type(vars(BaseCache)[name]).__module__]
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
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
def look():
    bridge = sync_to_async(len)
    coroutine = bridge("abc")
    seen = [
        inspect.iscoroutinefunction(SyncToAsync.__call__), inspect.iscoroutinefunction(bridge.__call__),
        asyncio.iscoroutine(coroutine), coroutine.__qualname__, str(inspect.signature(SyncToAsync.__call__)),
        inspect.iscoroutinefunction(AsyncToSync.__call__), SyncToAsync.__call__.__doc__,
        # Django 6.1 asks this to choose how `aget_many` crosses to a thread.
        [cache.get_many.__func__ is BaseCache.get_many for cache in (caches["default"], caches["files"])],
        caches["default"].get.__name__, str(inspect.signature(caches["default"].get)),
    ]
    return [*seen, asyncio.run(coroutine)]
print(json.dumps(look()))
"""
    assert run(code) == run(code, bare=True)


def test_a_bridge_wrapped_by_another_tool_after_us_passes_straight_through_once_we_are_off() -> None:
    """Ours cannot be cut out from below theirs: it stays, records nothing, and is still a coroutine function."""
    code = """
import wrapt
told = []
assert asgiscope.instrument()
ours = vars(SyncToAsync)["__call__"]
def theirs(wrapped, instance, args, kwargs):
    told.append(inspect.iscoroutinefunction(wrapped))
    return wrapped(*args, **kwargs)
SyncToAsync.__call__ = wrapt.FunctionWrapper(ours, theirs)
recorder = instrumentor.active().recorder
ended = []
recorder.finish_call = ended.append
async def main():
    return await sync_to_async(divmod)(7, 2)
answers = [asyncio.run(main())]
asgiscope.uninstrument()
answers.append(asyncio.run(main()))
SyncToAsync.__call__ = ours  # the other tool goes, too, and puts back what it found
answers.append(asyncio.run(main()))
assert asgiscope.instrument()
answers.append(asyncio.run(main()))
print(json.dumps([answers, told, len(ended), inspect.iscoroutinefunction(ours), dict(internal_errors.counts)]))
"""
    assert run(code, bare=True) == [[[3, 1]] * 4, [True, True], 1, True, {}]


def test_the_kill_switch_installs_nothing() -> None:
    """`ASGISCOPE_DISABLED=1`: no patch, no thread."""
    answer = run(_PATCHED + "print(json.dumps([type(x).__name__ for x in now()]))", ASGISCOPE_DISABLED="1")
    assert "FunctionWrapper" not in answer


def test_a_wrong_setting_leaves_the_site_alone() -> None:
    """One warning, no patch, no exception."""
    answer = run("print(json.dumps(instrumentor.active() is None))", ASGISCOPE_WAIT_MS="soon")
    assert answer is True


_FAULTS = {
    "asgiref": ("asgiscope.bridge", "nearest_app_frame_or_library"),
    "asgiref tags": ("asgiscope.recorder.Recorder", "attach_context"),
    "asgiref settle": ("asgiscope.recorder.Recorder", "finish_call"),
    "executor": ("asgiscope.bridge", "_submit_call"),
    "executor start": ("asgiscope.contention.queue.Queue", "start"),
    "executor end": ("asgiscope.contention.queue.Queue", "end"),
    "guard": ("asgiscope.probes.django_core.guard", "chain"),
    "operations": ("asgiscope.recorder.Recorder", "start_operation"),
    "operations end": ("asgiscope.recorder.Recorder", "finish_operation"),
    "orm": ("asgiscope.probes.django_core.orm", "describe_statement"),
    "connections": ("asgiscope.probes.django_core.connections.Connections", "_remember"),
    "ongoing": ("asgiscope.event_loop.ongoing.Ongoing", "_forget"),
    "request begin": ("asgiscope.probes.django_core.handler", "begin"),
    "request end": ("asgiscope.contention.queue.Ledger", "finish"),
    "outbox": ("asgiscope.export.outbox.Outbox", "put"),
    "spans": ("asgiscope.export.spans.SpanMaker", "make"),
    "watchdog": ("asgiscope.event_loop.watchdog.Watchdog", "watch"),
    "sampling": ("asgiscope.export.pipeline.Pipeline", "_decide"),
}


_UNGUARDED_FAULTS = (
    (
        "asgiscope.export.resolve.hops",
        "reason",
    ),  # first, while the exporter does not yet know that nobody listens
    ("asgiscope.recorder.Recorder", "start_unguarded"),
    ("asgiscope.recorder.Recorder", "finish_operation"),
    ("asgiscope.probes.operations.Work", "_leave"),
    ("asgiscope.probes.operations.Classes", "see"),
    ("asgiscope.event_loop.accept_delay", "_Kept"),
    ("asgiscope.probes.django_core.sessions", "sc"),
    ("asgiscope.probes.django_core.sessions", "call_site"),
    ("asgiscope.probes.django_core.caches", "dotted"),
    ("asgiscope.probes.django_core.templates", "sc"),
    ("asgiscope.probes.django_core.signals", "sc"),
    ("asgiscope.probes.django_core.hashing", "sc"),
    ("asgiscope.probes.django_core.files", "sc"),
    ("asgiscope.probes.django_core.mail", "count"),
    ("asgiscope.probes.django_core.responses", "call_site"),
    ("asgiscope.event_loop.watchdog.LoopWatch", "seen"),
)
"""What probes of work without a guard run themselves, each made to raise in turn, in one process."""
_FAULTY = """
import pydoc, logging
from django.core.handlers.asgi import ASGIHandler
logging.disable(logging.CRITICAL)
def broken(*args, **kwargs):
    raise ZeroDivisionError("made to fail")
async def faults_of(owner, name, paths):
    before = sum(internal_errors.counts.values())
    owner = pydoc.locate(owner)
    whole = getattr(owner, name)
    setattr(owner, name, broken)
    handler = ASGIHandler()
    answers = [await ask(path, handler) for path in paths]
    await asyncio.to_thread(instrumentor.active().pipeline.outbox.flush, 0.6)
    setattr(owner, name, whole)
    return answers, sum(internal_errors.counts.values()) - before
"""


@pytest.mark.parametrize("place", list(_FAULTS))
def test_a_failure_inside_never_reaches_the_site(place: str, database: Path) -> None:
    """Each part of our own code is made to raise: every page answers as before, and the fault is counted."""
    pages = ("gathered", "sync-view", "async-orm", "parks", "orm-on-loop", "raises", "timeout")
    call = f"faults_of(*{_FAULTS[place]!r}, {[f'/{page}/' for page in pages]!r})"
    answers, counted = run(f"{_FAULTY}\nprint(json.dumps(asyncio.run({call})))", SITE_DB=str(database))
    assert answers == [200, 200, 200, 200, 500, 200, 200]
    assert counted > 0


def test_a_failure_in_a_probe_never_reaches_the_site(database: Path) -> None:
    """The same of the probes of what Django does without a guard, of sessions and of responses."""
    pages = (
        *(
            "touches",
            "slow-cache",
            "slow-template",
            "slow-signal",
            "hash-password",
            "slow-storage",
            "saved-file",
        ),
        *("mail", "sync-stream"),
    )
    loop = (
        f"[await faults_of(*place, {[f'/{page}/' for page in pages]!r}) for place in {_UNGUARDED_FAULTS!r}]"
    )
    code = f"{_FAULTY}\nasync def main():\n    return {loop}\nprint(json.dumps(asyncio.run(main())))"
    found = run(f"import warnings; warnings.simplefilter('ignore')\n{code}", SITE_DB=str(database))
    assert len(found) == len(_UNGUARDED_FAULTS)
    for place, (answers, counted) in zip(_UNGUARDED_FAULTS, found, strict=True):
        assert answers == [200] * len(pages), place
        assert counted > 0, place


def test_an_unsupported_part_is_left_alone() -> None:
    """A Django whose cursor wrapper is not the one we know: everything else works."""
    answer = run(
        """
        from django.db.backends import utils
        real = utils.CursorWrapper.callproc
        del utils.CursorWrapper.callproc
        asgiscope.instrument()
        made = instrumentor.active()
        print(json.dumps([sorted(made.installed), made.refused, sorted(made.probes())]))
        """,
        bare=True,
    )
    installed, refused, probes = answer
    assert refused == {"orm": "django's CursorWrapper has no callproc"}
    assert installed == [name for name in probes if name != "orm"]
    assert len(installed) > 15


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
        from asgiscope.records.scope import Request
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
