"""Starts another vendor's tracing in this site, as its documentation says: `SITE_APM` names it."""

import importlib
import os


def start(name: str) -> None:
    """Start it."""
    if name == "sentry":
        sdk = importlib.import_module("sentry_sdk")
        sdk.init(dsn=os.environ["SITE_SENTRY_DSN"], traces_sample_rate=1.0, profiles_sample_rate=1.0)
    elif name == "ddtrace":
        importlib.import_module("ddtrace.auto")


def start_opentelemetry() -> None:
    """Start OpenTelemetry's Django instrumentation with hooks, as its documentation says: in asgi.py.

    `SITE_OTEL_ENDPOINT` is where its own exporter sends; without it, OpenTelemetry has no provider of its own.
    `SITE_SQL_COMMENTER` switches its comments on queries on.
    """
    django = importlib.import_module("opentelemetry.instrumentation.django")
    endpoint = os.environ.get("SITE_OTEL_ENDPOINT")
    if endpoint:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        provider = sdk.TracerProvider()
        exporter = otlp.OTLPSpanExporter(f"{endpoint}/v1/traces")
        provider.add_span_processor(export.SimpleSpanProcessor(exporter))
        importlib.import_module("opentelemetry.trace").set_tracer_provider(provider)
    django.DjangoInstrumentor().instrument(
        request_hook=lambda span, request: span.set_attribute("hook.request", request.path),
        response_hook=lambda span, _request, response: span.set_attribute(
            "hook.status", response.status_code
        ),
        is_sql_commentor_enabled=bool(os.environ.get("SITE_SQL_COMMENTER")),
    )
