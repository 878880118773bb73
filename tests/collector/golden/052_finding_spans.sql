CREATE TABLE IF NOT EXISTS asgiscope_finding_spans_local ON CLUSTER 'shop'
(
    FindingId LowCardinality(String),
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    Environment LowCardinality(String)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Timestamp)
ORDER BY (FindingId, Timestamp)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_finding_spans ON CLUSTER 'shop' AS asgiscope_finding_spans_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_finding_spans_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_spans_mv ON CLUSTER 'shop' TO asgiscope_finding_spans_local AS
SELECT FindingId, Timestamp, TraceId, Environment
FROM otel_traces_local
WHERE FindingId != '';

