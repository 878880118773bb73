#!/usr/bin/env bash
# OpenTelemetry JavaScript's OTLP serializers 0.223.1: the same span has other attribute values as JSON than as protobuf, and
# one large float makes a body that protobuf's own JSON parser (protobuf 7.36.2, opentelemetry-proto 1.45.2) refuses.
#
# Expected: OTEL_EXPORTER_OTLP_PROTOCOL is a matter of taste: http/json and http/protobuf carry the same values; a
# double stays a double, and what is not a finite number is "NaN" or "Infinity", as proto3's JSON mapping has it.
# Seen: in protobuf 1e21 is a double, as JSON it is {"intValue": 1e+21}, which is outside of int64: json_format.Parse()
# raises, so a collector that uses it answers 400 and the spans beside it are lost, too. NaN and Infinity are null, that
# is: no value. And in both encodings 5.0 is an int and 5.5 a double, so one attribute changes its type from span to span.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  opentelemetry-proto==1.45.2 protobuf==7.36.2
cat >"$dir/encode.mjs" <<'JS'
import { writeFileSync } from "node:fs";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.getTracer("site").startSpan("page", {
  attributes: { half: 5.5, whole: 5.0, nan: NaN, infinite: Infinity, large: 1e21 },
}).end();
writeFileSync("body.json", JsonTraceSerializer.serializeRequest(exporter.getFinishedSpans()));
writeFileSync("body.bin", ProtobufTraceSerializer.serializeRequest(exporter.getFinishedSpans()));
JS
cat >"$dir/compare.py" <<'PY'
import json
import sys
from importlib.metadata import version

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

body = json.load(open("body.json"))
as_json = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
request = ExportTraceServiceRequest.FromString(open("body.bin", "rb").read())
as_protobuf = request.resource_spans[0].scope_spans[0].spans[0].attributes
print("opentelemetry-proto", version("opentelemetry-proto"), "protobuf", version("protobuf"))
seen = []
for in_json, in_protobuf in zip(as_json, as_protobuf, strict=True):
    kind = in_protobuf.value.WhichOneof("value")
    line = f"{in_json['key']}: JSON {json.dumps(in_json['value'])}, protobuf {kind} {getattr(in_protobuf.value, kind)}"
    print(line)
    seen.append(line)
try:
    json_format.Parse(json.dumps(body), ExportTraceServiceRequest())
    refused = False
except json_format.ParseError as error:
    refused = "Value out of range" in str(error)
print("json_format.Parse() refuses the body:", refused)
expected = [
    'half: JSON {"doubleValue": 5.5}, protobuf double_value 5.5',
    'whole: JSON {"intValue": 5}, protobuf int_value 5',
    'nan: JSON {"doubleValue": null}, protobuf double_value nan',
    'infinite: JSON {"doubleValue": null}, protobuf double_value inf',
    'large: JSON {"intValue": 1e+21}, protobuf double_value 1e+21',
]
sys.exit(seen != expected or not refused)
PY
cd "$dir"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.0 @opentelemetry/otlp-transformer@0.223.1 @opentelemetry/sdk-trace-base@2.12.1
node encode.mjs
"$dir/venv/bin/python" compare.py
