CREATE TABLE IF NOT EXISTS asgiscope_calls_local ON CLUSTER 'shop'
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    Executor LowCardinality(String),
    Workers UInt16,
    CalledFunction LowCardinality(String),
    CodeFunction LowCardinality(String),
    CodeFile LowCardinality(String),
    Route LowCardinality(String),
    Middleware LowCardinality(String),
    Calls SimpleAggregateFunction(sum, UInt64),
    Queued SimpleAggregateFunction(sum, UInt64),
    WaitNs SimpleAggregateFunction(sum, UInt64),
    RunNs SimpleAggregateFunction(sum, UInt64),
    ResumeNs SimpleAggregateFunction(sum, UInt64),
    LongestNs SimpleAggregateFunction(max, UInt64),
    Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    Line SimpleAggregateFunction(anyLast, UInt32)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware
)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_calls ON CLUSTER 'shop' AS asgiscope_calls_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_calls_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_calls_mv ON CLUSTER 'shop' TO asgiscope_calls_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    Environment,
    Version,
    ExecutorRole AS Executor,
    if(Executor = 'pool', toUInt16OrZero(SpanAttributes['asgiref.executor.workers']), 0) AS Workers,
    SpanAttributes['asgiref.function'] AS CalledFunction,
    CodeFunction,
    CodeFile,
    HttpRoute AS Route,
    SpanAttributes['asgiscope.middleware'] AS Middleware,
    count() AS Calls,
    countIf(toUInt32OrZero(SpanAttributes['asgiref.queue.depth']) > 0 OR FindingKind = 'contention') AS Queued,
    sum(otel_traces_local.WaitNs) AS WaitNs,
    sum(toUInt64OrZero(SpanAttributes['asgiref.run_ns'])) AS RunNs,
    sum(toUInt64OrZero(SpanAttributes['asgiref.resume_ns'])) AS ResumeNs,
    max(otel_traces_local.WaitNs) AS LongestNs,
    sumMap(map(toUInt16(greatest(0, least(511, toInt32(floor(log2(greatest(otel_traces_local.WaitNs, 1)) * 16)) - 160))), toUInt64(1))) AS Buckets,
    argMax(CodeLine, Timestamp) AS Line
FROM otel_traces_local
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware;

CREATE TABLE IF NOT EXISTS asgiscope_victims_local ON CLUSTER 'shop'
(
    Minute DateTime,
    FindingId LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    VictimRoute LowCardinality(String),
    Delays SimpleAggregateFunction(sum, UInt64),
    OverlapNs SimpleAggregateFunction(sum, UInt64),
    LongestTrace AggregateFunction(argMax, String, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Environment, Version, VictimRoute)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_victims ON CLUSTER 'shop' AS asgiscope_victims_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_victims_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_victims_mv ON CLUSTER 'shop' TO asgiscope_victims_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    Environment,
    Version,
    link.2['http.route'] AS VictimRoute,
    count() AS Delays,
    sum(toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS OverlapNs,
    argMaxState(link.1, toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS LongestTrace
FROM
(
    SELECT
        Timestamp, FindingId, Environment, Version,
        arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces_local
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'delayed'
GROUP BY Minute, FindingId, Environment, Version, VictimRoute;

CREATE TABLE IF NOT EXISTS asgiscope_finding_days_local ON CLUSTER 'shop'
(
    Day Date,
    FindingId LowCardinality(String),
    FindingKind LowCardinality(String),
    ServiceName LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    Occurrences SimpleAggregateFunction(sum, UInt64),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Day)
ORDER BY (FindingId, Day, FindingKind, ServiceName, Environment, Version)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_finding_days ON CLUSTER 'shop' AS asgiscope_finding_days_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_finding_days_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_days_mv ON CLUSTER 'shop' TO asgiscope_finding_days_local AS
SELECT
    toDate(Minute) AS Day,
    FindingId,
    FindingKind,
    ServiceName,
    Environment,
    Version,
    sum(asgiscope_findings_local.Occurrences) AS Occurrences,
    min(asgiscope_findings_local.FirstSeen) AS FirstSeen,
    max(asgiscope_findings_local.LastSeen) AS LastSeen
FROM asgiscope_findings_local
GROUP BY Day, FindingId, FindingKind, ServiceName, Environment, Version;

CREATE TABLE IF NOT EXISTS asgiscope_releases_local ON CLUSTER 'shop'
(
    Day Date,
    ServiceName LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Day)
ORDER BY (ServiceName, Environment, Version, Day)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_releases ON CLUSTER 'shop' AS asgiscope_releases_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_releases_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_releases_mv ON CLUSTER 'shop' TO asgiscope_releases_local AS
SELECT
    toDate(Minute) AS Day,
    ServiceName,
    Environment,
    Version,
    min(asgiscope_services_local.FirstSeen) AS FirstSeen,
    max(asgiscope_services_local.LastSeen) AS LastSeen
FROM asgiscope_services_local
GROUP BY Day, ServiceName, Environment, Version;

CREATE TABLE IF NOT EXISTS asgiscope_chains_local ON CLUSTER 'shop'
(
    Day Date,
    ServiceName LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    Names String,
    Modes String,
    Adapted String,
    Loaded SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Day)
ORDER BY (ServiceName, Environment, Version, Day, Names, Modes, Adapted)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_chains ON CLUSTER 'shop' AS asgiscope_chains_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_chains_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_chains_mv ON CLUSTER 'shop' TO asgiscope_chains_local AS
SELECT
    toDate(Timestamp) AS Day,
    ServiceName,
    Environment,
    Version,
    SpanAttributes['asgiscope.middleware.names'] AS Names,
    SpanAttributes['asgiscope.middleware.modes'] AS Modes,
    SpanAttributes['asgiscope.middleware.adapted'] AS Adapted,
    max(Timestamp) AS Loaded
FROM otel_traces_local
WHERE FromAsgiscope AND SpanName = 'middleware chain'
GROUP BY Day, ServiceName, Environment, Version, Names, Modes, Adapted;

CREATE TABLE IF NOT EXISTS asgiscope_decisions_local ON CLUSTER 'shop'
(
    FindingId String,
    DecidedAt DateTime64(9),
    State LowCardinality(String),
    Reason String,
    DecidedBy String
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (FindingId, DecidedAt)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_decisions ON CLUSTER 'shop' AS asgiscope_decisions_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_decisions_local', rand());

