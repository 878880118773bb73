ALTER TABLE otel_traces_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Weight Float64 MATERIALIZED if(
    FromAsgiscope OR TraceState = '',
    1,
    72057594037927936 / (72057594037927936 - reinterpretAsUInt64(reverse(unhex(rightPad(
        extract(TraceState, '(?:^|,)[ \\t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?:[;, \\t]|$)'), 14, '0'
    )))))
);

ALTER TABLE otel_traces ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Weight Float64 MATERIALIZED if(
    FromAsgiscope OR TraceState = '',
    1,
    72057594037927936 / (72057594037927936 - reinterpretAsUInt64(reverse(unhex(rightPad(
        extract(TraceState, '(?:^|,)[ \\t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?:[;, \\t]|$)'), 14, '0'
    )))))
);

CREATE TABLE IF NOT EXISTS asgiscope_other_requests_local ON CLUSTER 'shop'
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Route LowCardinality(String),
    Method LowCardinality(String),
    Requests SimpleAggregateFunction(sum, Float64),
    Errors SimpleAggregateFunction(sum, Float64),
    DurationNs SimpleAggregateFunction(sum, Float64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_other_requests ON CLUSTER 'shop' AS asgiscope_other_requests_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_other_requests_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_other_requests_mv ON CLUSTER 'shop' TO asgiscope_other_requests_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    sum(Weight) AS Requests,
    sumIf(Weight, StatusCode = 'Error') AS Errors,
    sum(Weight * Duration) AS DurationNs
FROM otel_traces_local
WHERE NOT FromAsgiscope AND SpanKind = 'Server'
GROUP BY Minute, ServiceName, Route, Method;

