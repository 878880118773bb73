-- Where the spans of a trace are, so that reading one trace does not scan the days: the exporter's lookup
-- table and its view, and the number of spans beside it. The exporter may have made both.
CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start DateTime CODEC(Delta, ZSTD(1)),
    End DateTime CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(Start)
ORDER BY (TraceId, Start)
SETTINGS ${table_settings};

ALTER TABLE otel_traces_trace_id_ts
    ADD COLUMN IF NOT EXISTS Spans SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1));

ALTER TABLE otel_traces_trace_id_ts
    MODIFY SETTING non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End
FROM otel_traces
GROUP BY TraceId;

ALTER TABLE otel_traces_trace_id_ts_mv MODIFY QUERY
SELECT
    TraceId,
    toDateTime(min(Timestamp)) AS Start,
    toDateTime(max(Timestamp)) AS End,
    countIf(NOT Ongoing) AS Spans
FROM otel_traces
GROUP BY TraceId;

-- One row for each span that can stand for its trace in a list (Rank: 0 a server span of asgiscope, 1 a root,
-- 2 a span with a finding, for traces of which neither arrived), in order of time.
CREATE TABLE IF NOT EXISTS asgiscope_trace_index
(
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    Rank UInt8,
    FindingId LowCardinality(String),
    ServiceName LowCardinality(String),
    SpanName LowCardinality(String),
    Method LowCardinality(String),
    Route LowCardinality(String),
    HttpStatus UInt16,
    Error Bool,
    Duration UInt64 CODEC(ZSTD(1)),
    Hops UInt32,
    WaitNs UInt64 CODEC(ZSTD(1)),
    LoopCausedNs UInt64 CODEC(ZSTD(1)),
    LoopSufferedNs UInt64 CODEC(ZSTD(1)),
    Queries UInt32,
    Refusals UInt32,
    INDEX idx_finding FindingId TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (Timestamp, TraceId)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_trace_index_mv TO asgiscope_trace_index AS
SELECT
    Timestamp,
    TraceId,
    multiIf(FromAsgiscope AND SpanKind = 'Server', 0, ParentSpanId = '', 1, 2) AS Rank,
    FindingId,
    ServiceName,
    SpanName,
    SpanAttributes['http.request.method'] AS Method,
    HttpRoute AS Route,
    toUInt16OrZero(SpanAttributes['http.response.status_code']) AS HttpStatus,
    StatusCode = 'Error' OR HttpStatus >= 500 AS Error,
    Duration,
    toUInt32OrZero(SpanAttributes['asgiscope.request.hops']) AS Hops,
    toUInt64OrZero(SpanAttributes['asgiscope.request.wait_ns']) AS WaitNs,
    toUInt64OrZero(SpanAttributes['asgiscope.request.loop_caused_ns']) AS LoopCausedNs,
    toUInt64OrZero(SpanAttributes['asgiscope.request.loop_suffered_ns']) AS LoopSufferedNs,
    toUInt32OrZero(SpanAttributes['asgiscope.request.queries']) AS Queries,
    toUInt32OrZero(SpanAttributes['asgiscope.request.refusals']) AS Refusals
FROM otel_traces
WHERE Rank < 2 OR FindingId != '';

-- From a victim's trace back to the stall that delayed it: the link itself points the other way.
CREATE TABLE IF NOT EXISTS asgiscope_delays
(
    VictimTraceId String CODEC(ZSTD(1)),
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (VictimTraceId, Timestamp)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_delays_mv TO asgiscope_delays AS
SELECT link.1 AS VictimTraceId, Timestamp, TraceId, SpanId
FROM
(
    SELECT Timestamp, TraceId, SpanId, arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces
    WHERE FindingId != ''
)
WHERE link.2['asgiscope.link'] = 'delayed' AND VictimTraceId != TraceId;
