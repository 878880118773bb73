"""The path that decodes in Python, for comparison: OTLP bodies into the same span table, row by row.

    python -m tests.benchmarks._python_path <file of framed bodies> <folder>

Written as one would: parsed with opentelemetry-proto, attributes to text, a batch of 20,000 spans an insert with
the same client, into a store with the same rollups. Prints the seconds it took and the number of spans.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.client import Engine
from asgiscope_collector.wal.segment import iter_records
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUSES = ("Unset", "Ok", "Error")
BATCH = 20_000
COLUMNS = [
    *("Timestamp", "TraceId", "SpanId", "ParentSpanId", "TraceState", "SpanName", "SpanKind", "ServiceName"),
    *("ResourceAttributes", "ScopeName", "ScopeVersion", "SpanAttributes", "Duration", "StatusCode"),
    *(
        "StatusMessage",
        "Events.Timestamp",
        "Events.Name",
        "Events.Attributes",
        "Links.TraceId",
        "Links.SpanId",
    ),
    *("Links.TraceState", "Links.Attributes"),
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(value: Any) -> str:
    """Return an attribute's value as the table has it; the spans of the benchmark have scalars."""
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind else ""


def attributes(pairs: Any) -> dict[str, str]:
    """Attributes as a map."""
    return {pair.key: text(pair.value) for pair in pairs}


def moment(nanoseconds: int) -> datetime:
    """Return a time as the client takes it."""
    return EPOCH + timedelta(microseconds=nanoseconds / 1000)


def rows(body: bytes) -> list[list[Any]]:
    """Return the rows of a request."""
    made: list[list[Any]] = []
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            made.extend(
                [
                    moment(span.start_time_unix_nano),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.trace_state,
                    span.name,
                    KINDS[span.kind],
                    resource["service.name"],
                    resource,
                    scope_spans.scope.name,
                    scope_spans.scope.version,
                    attributes(span.attributes),
                    span.end_time_unix_nano - span.start_time_unix_nano,
                    STATUSES[span.status.code],
                    span.status.message,
                    [moment(event.time_unix_nano) for event in span.events],
                    [event.name for event in span.events],
                    [attributes(event.attributes) for event in span.events],
                    [link.trace_id.hex() for link in span.links],
                    [link.span_id.hex() for link in span.links],
                    [link.trace_state for link in span.links],
                    [attributes(link.attributes) for link in span.links],
                ]
                for span in scope_spans.spans
            )
    return made


def main() -> None:
    """Store the bodies, and print."""
    sent = [body for _, body in iter_records(Path(sys.argv[1]).read_bytes())]
    settings = Settings(data=Path(sys.argv[2]))
    engine = Engine(settings)
    engine.open()
    client = clickhouse_connect.get_client(interface="chdb", path=str(settings.engine_folder))
    began, waiting, stored = time.perf_counter(), [], 0
    for body in sent:
        waiting += rows(body)
        if len(waiting) >= BATCH or body is sent[-1]:
            client.insert("otel_traces", waiting, column_names=COLUMNS)
            stored += len(waiting)
            waiting = []
    print(time.perf_counter() - began, stored)
    client.close()
    engine.close()


main()
