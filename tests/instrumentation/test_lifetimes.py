"""What asgiscope keeps and for how long, and what is whose: records, objects, loops, processes, requests."""

from tests.instrumentation.processes import run


def test_calls_that_wait_for_one_another_do_not_keep_each_other_alive() -> None:
    """Under contention that never ends, in traces that are sampled and in those that are not."""
    code = """
        import gc
        from asgiscope.contention.queue import Call
        instrumentor.active().pipeline.outbox._deliver = lambda batch: True
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
        from asgiscope.records.scope import Request, Scope, current
        recorder = instrumentor.active().recorder
        request = Request(None, 1, "GET", "/")
        current.set(request)
        during = recorder.enclosing() is request
        request.ended = 2
        late = Scope(recorder.enclosing(), 3)
        after = late.request is None and late.parent is None and late.origin is request
        scope = None
        for _ in range(1000):
            scope = Scope(scope, 1)
        length = 0
        while scope is not None:
            scope, length = scope.parent, length + 1
        print(json.dumps([during, after, length]))
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
        from asgiscope.contention.queue import Call
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
        exporter = made.pipeline._sender
        made.pipeline.outbox.dropped = 7
        read, write = os.pipe()
        child = os.fork()
        if not child:
            asyncio.run(sync_to_async(len)("abc"))
            mine = made.pipeline._resource.attributes["process.pid"] == os.getpid()
            seen = [mine, made.pipeline._sender is not exporter, made.pipeline.outbox.dropped]
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
        import gc, time, warnings, weakref
        warnings.simplefilter("ignore")
        loops = []
        def once():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(sync_to_async(len)("abc"))
            loops.append(weakref.ref(loop))
        for _ in range(10):
            once()
        for _ in range(100):  # the watchdog may be looking at them just now
            gc.collect()
            left = sum(ref() is not None for ref in loops)
            if left <= 1:
                break
            time.sleep(0.05)
        print(json.dumps(left))
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
        from asgiscope.records.scope import Request
        made = instrumentor.active()
        request = Request(None, 1, "GET", "/caf" + chr(0xdce9))
        request.template = "/caf" + chr(0xdce9)
        request.extra = {"big": 1 << 80, "object": object(), "none": None, "list": [1, "x"]}
        request.ended = 2
        body = made.pipeline._body([made.pipeline._encoder.span(made.pipeline.maker.make(request))])
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        span = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0]
        attributes = {one.key: one.value for one in span.attributes}
        first, second = attributes["list"].array_value.values
        items = [first.int_value, second.string_value]
        print(json.dumps([span.name, attributes["big"].string_value, "object" in attributes, items]))
        """
    )
    assert answer == ["GET /caf?", str(1 << 80), False, [1, "x"]]
