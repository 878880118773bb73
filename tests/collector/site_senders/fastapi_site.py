"""A FastAPI service under one of several SDKs: `python fastapi_site.py SDK`. It answers three requests and ends.

`otel`, `logfire` and `sentry` set up a provider; ddtrace sends OTLP by its own settings.
"""

import contextlib
import os
import sqlite3
import sys
import threading
import time

SDK = sys.argv[1]
TRACES = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"

if SDK == "ddtrace":
    # It patches what is imported after it; all of these are in their own environments.
    import ddtrace.auto  # type: ignore[import-not-found] # noqa: F401

import httpx  # noqa: E402 - after ddtrace
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402

app = FastAPI()


@app.get("/items/{item}")
async def item(item: int) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
    return {"item": item}


@app.get("/fail")
async def fail() -> None:
    raise RuntimeError("it failed")


if SDK == "otel":
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import (  # type: ignore[import-not-found] # in its own environment
        FastAPIInstrumentor,
    )
    from opentelemetry.instrumentation.sqlite3 import (  # type: ignore[import-not-found] # in its own environment
        SQLite3Instrumentor,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    SQLite3Instrumentor().instrument()
    FastAPIInstrumentor.instrument_app(app)
elif SDK == "logfire":
    import logfire  # type: ignore[import-not-found] # in its own environment

    logfire.configure(send_to_logfire=False, service_name=os.environ["OTEL_SERVICE_NAME"], console=False)
    logfire.instrument_sqlite3()
    logfire.instrument_fastapi(app)
elif SDK == "sentry":
    import sentry_sdk  # type: ignore[import-not-found] # in its own environment
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from sentry_sdk.integrations.otlp import (  # type: ignore[import-not-found] # as above
        OTLPIntegration,
    )

    sentry_sdk.init(integrations=[OTLPIntegration(collector_url=TRACES)])
    FastAPIInstrumentor.instrument_app(app)

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.02)
port = server.servers[0].sockets[0].getsockname()[1]
with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
    for path in ("/items/1", "/items/2?token=secret", "/fail"):
        client.get(path)
server.should_exit = True
thread.join()
if SDK != "ddtrace":
    from opentelemetry import trace

    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined] # the SDK's has it
