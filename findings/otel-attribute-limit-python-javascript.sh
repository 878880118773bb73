#!/usr/bin/env bash
# OpenTelemetry SDK 1.45.2 for Python and 2.12.1 for JavaScript: over the limit of 128 attributes a span, Python throws
# away the first ones, JavaScript the last ones.
#
# Expected: one limit, one behaviour: the specification says that an attribute that comes when the limit is reached is
# dropped, so what an instrumentation sets at the start (method, route, peer) stays.
# Seen: JavaScript does that. In Python each new attribute pushes the oldest one out: a view that adds 128 attributes of
# its own to the server span (a form's fields, flags, timings) leaves a span without http.request.method and http.route,
# which then belongs to no route of any dashboard. Both count the same number of dropped attributes, and both keep the
# newest of too many events.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check opentelemetry-sdk==1.45.2
cat >"$dir/limit.py" <<'PY'
import logging
from importlib.metadata import version

from opentelemetry.sdk.trace import TracerProvider

logging.disable()
span = TracerProvider().get_tracer("site").start_span(
    "page", attributes={"http.request.method": "GET", "http.route": "orders/"}
)
for i in range(128):
    span.set_attribute(f"field.{i}", i)
for i in range(130):
    span.add_event(f"event {i}")
print("Python", version("opentelemetry-sdk"), "first attribute:", next(iter(span.attributes)), "last:",
      list(span.attributes)[-1], "dropped:", span.dropped_attributes, "first event:", span.events[0].name)
PY
cat >"$dir/limit.mjs" <<'JS'
import { createRequire } from "node:module";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const { version } = createRequire(import.meta.url)("@opentelemetry/sdk-trace-base/package.json");
const span = new BasicTracerProvider().getTracer("site").startSpan("page", {
  attributes: { "http.request.method": "GET", "http.route": "orders/" },
});
for (let i = 0; i < 128; i++) span.setAttribute(`field.${i}`, i);
for (let i = 0; i < 130; i++) span.addEvent(`event ${i}`);
const names = Object.keys(span.attributes);
console.log("JavaScript", version, "first attribute:", names[0], "last:", names.at(-1),
            "dropped:", span.droppedAttributesCount, "first event:", span.events[0].name);
JS
cd "$dir"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.0 @opentelemetry/sdk-trace-base@2.12.1
output=$("$dir/venv/bin/python" limit.py; node limit.mjs)
echo "$output"
expected="Python 1.45.2 first attribute: field.0 last: field.127 dropped: 2 first event: event 2
JavaScript 2.12.1 first attribute: http.request.method last: field.125 dropped: 2 first event: event 2"
[ "$output" = "$expected" ] || { echo "CHANGED, expected:"; echo "$expected"; exit 1; }
