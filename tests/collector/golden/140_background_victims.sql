CREATE TABLE IF NOT EXISTS asgiscope_background_victims_local ON CLUSTER 'shop'
(
    Minute DateTime,
    FindingId LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    Route LowCardinality(String),
    Messages SimpleAggregateFunction(sum, UInt64),
    Tasks SimpleAggregateFunction(sum, UInt64),
    LostNs SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Environment, Version, Route)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_background_victims ON CLUSTER 'shop' AS asgiscope_background_victims_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_background_victims_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_background_victims_mv ON CLUSTER 'shop' TO asgiscope_background_victims_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    Environment,
    Version,
    HttpRoute AS Route,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.messages'])) AS Messages,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.tasks'])) AS Tasks,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.background_ns'])) AS LostNs
FROM otel_traces_local
WHERE FindingId != '' AND NOT Ongoing AND mapContains(SpanAttributes, 'asgiscope.finding.background_ns')
GROUP BY Minute, FindingId, Environment, Version, Route;

