"""What goes wrong in asgiscope, or is held up, leaves nothing behind and keeps nobody waiting."""

import threading
from typing import Any

import pytest
from asgiscope.export import outbox
from asgiscope.metrics import aggregator
from asgiscope.metrics.aggregator import Aggregator
from asgiscope.records.scope import Request

from tests.instrumentation.processes import run


def test_a_sending_thread_that_is_held_up_leaves_no_mountain_to_a_request() -> None:
    """A collector that hangs keeps it: whoever finds the inbox full adds up a little, and all is counted."""
    tallies = Aggregator()
    before = 0
    for number in range(aggregator._INBOX + 500):
        request = Request(None, 1, "GET", "/")
        request.template, request.ended = "/", number + 1
        tallies.ended(request)
        added = before + 1 - len(tallies._inbox)
        assert added <= aggregator._AT_ONCE
        before = len(tallies._inbox)
        assert before <= aggregator._INBOX
    assert tallies.take().requests["/"].duration.count == aggregator._INBOX + 500


def test_a_thread_that_cannot_be_started_now_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have as many threads as it may for a moment; what was recorded then is sent."""
    monkeypatch.setattr(outbox, "_RETRY_S", 0.0)
    arrived: list[Any] = []

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    box = outbox.Outbox(lambda batch: arrived.extend(batch) or True, size=10, interval_s=0.01)  # type: ignore[func-returns-value] # one line
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert box.put("first")
    assert not box.started
    assert box.put("second")
    assert box.flush(10)
    box.close(5)
    assert arrived == ["first", "second"]


def test_a_failure_where_a_call_begins_leaves_nothing_behind() -> None:
    """No request in flight for ever, no thread that seems to be parked, no scope in force."""
    answer = run(
        """
        from asgiscope.records.scope import current
        made = instrumentor.active()
        recorder, ledger = made.recorder, made.ledger
        def broken(*args, **kwargs):
            raise ZeroDivisionError("made to fail")
        recorder.begun = broken
        statuses = [asyncio.run(ask("/plain/"))]
        recorder.begun = None
        made.pipeline.begin = broken
        statuses.append(asyncio.run(ask("/plain/")))
        made.watchdog.ensure_running = broken
        async def three():
            return 3
        statuses.append(async_to_sync(three)())
        print(json.dumps([statuses, len(ledger.requests), len(ledger.parked), recorder.threads.here.parked is None,
                          current.get() is None, sorted(internal_errors.counts)]))
        """
    )
    assert answer == [
        [200, 200, 3],
        *(0, 0, True, True),
        ["asgiref.async_to_sync", "handler.asgi", "handler.begun"],
    ]


def test_a_task_made_below_a_bridge_does_not_keep_what_the_bridge_was_called_with() -> None:
    """The task goes on, and remembers where it was made; not the object whose method was called."""
    answer = run(
        """
        import gc, weakref
        kept = []
        class Document:
            async def read(self):
                kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
        async def main():
            def below():
                document = Document()
                async_to_sync(document.read)()
                return weakref.ref(document)
            reference = await sync_to_async(below)()
            await asyncio.sleep(0)
            gc.collect()
            alive = reference() is not None
            kept[0].cancel()
            return alive
        print(json.dumps(asyncio.run(main())))
        """,
        OTEL_TRACES_SAMPLER="always_off",
    )
    assert answer is False


def test_patches_come_and_go_under_load() -> None:
    """Recordings and installations take turns while threads cross bridges: nothing fails, nothing is left over."""
    answer = run(
        """
        import threading, time
        from asgiscope import testing
        over, rounds, failed = threading.Event(), [], []
        async def back(number):
            return number + 1
        async def crosses():
            while not over.is_set():
                assert await sync_to_async(async_to_sync(back))(1) == 2
                assert await asyncio.to_thread(len, "abc") == 3
                await asyncio.sleep(0.001)
                rounds.append(1)
        async def three():
            await asyncio.gather(*(crosses() for _ in range(3)))
        def loop():
            try:
                asyncio.run(three())
            except BaseException as error:
                failed.append(repr(error))
                raise
        threads = [threading.Thread(target=loop) for _ in range(2)]
        for thread in threads: thread.start()
        for turn in range(12):
            with testing.record():
                time.sleep(0.01)
            if turn % 4 == 0:
                asgiscope.uninstrument()
                asgiscope.instrument()
        over.set()
        for thread in threads: thread.join()
        ledger = instrumentor.active().ledger
        left = [queue.id for queue in ledger.queues() if queue.waiting or queue.running]
        print(json.dumps([len(rounds) > 10, failed, left, len(ledger.parked), dict(internal_errors.counts)]))
        """,
        ASGISCOPE_EXIT_TIMEOUT_MS="100",
    )
    assert answer == [True, [], [], 0, {}]


def test_mail_backend_constructor_is_not_wrapped() -> None:
    """Django 6.1 warns of arguments by who calls `__init__`. Classes are seen that were there, and when made."""
    answer = run(
        """
        from django.core.mail.backends import locmem
        asgiscope.instrument()
        from django.core.mail.backends import filebased
        from django.core.mail.backends.base import BaseEmailBackend
        class Own(BaseEmailBackend):
            def __init_subclass__(cls, **kwargs):
                super().__init_subclass__(**kwargs)
            def send_messages(self, messages):
                return len(messages)
        class Below(Own):
            pass
        kinds = [type(vars(cls).get("send_messages")).__name__
                 for cls in (locmem.EmailBackend, filebased.EmailBackend, Own, Below)]
        sent = Below().send_messages(["one"])
        plain = type(vars(BaseEmailBackend)["__init__"]).__name__
        asgiscope.uninstrument()
        after = [name for name in ("__init_subclass__",) if name in vars(BaseEmailBackend)]
        print(json.dumps([kinds, sent, plain, after, type(vars(Own)["send_messages"]).__name__]))
        """,
        bare=True,
    )
    assert answer == [["FunctionWrapper"] * 4, 1, "function", [], "function"]


def test_a_request_that_is_closed_in_another_context_ends_without_a_complaint() -> None:
    """As the garbage collector does with what is dropped: OpenTelemetry logs no error for it."""
    answer = run(
        """
        import contextvars, logging
        from django.core.handlers.asgi import ASGIHandler
        told = []
        class Keep(logging.Handler):
            def emit(self, record):
                told.append(record.getMessage())
        logging.getLogger("opentelemetry").addHandler(Keep())
        async def main():
            async def receive():
                await asyncio.Event().wait()
            scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
            request = ASGIHandler()(scope, receive, receive)
            contextvars.Context().run(request.send, None)
            try:
                request.close()
            except ValueError:
                pass  # asgiref's ThreadSensitiveContext has the same trouble
        asyncio.run(main())
        made = instrumentor.active()
        print(json.dumps([told, len(made.ledger.requests), dict(internal_errors.counts)]))
        """
    )
    assert answer == [[], 0, {"handler.reset": 1}]
