"""Traces of the collector's own API, sent to another collector.

Ingest requests are never traced: two collectors that trace into each other, or one that traces into itself
through a proxy, would send spans about spans forever.
"""

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util.http import parse_excluded_urls

from asgiscope_collector import __version__

_NOT_TRACED = "/v1/,/healthz,/readyz,/metrics,/api/live"


def trace(app: FastAPI, endpoint: str) -> TracerProvider:
    """Trace the app's requests to `endpoint`, another collector's base URL. The caller shuts the provider down."""
    resource = Resource.create({"service.name": "asgiscope-collector", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    app.add_middleware(
        OpenTelemetryMiddleware,
        excluded_urls=parse_excluded_urls(_NOT_TRACED),
        tracer_provider=provider,
        exclude_spans=["receive", "send"],
    )
    return provider
