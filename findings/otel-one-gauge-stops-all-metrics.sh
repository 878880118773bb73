#!/usr/bin/env bash
# opentelemetry-exporter-otlp-proto-http 1.45.2: one gauge beyond 64 bits stops every metric of the process, and
# force_flush() says True.
#
# Expected: OTLP's integers are signed 64-bit numbers and Python's have no bound, so a value such as 2**64 - 1 (how many C
# interfaces say "unlimited") is left out or sent as a double; the others arrive. With spans it is so: of an
# attribute that is too large only that attribute is missing.
# Seen: the whole batch is dropped when it is encoded: no request is made, the counters beside it are not sent either, at
# each interval as long as the gauge has that value. The log names the gauge; MeterProvider.force_flush() returns True.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2
cat >"$dir/gauge.py" <<'PY'
import http.server
import logging
import sys
import threading
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider

logging.disable()
received = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/metrics":
            resources = ExportMetricsServiceRequest.FromString(body).resource_metrics
            received.append([m.name for resource in resources for scope in resource.scope_metrics for m in scope.metrics])
        else:
            resources = ExportTraceServiceRequest.FromString(body).resource_spans
            spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
            received.append([(span.name, [attribute.key for attribute in span.attributes]) for span in spans])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_address[1]}"
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint + "/v1/metrics"), export_interval_millis=600_000)
provider = MeterProvider([reader], shutdown_on_exit=False)
meter = provider.get_meter("site")
orders, limit = meter.create_counter("orders"), meter.create_gauge("memory.limit")
seen = []


def flush(what):
    received.clear()
    orders.add(1)
    seen.append((provider.force_flush(), sorted(received[0]) if received else []))
    print(f"{what}: force_flush() {seen[-1][0]}, received {seen[-1][1]}")


print("opentelemetry-exporter-otlp-proto-http", version("opentelemetry-exporter-otlp-proto-http"))
limit.set(2**63 - 1)
flush("memory.limit = 2**63 - 1")
limit.set(2**64 - 1)
flush("memory.limit = 2**64 - 1")
flush("and again")
received.clear()
span = TracerProvider(shutdown_on_exit=False).get_tracer("site").start_span("page", attributes={"limit": 2**64 - 1, "user": 7})
span.end()
result = OTLPSpanExporter(endpoint=endpoint + "/v1/traces").export([span]).name
print(f"a span with such an attribute: {result}, received {received[0]}")
all_metrics = ["memory.limit", "orders"]
sys.exit(seen != [(True, all_metrics), (True, []), (True, [])] or received != [[("page", ["user"])]])
PY
"$dir/venv/bin/python" "$dir/gauge.py"
