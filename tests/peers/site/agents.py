"""Start a peer inside the site, as its documentation says for Django; imported in the peer's own environment."""

# mypy: ignore-errors
# ruff: noqa: PLC0415 - each environment has one peer's packages only
import os
from collections.abc import Callable
from dataclasses import dataclass

BEFORE_SETUP, AFTER_SETUP, ON_THE_LOOP = "before setup", "after setup", "on the loop"


@dataclass(frozen=True)
class Agent:
    """How a peer is started, and when: before `django.setup()`, after it, or on the running loop."""

    run: Callable[[], None]
    when: str = BEFORE_SETUP

    def __call__(self) -> None:
        self.run()


def _asgiscope() -> None:
    import asgiscope

    assert asgiscope.instrument()


def _loopsentry() -> None:
    from loopsentry import LoopSentry

    LoopSentry(base_dir=os.environ["PEER_FOLDER"], threshold=0.05).start()


def _aiocop() -> None:
    import aiocop

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(threshold_ms=50, on_slow_task=lambda _event: None)
    aiocop.activate()


def _provider() -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _opentelemetry() -> None:
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    _provider()
    DjangoInstrumentor().instrument()


def _opentelemetry_sql() -> None:
    _opentelemetry()
    if os.environ["PEER_ENGINE"] == "postgresql":
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

        PsycopgInstrumentor().instrument()
    else:
        from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

        SQLite3Instrumentor().instrument()


def _sentry() -> None:
    import sentry_sdk

    sentry_sdk.init(dsn=os.environ["PEER_DSN"], traces_sample_rate=1.0)


def _logfire() -> None:
    import logfire
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logfire.configure(
        console=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter())],
    )
    logfire.instrument_django()
    if os.environ["PEER_ENGINE"] == "postgresql":
        logfire.instrument_psycopg()
    else:
        logfire.instrument_sqlite3()


AGENTS = {
    "asgiscope": Agent(_asgiscope, AFTER_SETUP),
    "loopsentry": Agent(_loopsentry, ON_THE_LOOP),
    "aiocop": Agent(_aiocop, ON_THE_LOOP),
    "opentelemetry": Agent(_opentelemetry),
    "opentelemetry_sql": Agent(_opentelemetry_sql),
    "sentry": Agent(_sentry),
    "logfire": Agent(_logfire),
}
