"""An OTLP/HTTP receiver that keeps what it is sent, for tests that look at spans before any collector does."""

import gzip
import http.server
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class SpanView:
    """A received span with its attributes as Python values."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.kind: int = span.kind
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.start: int = span.start_time_unix_nano
        self.end: int = span.end_time_unix_nano
        self.error: bool = span.status.code == 2
        self.attributes = _attributes(span.attributes)
        self.links = [
            (link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links
        ]
        self.resource = resource

    @property
    def duration(self) -> int:
        """Nanoseconds."""
        return self.end - self.start

    def __getitem__(self, key: str) -> Any:
        return self.attributes[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or the default."""
        return self.attributes.get(key, default)

    def __repr__(self) -> str:
        return f"<{self.name} {self.duration / 1e6:.1f} ms {self.attributes}>"


class Sink:
    """The receiver; a context manager. `answer`, `reply` and `headers` are what it answers."""

    def __init__(self) -> None:
        self.spans: list[SpanView] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.answer = 200
        self.reply = b""
        self.headers: dict[str, str] = {}
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if sink.answer == 200:
                    if self.path.endswith("/v1/metrics"):
                        sink.metrics.append(ExportMetricsServiceRequest.FromString(body))
                    else:
                        sink.take(body)
                self.send_response(sink.answer)
                for name, value in sink.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sink.reply)))
                self.end_headers()
                self.wfile.write(sink.reply)

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, body: bytes) -> None:
        """Keep the spans of an OTLP request."""
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans.extend(SpanView(span, resource) for span in scope.spans)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, found: Callable[[list[SpanView]], Any], timeout_s: float = 60.0) -> Any:
        """Return what `found` makes of the spans as soon as that is true; fails with the spans seen otherwise."""
        deadline = time.monotonic() + timeout_s
        while not (result := found(list(self.spans))):
            if time.monotonic() > deadline:
                raise AssertionError("no such span among:\n" + "\n".join(map(repr, self.spans)))
            time.sleep(0.02)
        return result

    def named(self, name: str, timeout_s: float = 60.0) -> list[SpanView]:
        """Return the spans of this name, once there is one."""
        result: list[SpanView] = self.wait_for(lambda spans: [s for s in spans if s.name == name], timeout_s)
        return result

    def findings(self, kind: str, timeout_s: float = 60.0) -> list[SpanView]:
        """Return the spans that are evidence of a kind of finding, once there is one."""
        result: list[SpanView] = self.wait_for(
            lambda spans: [s for s in spans if s.get("asgiscope.finding") == kind], timeout_s
        )
        return result


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, which) if which else None
