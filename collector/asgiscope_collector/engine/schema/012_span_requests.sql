-- What OTLP sends of spans, as the engine decodes it. Attribute values are scalars here: lists and maps have become
-- JSON text by the time a body is spooled (receive/values.py), of any depth. Spelled out as types, one level of them
-- took three quarters of an insert's time.

-- One row is one request body. Nothing is kept here: the view below takes what passes through.
CREATE TABLE IF NOT EXISTS otlp_traces_request
(
    resource_spans Array(Tuple(
        resource Tuple(attributes ${attributes}),
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
                attributes ${attributes},
                events Array(Tuple(time_unix_nano UInt64, name String, attributes ${attributes})),
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes ${attributes})),
                status Tuple(message String, code Int32)
            ))
        ))
    ))
)
ENGINE = Null;

-- Attributes are converted where they are: putting those of a span, its events and its links together first, so that
-- the lambda is planned once, copies them all and takes twice as long for a large insert.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_request_mv TO otel_traces AS
WITH
    ${text_of_value} AS text,
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

-- The same shape without views: what the engine cannot decode is found here, and leaves no trace.
CREATE TABLE IF NOT EXISTS otlp_traces_check AS otlp_traces_request
ENGINE = Null;
