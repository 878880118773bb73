CREATE TABLE IF NOT EXISTS asgiscope_alerts_local ON CLUSTER 'shop'
(
    At DateTime64(9),
    Minute DateTime DEFAULT toStartOfMinute(At),
    Fingerprint String,
    AlertId String,
    Rule LowCardinality(String),
    Severity LowCardinality(String),
    State LowCardinality(String),
    StartsNs Int64,
    EndsNs Int64,
    HeldUntilNs Int64,
    FiredNs Int64,
    Value Float64,
    Labels String,
    Annotations String
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Fingerprint, At)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_alerts ON CLUSTER 'shop' AS asgiscope_alerts_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_alerts_local', rand());

CREATE TABLE IF NOT EXISTS asgiscope_alert_deliveries_local ON CLUSTER 'shop'
(
    At DateTime64(9),
    Minute DateTime DEFAULT toStartOfMinute(At),
    Id String,
    Stage LowCardinality(String),
    Receiver LowCardinality(String),
    GroupKey String,
    Reason LowCardinality(String),
    Attempt UInt32,
    Status UInt16,
    Answer String,
    TookMs UInt32,
    NextNs Int64,
    Firing Array(String),
    Resolved Array(String),
    Body String
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Id, At)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_alert_deliveries ON CLUSTER 'shop' AS asgiscope_alert_deliveries_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_alert_deliveries_local', rand());

CREATE TABLE IF NOT EXISTS asgiscope_silences_local ON CLUSTER 'shop'
(
    At DateTime64(9),
    Id String,
    Matchers String,
    StartsNs Int64,
    EndsNs Int64,
    Comment String,
    CreatedBy String
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (Id, At)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_silences ON CLUSTER 'shop' AS asgiscope_silences_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_silences_local', rand());

CREATE TABLE IF NOT EXISTS asgiscope_alert_lease_local ON CLUSTER 'shop'
(
    Term UInt64,
    At DateTime64(6),
    Owner String
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (Term, At)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_alert_lease ON CLUSTER 'shop' AS asgiscope_alert_lease_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_alert_lease_local', rand());

