#!/usr/bin/env bash
# protobuf 7.36.2 with opentelemetry-proto 1.45.2: json_format reads OTLP/JSON without an error, and gets every id wrong.
#
# Expected: the standard JSON parser of protobuf either reads an OTLP/JSON body or refuses it.
# Seen: OTLP/JSON has trace and span ids in hexadecimal, protobuf's JSON has bytes in base64. Each hexadecimal id is valid
# base64, so Parse() returns a request whose trace id has 24 bytes in place of 16 and whose span id has 12 in place of 8.
# Back to JSON by the same library all looks well: MessageToJson() writes the same letters. So a test of a round trip
# passes, while what is stored has no span in common with the traces that came as protobuf. The other way round its
# output has enums as names, which OTLP forbids.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  opentelemetry-proto==1.45.2 protobuf==7.36.2
cat >"$dir/parse.py" <<'PY'
import json
import sys
from importlib.metadata import version

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

trace_id, span_id = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
sent = {"traceId": trace_id, "spanId": span_id, "name": "page", "kind": 2, "startTimeUnixNano": "1544712660000000000"}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]})
request = json_format.Parse(body, ExportTraceServiceRequest())
span = request.resource_spans[0].scope_spans[0].spans[0]
back = json.loads(json_format.MessageToJson(request))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
print("protobuf", version("protobuf"), "opentelemetry-proto", version("opentelemetry-proto"))
print(f"trace id: {len(span.trace_id)} bytes, {span.trace_id.hex()}")
print(f"span id: {len(span.span_id)} bytes, {span.span_id.hex()}")
print("ids of the round trip are what was sent:", (back["traceId"], back["spanId"]) == (trace_id, span_id))
print("kind of the round trip:", back["kind"])
sys.exit((len(span.trace_id), len(span.span_id), back["traceId"], back["spanId"], back["kind"])
         != (24, 12, trace_id, span_id, "SPAN_KIND_SERVER"))
PY
"$dir/venv/bin/python" "$dir/parse.py"
