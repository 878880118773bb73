CREATE TABLE IF NOT EXISTS otlp_traces_request ON CLUSTER 'shop'
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String)))),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String),
            spans Array(Tuple(
                trace_id String,
                span_id String,
                trace_state String,
                parent_span_id String,
                name String,
                kind Int32,
                start_time_unix_nano UInt64,
                end_time_unix_nano UInt64,
                attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))),
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))),
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))),
                status Tuple(message String, code Int32)
            ))
        ))
    ))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_request_mv ON CLUSTER 'shop' TO otel_traces AS
WITH
    (v -> multiIf(v.string_value != '', v.string_value, v.int_value IS NOT NULL, toString(assumeNotNull(v.int_value)), v.bool_value IS NOT NULL, if(assumeNotNull(v.bool_value), 'true', 'false'), v.double_value IS NOT NULL, toString(assumeNotNull(v.double_value)), hex(v.bytes_value))) AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes,
    (bytes -> lower(hex(bytes))) AS id,
    (ns -> fromUnixTimestamp64Nano(toInt64(ns))) AS time
SELECT
    time(span.start_time_unix_nano) AS Timestamp,
    id(span.trace_id) AS TraceId,
    id(span.span_id) AS SpanId,
    id(span.parent_span_id) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(
        span.kind,
        [1, 2, 3, 4, 5],
        ['Internal', 'Server', 'Client', 'Producer', 'Consumer'],
        'Unspecified'
    ) AS SpanKind,
    if(ResourceAttributes['service.name'] = '', 'unknown_service', ResourceAttributes['service.name']) AS ServiceName,
    ResourceAttributes,
    ScopeName,
    ScopeVersion,
    attributes(span.attributes) AS SpanAttributes,
    if(
        span.end_time_unix_nano > span.start_time_unix_nano,
        span.end_time_unix_nano - span.start_time_unix_nano,
        0
    ) AS Duration,
    transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(e -> time(e.time_unix_nano), span.events) AS `Events.Timestamp`,
    arrayMap(e -> e.name, span.events) AS `Events.Name`,
    arrayMap(e -> attributes(e.attributes), span.events) AS `Events.Attributes`,
    arrayMap(l -> id(l.trace_id), span.links) AS `Links.TraceId`,
    arrayMap(l -> id(l.span_id), span.links) AS `Links.SpanId`,
    arrayMap(l -> l.trace_state, span.links) AS `Links.TraceState`,
    arrayMap(l -> attributes(l.attributes), span.links) AS `Links.Attributes`
FROM
(
    SELECT
        ResourceAttributes,
        scope_span.scope.name AS ScopeName,
        scope_span.scope.version AS ScopeVersion,
        arrayJoin(scope_span.spans) AS span
    FROM
    (
        SELECT
            attributes(resource_span.resource.attributes) AS ResourceAttributes,
            arrayJoin(resource_span.scope_spans) AS scope_span
        FROM (SELECT arrayJoin(resource_spans) AS resource_span FROM otlp_traces_request)
    )
);

CREATE TABLE IF NOT EXISTS otlp_traces_check ON CLUSTER 'shop' AS otlp_traces_request
ENGINE = Null;

