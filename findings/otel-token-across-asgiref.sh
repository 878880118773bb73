#!/usr/bin/env bash
# OpenTelemetry API 1.45.2 with asgiref 3.13.0: a context attached in one sync_to_async() call cannot be detached in the next.
#
# Expected: asgiref carries context variables into the thread and back, so attach() in one call and detach(token) in
# another (process_request and process_response of a synchronous middleware under ASGI) work as on one thread.
# Seen: only the values are carried. The token belongs to the copy of the context that the first call ran in:
# detach() logs "Failed to detach context" (ValueError) and leaves the span current. What the same task does afterwards,
# for its own next piece of work, too, is traced below a span that has ended.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  asgiref==3.13.0 opentelemetry-sdk==1.45.2
cat >"$dir/hops.py" <<'PY'
import asyncio
import io
import logging
import sys
from importlib.metadata import version

from asgiref.sync import sync_to_async
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider

log = io.StringIO()
logging.basicConfig(stream=log)
tracer = TracerProvider().get_tracer("site")


def process_request(span):
    return context.attach(trace.set_span_in_context(span))


def process_response(span, token):
    span.end()
    context.detach(token)


async def on_one_thread(span):
    process_response(span, process_request(span))


async def in_two_calls(span):
    token = await sync_to_async(process_request)(span)
    assert trace.get_current_span() is span
    await sync_to_async(process_response)(span, token)


async def run(serve):
    log.truncate(0)
    span = tracer.start_span("request")
    await serve(span)
    following = tracer.start_span("next piece of work")
    return following.parent is not None, "Failed to detach context" in log.getvalue()


print("opentelemetry-api", version("opentelemetry-api"), "asgiref", version("asgiref"))
seen = [asyncio.run(run(serve)) for serve in (on_one_thread, in_two_calls)]
for name, (below, logged) in zip(("on one thread", "in two sync_to_async() calls"), seen, strict=True):
    print(f"{name}: the next span is below the ended one: {below}, detach() failed: {logged}")
sys.exit(seen != [(False, False), (True, True)])
PY
"$dir/venv/bin/python" "$dir/hops.py"
