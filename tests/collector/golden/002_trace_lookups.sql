CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts_local ON CLUSTER 'shop'
(
    TraceId String CODEC(ZSTD(1)),
    Start DateTime CODEC(Delta, ZSTD(1)),
    End DateTime CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Start)
ORDER BY (TraceId, Start)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts ON CLUSTER 'shop' AS otel_traces_trace_id_ts_local
ENGINE = Distributed('shop', 'traces', 'otel_traces_trace_id_ts_local', cityHash64(TraceId));

ALTER TABLE otel_traces_trace_id_ts_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Spans SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1));

ALTER TABLE otel_traces_trace_id_ts ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Spans SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1));

ALTER TABLE otel_traces_trace_id_ts_local ON CLUSTER 'shop' MODIFY SETTING non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv ON CLUSTER 'shop' TO otel_traces_trace_id_ts_local AS
SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End
FROM otel_traces_local
GROUP BY TraceId;

ALTER TABLE otel_traces_trace_id_ts_mv ON CLUSTER 'shop' MODIFY QUERY
SELECT
    TraceId,
    toDateTime(min(Timestamp)) AS Start,
    toDateTime(max(Timestamp)) AS End,
    countIf(NOT Ongoing) AS Spans
FROM otel_traces_local
GROUP BY TraceId;

CREATE TABLE IF NOT EXISTS asgiscope_trace_index_local ON CLUSTER 'shop'
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Timestamp)
ORDER BY (Timestamp, TraceId)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_trace_index ON CLUSTER 'shop' AS asgiscope_trace_index_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_trace_index_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_trace_index_mv ON CLUSTER 'shop' TO asgiscope_trace_index_local AS
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
FROM otel_traces_local
WHERE Rank < 2 OR FindingId != '';

CREATE TABLE IF NOT EXISTS asgiscope_delays_local ON CLUSTER 'shop'
(
    VictimTraceId String CODEC(ZSTD(1)),
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Timestamp)
ORDER BY (VictimTraceId, Timestamp)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_delays ON CLUSTER 'shop' AS asgiscope_delays_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_delays_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_delays_mv ON CLUSTER 'shop' TO asgiscope_delays_local AS
SELECT link.1 AS VictimTraceId, Timestamp, TraceId, SpanId
FROM
(
    SELECT Timestamp, TraceId, SpanId, arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces_local
    WHERE FindingId != ''
)
WHERE link.2['asgiscope.link'] = 'delayed' AND VictimTraceId != TraceId;

