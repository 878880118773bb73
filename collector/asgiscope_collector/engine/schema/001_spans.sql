-- What OTLP sends, as the engine decodes it, and the span table that the OpenTelemetry Collector's ClickHouse
-- exporter writes: same names, types and order, so that what reads the one reads the other.

-- One row is one request body. Nothing is kept here: the views below take what passes through.
CREATE TABLE IF NOT EXISTS otlp_request
(
    resource_spans Array(Tuple(
        resource Tuple(attributes ${key_values}),
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
                attributes ${key_values},
                events Array(Tuple(time_unix_nano UInt64, name String, attributes ${key_values})),
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes ${key_values})),
                status Tuple(message String, code Int32)
            ))
        ))
    ))
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),

    -- Ours, promoted: the rollups below read each of them many times, and a query of a column costs a
    -- fiftieth of a query of the map.
    FromAsgiscope Bool MATERIALIZED ScopeName = 'asgiscope',
    FindingKind LowCardinality(String) MATERIALIZED SpanAttributes['asgiscope.finding'],
    Ongoing Bool MATERIALIZED SpanAttributes['asgiscope.ongoing'] = 'true',
    CostNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.finding.cost_ns']),
    CodeFunction LowCardinality(String) MATERIALIZED SpanAttributes['code.function.name'],
    CodeFile LowCardinality(String) MATERIALIZED SpanAttributes['code.file.path'],
    CodeLine UInt32 MATERIALIZED toUInt32OrZero(SpanAttributes['code.line.number']),
    HttpRoute LowCardinality(String) MATERIALIZED SpanAttributes['http.route'],
    WaitNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiref.wait_ns']),
    BlockedNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.blocked_ns']),
    ExecutorRole LowCardinality(String) MATERIALIZED SpanAttributes['asgiref.executor'],
    Operation LowCardinality(String) MATERIALIZED arrayFirst(
        name -> name != '',
        [
            SpanAttributes['asgiscope.operation'],
            SpanAttributes['asgiscope.middleware'],
            SpanAttributes['db.query.summary'],
            SpanAttributes['asgiref.function']
        ]
    ),
    -- The fingerprint. analysis/fingerprint.py computes the same; a test holds the two together.
    FindingId LowCardinality(String) MATERIALIZED if(
        FindingKind = '',
        '',
        substring(lower(hex(SHA256(concat(
            FindingKind, '\0', ServiceName, '\0', CodeFunction, '\0', CodeFile
        )))), 1, 16)
    ),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS ${table_settings};

-- Values become text as the exporter makes it: strings as they are, lists and maps as JSON; bytes, and what
-- lies deeper in a list or map, in hexadecimal. The engine expands a lambda wherever it is named and reads the
-- whole of it for every insert, so each is named once (and its arguments have
-- names of their own, for the expansion does not keep them apart): a list is a map without keys, and the attributes of a
-- span, its events and its links are converted together.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_mv TO otel_traces AS
WITH
    (leaf -> multiIf(
        leaf.value = 'string_value', toJSONString(leaf.string_value),
        leaf.value = 'bool_value', if(leaf.bool_value, 'true', 'false'),
        leaf.value = 'int_value', toString(leaf.int_value),
        leaf.value = 'double_value', toJSONString(leaf.double_value),
        leaf.value = 'absent', 'null',
        concat('"', hex(concat(leaf.bytes_value, leaf.array_value, leaf.kvlist_value)), '"')
    )) AS leaf_json,
    (v -> multiIf(
        v.value = 'string_value', v.string_value,
        v.value = 'bool_value', if(v.bool_value, 'true', 'false'),
        v.value = 'int_value', toString(v.int_value),
        v.value = 'double_value', toString(v.double_value),
        v.value = 'bytes_value', hex(v.bytes_value),
        v.value = 'absent', '',
        concat(
            if(v.value = 'array_value', '[', '{'),
            arrayStringConcat(arrayMap(
                member -> concat(if(v.value = 'array_value', '', concat(toJSONString(member.1), ':')), leaf_json(member.2)),
                arrayConcat(arrayMap(each -> ('', each), v.array_value.values), v.kvlist_value.values)
            ), ','),
            if(v.value = 'array_value', ']', '}')
        )
    )) AS text,
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
    maps[1] AS SpanAttributes,
    if(
        span.end_time_unix_nano > span.start_time_unix_nano,
        span.end_time_unix_nano - span.start_time_unix_nano,
        0
    ) AS Duration,
    transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(e -> time(e.time_unix_nano), span.events) AS `Events.Timestamp`,
    arrayMap(e -> e.name, span.events) AS `Events.Name`,
    arraySlice(maps, 2, length(span.events)) AS `Events.Attributes`,
    arrayMap(l -> id(l.trace_id), span.links) AS `Links.TraceId`,
    arrayMap(l -> id(l.span_id), span.links) AS `Links.SpanId`,
    arrayMap(l -> l.trace_state, span.links) AS `Links.TraceState`,
    arraySlice(maps, 2 + length(span.events)) AS `Links.Attributes`
FROM
(
    SELECT
        ResourceAttributes,
        ScopeName,
        ScopeVersion,
        span,
        arrayMap(
            pairs -> attributes(pairs),
            arrayConcat(
                [span.attributes], arrayMap(e -> e.attributes, span.events), arrayMap(l -> l.attributes, span.links)
            )
        ) AS maps
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
            FROM (SELECT arrayJoin(resource_spans) AS resource_span FROM otlp_request)
        )
    )
);

-- The same shape without views: what the engine cannot decode is found here, and leaves no trace.
CREATE TABLE IF NOT EXISTS otlp_check AS otlp_request
ENGINE = Null;
