"""What the exporter makes of a collector's answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asgiscope.export.http import ExportResult, Sender
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.sink import Sink


@contextmanager
def answering(status: int, body: bytes = b"", content_type: str = "application/x-protobuf") -> Iterator[str]:
    """Serve one answer to every POST; yields the address."""
    with Sink() as sink:
        sink.answer, sink.reply = status, body
        sink.headers = {"Location": "/elsewhere", "Content-Type": content_type}
        yield sink.url


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, ExportResult.SUCCESS),
        (202, ExportResult.SUCCESS),
        (301, ExportResult.REFUSED),
        (302, ExportResult.REFUSED),
        (307, ExportResult.REFUSED),
        (308, ExportResult.REFUSED),
        (400, ExportResult.REFUSED),
        (503, ExportResult.UNREACHABLE),
    ],
)
def test_only_a_status_of_the_200s_is_a_success(status: int, result: ExportResult) -> None:
    """A redirect is not followed, because its body would be lost or sent to another host: it must not look sent."""
    with answering(status) as url:
        assert Sender("traces", url).post(b"", attempts=1) is result


def test_spans_left_out_by_a_partial_success_are_counted_with_the_reason() -> None:
    """Over all bodies."""
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 3
    partial.partial_success.error_message = "too old"
    with answering(200, partial.SerializeToString()) as url:
        sender = Sender("traces", url)
        assert [sender.post(b"", attempts=1) for _ in range(2)] == [ExportResult.SUCCESS] * 2
    assert (sender.rejected, sender.rejected_why) == (6, "too old")


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "text/html"])
def test_an_unreadable_body_of_a_success_is_ignored(content_type: str) -> None:
    """As a proxy may send one."""
    with answering(200, b"<html>", content_type) as url:
        sender = Sender("traces", url)
        assert sender.post(b"", attempts=1) is ExportResult.SUCCESS
    assert sender.rejected == 0
