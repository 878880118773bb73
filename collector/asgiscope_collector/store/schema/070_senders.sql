-- Spans of every sender: what OTLP says beside names and times is kept, numbers keep their values, and what senders
-- have named in different ways is read in one.

ALTER TABLE otlp_traces_request MODIFY COLUMN resource_spans Array(Tuple(
        resource Tuple(attributes ${attributes}, dropped_attributes_count UInt32),
        schema_url String,
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes ${attributes}, dropped_attributes_count UInt32),
            schema_url String,
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
                dropped_attributes_count UInt32,
                events Array(Tuple(
                    time_unix_nano UInt64, name String, attributes ${attributes}, dropped_attributes_count UInt32
                )),
                dropped_events_count UInt32,
                links Array(Tuple(
                    trace_id String, span_id String, trace_state String, attributes ${attributes},
                    dropped_attributes_count UInt32, flags UInt32
                )),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32),
                flags UInt32
            ))
        ))
    ));

ALTER TABLE otlp_traces_check MODIFY COLUMN resource_spans Array(Tuple(
        resource Tuple(attributes ${attributes}, dropped_attributes_count UInt32),
        schema_url String,
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes ${attributes}, dropped_attributes_count UInt32),
            schema_url String,
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
                dropped_attributes_count UInt32,
                events Array(Tuple(
                    time_unix_nano UInt64, name String, attributes ${attributes}, dropped_attributes_count UInt32
                )),
                dropped_events_count UInt32,
                links Array(Tuple(
                    trace_id String, span_id String, trace_state String, attributes ${attributes},
                    dropped_attributes_count UInt32, flags UInt32
                )),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32),
                flags UInt32
            ))
        ))
    ));

-- The exporter's table has none of these. Flags say, in 0x300, that the parent is known to be in another process.
ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS Flags UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ResourceSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ResourceDroppedAttrCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ScopeAttributes Map(LowCardinality(String), String)
        DEFAULT CAST(map(), 'Map(LowCardinality(String), String)') CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ScopeSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ScopeDroppedAttrCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS DroppedAttrCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS DroppedEventsCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS DroppedLinksCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `Events.DroppedAttrCount` Array(UInt32)
        DEFAULT arrayMap(e -> toUInt32(0), Events.Name) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `Links.DroppedAttrCount` Array(UInt32)
        DEFAULT arrayMap(l -> toUInt32(0), Links.TraceId) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `Links.Flags` Array(UInt32)
        DEFAULT arrayMap(l -> toUInt32(0), Links.TraceId) CODEC(ZSTD(1));

-- Of rows that come by another way than ours.
ALTER TABLE otel_traces
    MODIFY COLUMN CodeFunction LowCardinality(String) DEFAULT multiIf(
        SpanAttributes['code.function.name'] != '', SpanAttributes['code.function.name'],
        SpanAttributes['code.namespace'] = '', SpanAttributes['code.function'],
        concat(SpanAttributes['code.namespace'], '.', SpanAttributes['code.function'])
    ),
    MODIFY COLUMN CodeFile LowCardinality(String) DEFAULT if(
        SpanAttributes['code.file.path'] != '', SpanAttributes['code.file.path'], SpanAttributes['code.filepath']
    ),
    MODIFY COLUMN CodeLine UInt32 DEFAULT toUInt32OrZero(if(
        SpanAttributes['code.line.number'] != '', SpanAttributes['code.line.number'], SpanAttributes['code.lineno']
    )),
    MODIFY COLUMN HttpRoute LowCardinality(String) DEFAULT if(
        match(SpanAttributes['http.route'], '^[^/*]'),
        concat('/', replaceRegexpOne(SpanAttributes['http.route'], '^\\^/?', '')),
        SpanAttributes['http.route']
    );

-- Attributes are converted where they are: putting those of a span, its events and its links together first, so that
-- the lambda is planned once, copies them all and takes twice as long for a large insert.
ALTER TABLE otel_traces_request_mv MODIFY QUERY
WITH
    ${text_of_double} AS text_of_double,
    ${text_of_any_value} AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes,
    (bytes -> lower(hex(bytes))) AS id,
    ${time_of_ns} AS time,
    ${http_route_of} AS route_of,
    (number -> texts[indexOf(promoted, number)]) AS text_of,
    (number -> toUInt64(greatest(0, ifNull(integers[indexOf(promoted, number)], 0)))) AS integer_of
SELECT
    time(span.start_time_unix_nano) AS Timestamp,
    id(span.trace_id) AS TraceId,
    id(span.span_id) AS SpanId,
    if(span.parent_span_id = unhex('0000000000000000'), '', id(span.parent_span_id)) AS ParentSpanId,
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
    if(text_of(15) = '', text_of(4), concat(text_of(15), '.', text_of(4))) AS CodeFunction,
    text_of(5) AS CodeFile,
    toUInt32(integer_of(6)) AS CodeLine,
    route_of(text_of(7)) AS HttpRoute,
    integer_of(8) AS WaitNs,
    integer_of(9) AS BlockedNs,
    text_of(10) AS ExecutorRole,
    multiIf(
        text_of(11) != '', text_of(11), text_of(12) != '', text_of(12), text_of(13) != '', text_of(13), text_of(14)
    ) AS Operation,
    span.flags AS Flags,
    ResourceSchemaUrl,
    ResourceDroppedAttrCount,
    ScopeAttributes,
    ScopeSchemaUrl,
    ScopeDroppedAttrCount,
    span.dropped_attributes_count AS DroppedAttrCount,
    span.dropped_events_count AS DroppedEventsCount,
    span.dropped_links_count AS DroppedLinksCount,
    arrayMap(e -> e.dropped_attributes_count, span.events) AS `Events.DroppedAttrCount`,
    arrayMap(l -> l.dropped_attributes_count, span.links) AS `Links.DroppedAttrCount`,
    arrayMap(l -> l.flags, span.links) AS `Links.Flags`
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
                    'db.query.summary', 'asgiref.function', 'code.namespace',
                    -- The names that OpenTelemetry had for these before.
                    'code.function', 'code.filepath', 'code.lineno'
                ],
                CAST([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 4, 5, 6] AS Array(UInt8)),
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
            attributes(scope_span.scope.attributes) AS ScopeAttributes,
            scope_span.schema_url AS ScopeSchemaUrl,
            scope_span.scope.dropped_attributes_count AS ScopeDroppedAttrCount,
            ResourceSchemaUrl,
            ResourceDroppedAttrCount,
            arrayJoin(scope_span.spans) AS span
        FROM
        (
            SELECT
                attributes(resource_span.resource.attributes) AS ResourceAttributes,
                resource_span.schema_url AS ResourceSchemaUrl,
                resource_span.resource.dropped_attributes_count AS ResourceDroppedAttrCount,
                arrayJoin(resource_span.scope_spans) AS scope_span
            FROM (SELECT arrayJoin(resource_spans) AS resource_span FROM otlp_traces_request)
        )
    )
);

-- A request whose caller is not stored (a gateway, a browser, a load balancer) stands for its trace: Rank 2 for what a
-- process was asked by another, 3 for a finding of a trace of which nothing better is known.
ALTER TABLE asgiscope_trace_index_mv MODIFY QUERY
SELECT
    Timestamp,
    TraceId,
    multiIf(
        FromAsgiscope AND SpanKind = 'Server', 0,
        ParentSpanId = '', 1,
        SpanKind IN ('Server', 'Consumer') OR bitAnd(Flags, 768) = 768, 2,
        3
    ) AS Rank,
    FindingId,
    ServiceName,
    Environment,
    SpanName,
    ${http_method} AS Method,
    ${http_route_or_path} AS Route,
    ${http_status} AS HttpStatus,
    StatusCode = 'Error' OR HttpStatus >= 500 AS Error,
    Duration,
    toUInt32OrZero(SpanAttributes['asgiscope.request.hops']) AS Hops,
    toUInt64OrZero(SpanAttributes['asgiscope.request.wait_ns']) AS WaitNs,
    toUInt64OrZero(SpanAttributes['asgiscope.request.loop_caused_ns']) AS LoopCausedNs,
    toUInt64OrZero(SpanAttributes['asgiscope.request.loop_suffered_ns']) AS LoopSufferedNs,
    toUInt32OrZero(SpanAttributes['asgiscope.request.queries']) AS Queries,
    toUInt32OrZero(SpanAttributes['asgiscope.request.refusals']) AS Refusals
FROM otel_traces
WHERE Rank < 3 OR FindingId != '';
