"""What a body may cost: elements, the memory of parsing, and a sender's share of the spool."""

import asyncio
import gzip
import json
import math
import threading
from pathlib import Path

import httpx
import pytest
from asgiscope_collector.ingest.bounds import ParsingBudget, TooManyElementsError, parsing_memory
from asgiscope_collector.ingest.inbox import senders_of
from asgiscope_collector.ingest.mistyped import Lookout, drop_mistyped
from asgiscope_collector.ingest.values import may_nest
from asgiscope_collector.wal.journal import Journal
from asgiscope_collector.wal.spool import Spool, SpoolUnavailableError
from google.protobuf import json_format  # type: ignore[import-untyped] # protobuf ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.conftest import Running
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender

MANY = 1_000_000
JSON_HEADERS = {"Content-Type": "application/json"}


def element(tag: int, body: bytes) -> bytes:
    """Return a field of protobuf with its length."""
    length, out = len(body), bytearray([tag])
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    return bytes(out) + bytes([length]) + body


def spans(count: int) -> Sender:
    """Return what asgiscope sends of so many requests with a stall each."""
    sender = Sender("shop", resource={"service.version": "1"})
    for _ in range(count):
        request = sender.request("GET", "/", hops=3, wait_ns=5)
        sender.stall(request, blocked_ns=50 * MS)
    return sender


SPAN = element(10, element(18, element(18, b"")))
DENSE = {
    "resources": element(10, b"") * MANY,
    "scopes": element(10, element(18, b"") * MANY),
    "spans": element(10, element(18, element(18, b"") * MANY)),
    "attributes": element(10, element(18, element(18, element(0x4A, b"") * MANY))),
    "values": element(10, element(18, element(18, element(0x4A, element(18, b"")) * MANY))),
    "events": element(10, element(18, element(18, element(0x5A, b"") * MANY))),
    "resources beside text": element(10, b"") * 60_000 + element(0x7A, b"x" * 20 * MANY),
}


@pytest.mark.parametrize("what", DENSE)
def test_dense_protobuf_body_is_refused_before_it_is_parsed(what: str) -> None:
    """Wherever in the message the elements are."""
    with pytest.raises(TooManyElementsError, match="smaller batches"):
        parsing_memory(DENSE[what], json=False)


def test_dense_json_body_is_refused_but_text_with_braces_is_not() -> None:
    """Braces within text are no objects."""
    with pytest.raises(TooManyElementsError):
        parsing_memory(b'{"resourceSpans":[' + b"{}," * MANY + b"{}]}", json=True)
    with pytest.raises(TooManyElementsError):
        parsing_memory(b"[" * MANY, json=True)
    text = json.dumps({"resourceSpans": [{"schemaUrl": '{[\\"' * MANY}]}).encode()
    assert parsing_memory(text, json=True) > len(text)


def test_what_exporters_send_is_far_from_the_bounds() -> None:
    """In both encodings, up to the size of a body; and text that looks like tags is no element."""
    sender = spans(1000)
    request = sender.export()
    one = request.SerializeToString()
    assert parsing_memory(one * 40, json=False) < 12 * len(one) * 40
    written = json_format.MessageToJson(request, indent=None).encode()
    assert parsing_memory(written, json=True) < 40 * len(written)
    sender.span("B" * MANY, attributes={"text": "zrjb" * MANY})
    parsing_memory(sender.body(), json=False)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (DENSE["resources"] * 2, PROTOBUF_HEADERS),
        (b'{"resourceSpans":[' + b"{}," * MANY + b"{}]}", JSON_HEADERS),
    ],
    ids=["protobuf", "json"],
)
def test_packed_body_of_empty_elements_is_answered_413(
    running: Running, body: bytes, headers: dict[str, str]
) -> None:
    """A few kilobytes on the wire; what comes after it is taken."""
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        answer = running.http.post(
            path, content=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"}
        )
        assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE, answer.text
        assert b"smaller batches" in answer.content
    running.send(spans(1))


def test_parsing_budget_admits_one_body_always_and_others_while_there_is_room() -> None:
    """Beside what is received; what has been parsed gives back its memory."""
    budget = ParsingBudget(100)
    with budget.hold(1_000, 0):
        with pytest.raises(SpoolUnavailableError, match="again later"), budget.hold(1, 0):
            pass
        assert budget.held == 1_000
    with budget.hold(50, 0):
        with pytest.raises(SpoolUnavailableError), budget.hold(40, 20):
            pass
        with budget.hold(40, 10):
            assert budget.held == 90
    assert budget.held == 0


def test_search_for_lists_is_bounded_in_bytes_that_look_like_them() -> None:
    """A body made of false signs of a list is walked instead, which is no slower."""
    assert may_nest(b"\x12\x05\x2a" * MANY)
    assert not may_nest(b"\x0a\x05shop\x01" * 1000)


@pytest.mark.parametrize("compress", [gzip.compress])
def test_every_member_of_a_packed_body_is_stored(running: Running, service: str, compress: object) -> None:
    """Two members one after the other are one body."""
    assert callable(compress)
    sender = Sender(service)
    sender.span("first")
    first = sender.body()
    sender.span("second")
    packed = compress(first) + compress(sender.body())
    answer = running.http.post(
        "/v1/traces", content=packed, headers={**PROTOBUF_HEADERS, "Content-Encoding": "gzip"}
    )
    assert answer.status_code == httpx.codes.OK
    running.wait_for(lambda: running.collector.spool.size == 0)
    rows = running.rows(
        "SELECT SpanName AS name FROM otel_traces WHERE ServiceName = {s:String} ORDER BY name", s=service
    )
    assert [row["name"] for row in rows] == ["first", "second"]


@pytest.mark.parametrize("kind", ["service", "token"])
def test_one_sender_cannot_fill_the_spool_while_others_send(tmp_path: Path, kind: str) -> None:
    """It is told to wait, others are not; alone it may have all; what is stored counts no more."""
    spool = Spool(
        tmp_path / "spool",
        Journal(tmp_path / "digests", keep_seconds=60),
        max_bytes=10_000,
        segment_bytes=100_000,
        sender_bytes=5_000,
    )

    def send(name: str, size: int) -> None:
        body = bytes(size)
        asyncio.run(spool.append("traces", body, name.encode().ljust(16, b"\0"), (f"{kind}:{name}",)))

    send("noisy", 6_000)
    send("quiet", 100)
    with pytest.raises(SpoolUnavailableError, match="while others send"):
        send("noisy", 10)
    send("quiet", 1_000)
    segment = spool.next_segment(age=0, timeout=30)
    assert segment is not None
    spool.remove(segment)
    send("noisy", 4_000)
    spool.close()


def test_senders_of_a_body_are_its_first_service_and_its_token() -> None:
    """The name is read off the bytes."""
    assert senders_of(spans(1).body(), "") == ("service:shop",)
    assert senders_of(Sender("x" * 120).body(), "abc") == (f"service:{'x' * 120}", "token:abc")
    assert senders_of(b"", "") == ("service:",)


def test_first_body_of_a_sender_with_a_field_of_the_wrong_type_loses_it_at_the_door(
    running: Running, service: str
) -> None:
    """The answer counts it, and the loader finds nothing to take apart; a field of a newer OTLP stays."""
    loader = running.collector.loader
    before = (loader.cleaned_bodies, loader.rejected_bodies, loader.failures)
    sender = Sender(service)
    sender.span("kept")
    wrong = b"\x08\x01"
    answer = running.http.post("/v1/traces", content=sender.body() + wrong, headers=PROTOBUF_HEADERS)
    assert b"1 values that OTLP cannot hold" in answer.content
    newer = Sender(f"{service}.newer")
    newer.span("kept")
    answer = running.http.post("/v1/traces", content=newer.body() + b"\xf8\x07\x01", headers=PROTOBUF_HEADERS)
    assert answer.content == b""
    running.wait_for(lambda: running.collector.spool.size == 0)
    assert (loader.cleaned_bodies, loader.rejected_bodies, loader.failures) == before
    rows = running.rows(
        "SELECT SpanName AS n FROM otel_traces WHERE startsWith(ServiceName, {s:String})", s=service
    )
    assert rows == [{"n": "kept"}] * 2


def test_fields_of_the_wrong_type_are_dropped_at_any_depth_and_others_stay() -> None:
    """In an attribute's value, in a list; nothing around them changes."""
    sender = Sender("s")
    sender.span("one", attributes={"a": 1, "b": ["x"]})
    clean = sender.export()
    request = ExportTraceServiceRequest()
    request.CopyFrom(clean)
    assert drop_mistyped(request) == 0
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes[0].value.MergeFromString(
        b"\x0a\x01a\x18\x07"
    )  # a text, then a number again: both are good
    span.attributes[1].value.array_value.values[0].MergeFromString(b"\x08\x01")  # a text as a number
    span.MergeFromString(b"\x2a\x03one\x28\x01")  # the name as a number
    assert drop_mistyped(request) == 2
    clean.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.int_value = 7
    assert request == clean


def test_one_body_per_sender_and_minute_is_checked_and_all_after_a_refusal() -> None:
    """By signal and sender; on a clock of the test's own."""
    now, refusing = [0.0], [False]
    lookout = Lookout(lambda: refusing[0], clock=lambda: now[0])
    assert [lookout.is_due(("traces", "a")) for _ in range(3)] == [True, False, False]
    assert lookout.is_due(("metrics", "a"))
    now[0] = 60.0
    assert [lookout.is_due(("traces", "a")) for _ in range(2)] == [True, False]
    refusing[0] = True
    assert lookout.is_due(("traces", "a"))


def values_dropped(running: Running) -> float:
    """Return how many values `/metrics` says were replaced or left out, on receipt or later."""
    name = "asgiscope_collector_repaired_values_total "
    lines = running.http.get("/metrics").text.splitlines()
    (value,) = [line.removeprefix(name) for line in lines if line.startswith(name)]
    return float(value)


def test_body_with_a_field_of_the_wrong_type_is_stored_without_it(
    running: Running, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine refuses it where protobuf keeps it as unknown; nothing is set aside, its neighbours are stored.

    It comes after a good one of its sender, so it is not looked at when it is received; those after it are.
    """
    loader = running.collector.loader
    # Another test may just have sent bad data: then this body would be cleaned before it is spooled.
    monkeypatch.setattr(loader, "_refused_at", -math.inf)
    before, dropped = (loader.cleaned_bodies, loader.rejected_bodies), values_dropped(running)
    senders = [Sender(service) for _ in range(9)]
    for number, sender in enumerate(senders):
        sender.span(f"span {number + 1}")

    def post(sender: Sender, extra: bytes) -> None:
        answer = httpx.post(
            f"{running.http.base_url}/v1/traces",
            content=sender.body() + extra,
            headers=PROTOBUF_HEADERS,
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.OK

    wrong = b"\x08\x01"  # resource_spans as a number
    first = Sender(service)
    first.span("span 0")
    post(first, b"")
    posting = [
        threading.Thread(target=post, args=(sender, wrong if number == 4 else b""))
        for number, sender in enumerate(senders)
    ]
    with loader.paused():
        for each in posting:
            each.start()
        for each in posting:
            each.join()
    running.wait_for(lambda: running.collector.spool.size == 0)
    assert loader.is_refusing
    assert (loader.cleaned_bodies, loader.rejected_bodies) == (before[0] + 1, before[1])
    assert values_dropped(running) == dropped + 1
    last = Sender(service)
    last.span("span x")
    post(last, wrong)
    running.wait_for(lambda: running.collector.spool.size == 0)
    assert loader.cleaned_bodies == before[0] + 1
    assert values_dropped(running) == dropped + 2
    rows = running.rows(
        "SELECT SpanName AS name FROM otel_traces WHERE ServiceName = {s:String} ORDER BY name", s=service
    )
    assert [row["name"] for row in rows] == [f"span {number}" for number in [*range(10), "x"]]
    running.collector.loader._refused_at = -1e9  # the session's other tests are not cleaned
