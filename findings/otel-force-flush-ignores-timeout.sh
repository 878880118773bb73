#!/usr/bin/env bash
# OpenTelemetry SDK 1.45.2 for Python: TracerProvider.force_flush(100) takes as long as the exporter does, and says True.
#
# Expected: the argument is a bound in milliseconds: after 0.1 s force_flush() returns False, as its docstring and the
# specification have it, so it can be called at the end of a task or in a lifespan's shutdown.
# Seen: BatchSpanProcessor exports all that is queued in the calling thread and looks at no clock: three batches of a
# collector that takes a second each are 3 s, and the answer is True. In an async view or a consumer that is 3 s in which
# the event loop stands still. The metric reader of the same SDK passes the 100 ms on to its exporter.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check opentelemetry-sdk==1.45.2
cat >"$dir/flush.py" <<'PY'
import asyncio
import sys
import time
from importlib.metadata import version

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

timeouts = []


class SlowSpans(SpanExporter):
    def export(self, spans):
        time.sleep(1)
        return SpanExportResult.SUCCESS


class Metrics(MetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        timeouts.append(timeout_millis)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass


async def main():
    longest, last = 0.0, time.monotonic()

    async def tick():
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    ticker = asyncio.create_task(tick())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(SlowSpans(), max_export_batch_size=10, schedule_delay_millis=60_000))
    for _ in range(9):
        provider.get_tracer("site").start_span("page").end()
    await asyncio.sleep(0.1)
    for _ in range(9):
        with provider.get_tracer("site").start_as_current_span("page"):
            pass
    start = time.monotonic()
    result = provider.force_flush(100)
    took = time.monotonic() - start
    await asyncio.sleep(0.05)
    ticker.cancel()
    return result, took, longest


result, took, longest = asyncio.run(main())
meters = MeterProvider([PeriodicExportingMetricReader(Metrics(), export_interval_millis=60_000)], shutdown_on_exit=False)
meters.get_meter("site").create_counter("orders").add(1)
meters.force_flush(100)
print("opentelemetry-sdk", version("opentelemetry-sdk"))
print(f"TracerProvider.force_flush(100): {result} after {took:.1f} s, the loop stood still for {longest:.1f} s")
print(f"MeterProvider.force_flush(100): its exporter is given {timeouts[0]:.0f} ms")
sys.exit(result is not True or took < 1.5 or longest < 1.5 or timeouts[0] > 100)
PY
"$dir/venv/bin/python" "$dir/flush.py"
