CREATE TABLE IF NOT EXISTS asgiscope_findings_coarse_local ON CLUSTER 'shop' AS asgiscope_findings
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
PRIMARY KEY (FindingId, Minute)
ORDER BY (FindingId, Minute, FindingKind, ServiceName, CodeFunction, CodeFile, Route, Environment, Version)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_findings_coarse ON CLUSTER 'shop' AS asgiscope_findings_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_findings_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_findings_coarse_mv ON CLUSTER 'shop' TO asgiscope_findings_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_findings_local;

CREATE TABLE IF NOT EXISTS asgiscope_holders_coarse_local ON CLUSTER 'shop' AS asgiscope_holders
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
PRIMARY KEY (FindingId, Minute)
ORDER BY (
    FindingId, Minute, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute,
    ServiceName, Environment, Version, Executor
)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_holders_coarse ON CLUSTER 'shop' AS asgiscope_holders_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_holders_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_holders_coarse_mv ON CLUSTER 'shop' TO asgiscope_holders_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_holders_local;

CREATE TABLE IF NOT EXISTS asgiscope_requests_coarse_local ON CLUSTER 'shop' AS asgiscope_requests
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method, Environment, Version)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_requests_coarse ON CLUSTER 'shop' AS asgiscope_requests_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_requests_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_requests_coarse_mv ON CLUSTER 'shop' TO asgiscope_requests_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_requests_local;

CREATE TABLE IF NOT EXISTS asgiscope_calls_coarse_local ON CLUSTER 'shop' AS asgiscope_calls
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware
)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_calls_coarse ON CLUSTER 'shop' AS asgiscope_calls_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_calls_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_calls_coarse_mv ON CLUSTER 'shop' TO asgiscope_calls_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_calls_local;

CREATE TABLE IF NOT EXISTS asgiscope_tally_requests_coarse_local ON CLUSTER 'shop' AS asgiscope_tally_requests
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Route)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_tally_requests_coarse ON CLUSTER 'shop' AS asgiscope_tally_requests_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_tally_requests_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_requests_coarse_mv ON CLUSTER 'shop' TO asgiscope_tally_requests_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_tally_requests_local;

CREATE TABLE IF NOT EXISTS asgiscope_tally_bridge_coarse_local ON CLUSTER 'shop' AS asgiscope_tally_bridge
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Executor, Function, Route)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_tally_bridge_coarse ON CLUSTER 'shop' AS asgiscope_tally_bridge_coarse_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_tally_bridge_coarse_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_bridge_coarse_mv ON CLUSTER 'shop' TO asgiscope_tally_bridge_coarse_local AS
SELECT * REPLACE (toDateTime(intDiv(toUnixTimestamp(Minute), 1200) * 1200) AS Minute) FROM asgiscope_tally_bridge_local;

