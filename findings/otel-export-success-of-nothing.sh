#!/usr/bin/env bash
# opentelemetry-exporter-otlp-proto-http 1.45.2: spans that no collector took count as exported, without a log line.
#
# Expected: spans that were not stored leave a trace: a redirect is followed or is an error, an answer with a
# partial_success that rejects spans is logged as a warning (OTLP's specification asks for that), and a page of HTML in
# place of an OTLP answer is an error.
# Seen: export() returns SUCCESS for all three and logs nothing. A redirect is neither followed nor complained of. So
# behind a proxy that sends http to https, or to a sign-in page, every span of a site is gone, and the only ones who know
# are the proxy's access log and an empty dashboard.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  opentelemetry-exporter-otlp-proto-http==1.45.2 \
  opentelemetry-sdk==1.45.2
cat >"$dir/export.py" <<'PY'
import http.server
import io
import logging
import sys
import threading
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider

rejection = ExportTraceServiceResponse()
rejection.partial_success.rejected_spans = 1
rejection.partial_success.error_message = "too old"
protobuf = {"Content-Type": "application/x-protobuf"}
answers = {
    "stored": (200, protobuf, b""),
    "rejected in part": (200, protobuf, rejection.SerializeToString()),
    "page of HTML": (200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>"),
    "moved permanently": (301, {"Location": "/elsewhere"}, b""),
    "sign-in": (302, {"Location": "/login"}, b""),
    "temporary redirect": (307, {"Location": "/elsewhere"}, b""),
    "refused": (400, protobuf, b""),
}
paths = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        paths.append(self.path)
        status, headers, body = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
log = io.StringIO()
logging.basicConfig(stream=log, level=logging.WARNING)
span = TracerProvider(shutdown_on_exit=False).get_tracer("site").start_span("page")
span.end()
exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_address[1]}/v1/traces")
print("opentelemetry-exporter-otlp-proto-http", version("opentelemetry-exporter-otlp-proto-http"))
seen = {}
for name, answer in answers.items():
    paths.clear()
    result = exporter.export([span]).name
    lines = len(log.getvalue().splitlines())
    log.seek(0)
    log.truncate()
    seen[name] = (result, lines, len(paths))
    print(f"{answer[0]} {name}: {result}, log lines {lines}, requests {len(paths)}")
expected = {name: ("SUCCESS", 0, 1) for name in answers} | {"refused": ("FAILURE", 1, 1)}
sys.exit(seen != expected)
PY
"$dir/venv/bin/python" "$dir/export.py"
