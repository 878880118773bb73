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

-- What is promoted is looked up once, by the view below, among the attributes as they are decoded, with the types that
-- semconv.py gives them; only for rows that come by another way does the table look in its maps. Sixteen look-ups in
-- a map of twenty attributes were a fifth of an insert's time.
ALTER TABLE otel_traces
    MODIFY COLUMN FindingKind LowCardinality(String) DEFAULT SpanAttributes['asgiscope.finding'],
    MODIFY COLUMN Ongoing Bool DEFAULT SpanAttributes['asgiscope.ongoing'] = 'true',
    MODIFY COLUMN CostNs UInt64 DEFAULT toUInt64OrZero(SpanAttributes['asgiscope.finding.cost_ns']),
    MODIFY COLUMN CodeFunction LowCardinality(String) DEFAULT SpanAttributes['code.function.name'],
    MODIFY COLUMN CodeFile LowCardinality(String) DEFAULT SpanAttributes['code.file.path'],
    MODIFY COLUMN CodeLine UInt32 DEFAULT toUInt32OrZero(SpanAttributes['code.line.number']),
    MODIFY COLUMN HttpRoute LowCardinality(String) DEFAULT SpanAttributes['http.route'],
    MODIFY COLUMN WaitNs UInt64 DEFAULT toUInt64OrZero(SpanAttributes['asgiref.wait_ns']),
    MODIFY COLUMN BlockedNs UInt64 DEFAULT toUInt64OrZero(SpanAttributes['asgiscope.blocked_ns']),
    MODIFY COLUMN ExecutorRole LowCardinality(String) DEFAULT SpanAttributes['asgiref.executor'],
    MODIFY COLUMN Operation LowCardinality(String) DEFAULT arrayFirst(
        name -> name != '',
        [
            SpanAttributes['asgiscope.operation'],
            SpanAttributes['asgiscope.middleware'],
            SpanAttributes['db.query.summary'],
            SpanAttributes['asgiref.function']
        ]
    );

-- Attributes are converted where they are: putting those of a span, its events and its links together first, so that
-- the lambda is planned once, copies them all and takes twice as long for a large insert.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_request_mv TO otel_traces AS
WITH
    ${text_of_value} AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes,
    (bytes -> lower(hex(bytes))) AS id,
    (ns -> fromUnixTimestamp64Nano(toInt64(ns))) AS time,
    (number -> texts[indexOf(promoted, number)]) AS text_of,
    (number -> toUInt64(greatest(0, ifNull(integers[indexOf(promoted, number)], 0)))) AS integer_of
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
    arrayMap(l -> attributes(l.attributes), span.links) AS `Links.Attributes`,
    text_of(1) AS FindingKind,
    ifNull(span.attributes.value.bool_value[indexOf(promoted, 2)], text_of(2) = 'true') AS Ongoing,
    integer_of(3) AS CostNs,
    text_of(4) AS CodeFunction,
    text_of(5) AS CodeFile,
    toUInt32(integer_of(6)) AS CodeLine,
    text_of(7) AS HttpRoute,
    integer_of(8) AS WaitNs,
    integer_of(9) AS BlockedNs,
    text_of(10) AS ExecutorRole,
    multiIf(
        text_of(11) != '', text_of(11), text_of(12) != '', text_of(12), text_of(13) != '', text_of(13), text_of(14)
    ) AS Operation
FROM
(
    SELECT
        *,
        -- Where each promoted attribute is; 0, which is nowhere, has the value of the type's default.
        arrayMap(
            key -> transform(
                key,
                [
                    'asgiscope.finding', 'asgiscope.ongoing', 'asgiscope.finding.cost_ns',
                    'code.function.name', 'code.file.path', 'code.line.number',
                    'http.route', 'asgiref.wait_ns', 'asgiscope.blocked_ns',
                    'asgiref.executor', 'asgiscope.operation', 'asgiscope.middleware',
                    'db.query.summary', 'asgiref.function'
                ],
                CAST(range(1, 15) AS Array(UInt8)),
                toUInt8(0)
            ),
            span.attributes.key
        ) AS promoted,
        span.attributes.value.string_value AS texts,
        span.attributes.value.int_value AS integers
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
    )
);

-- The same shape without views: what the engine cannot decode is found here, and leaves no trace.
CREATE TABLE IF NOT EXISTS otlp_traces_check AS otlp_traces_request
ENGINE = Null;
