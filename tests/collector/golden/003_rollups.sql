CREATE TABLE IF NOT EXISTS asgiscope_findings_local ON CLUSTER 'shop'
(
    Minute DateTime,
    FindingId LowCardinality(String),
    FindingKind LowCardinality(String),
    ServiceName LowCardinality(String),
    CodeFunction LowCardinality(String),
    CodeFile LowCardinality(String),
    Route LowCardinality(String),
    Occurrences SimpleAggregateFunction(sum, UInt64),
    TotalNs SimpleAggregateFunction(sum, UInt64),
    SmallestNs SimpleAggregateFunction(min, UInt64),
    LargestNs SimpleAggregateFunction(max, UInt64),
    Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    VictimRequests SimpleAggregateFunction(sum, UInt64),
    VictimNs SimpleAggregateFunction(sum, UInt64),
    OngoingReports SimpleAggregateFunction(sum, UInt64),
    OngoingNs SimpleAggregateFunction(max, UInt64),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9)),
    Latest AggregateFunction(argMax, Tuple(Line UInt32, Operation String, Executor String), DateTime64(9)),
    LatestStack AggregateFunction(argMaxIf, String, DateTime64(9), UInt8),
    LatestChain AggregateFunction(argMaxIf, String, DateTime64(9), UInt8),
    CostliestTrace AggregateFunction(argMax, String, UInt64),
    SomeTraces SimpleAggregateFunction(groupUniqArrayArray(4), Array(String))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_findings ON CLUSTER 'shop' AS asgiscope_findings_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_findings_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_findings_mv ON CLUSTER 'shop' TO asgiscope_findings_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    FindingKind,
    ServiceName,
    CodeFunction,
    CodeFile,
    HttpRoute AS Route,
    countIf(NOT Ongoing) AS Occurrences,
    sumIf(CostNs, NOT Ongoing) AS TotalNs,
    min(if(Ongoing, 18446744073709551615, CostNs)) AS SmallestNs,
    maxIf(CostNs, NOT Ongoing) AS LargestNs,
    sumMapIf(map(toUInt16(greatest(0, least(511, toInt32(floor(log2(greatest(CostNs, 1)) * 16)) - 160))), toUInt64(1)), NOT Ongoing) AS Buckets,
    sumIf(toUInt64OrZero(SpanAttributes['asgiscope.finding.victims']), NOT Ongoing) AS VictimRequests,
    sumIf(toUInt64OrZero(SpanAttributes['asgiscope.finding.victims_ns']), NOT Ongoing) AS VictimNs,
    countIf(Ongoing) AS OngoingReports,
    maxIf(CostNs, Ongoing) AS OngoingNs,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    argMaxState(
        CAST((CodeLine, Operation, ExecutorRole), 'Tuple(Line UInt32, Operation String, Executor String)'),
        Timestamp
    ) AS Latest,
    argMaxIfState(
        SpanAttributes['code.stacktrace'], Timestamp, toUInt8(SpanAttributes['code.stacktrace'] != '')
    ) AS LatestStack,
    argMaxIfState(
        SpanAttributes['asgiscope.chain'], Timestamp, toUInt8(SpanAttributes['asgiscope.chain'] != '')
    ) AS LatestChain,
    argMaxState(TraceId, CostNs) AS CostliestTrace,
    groupUniqArray(4)(TraceId) AS SomeTraces
FROM otel_traces_local
WHERE FindingId != ''
GROUP BY Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route;

CREATE TABLE IF NOT EXISTS asgiscope_ongoing_local ON CLUSTER 'shop'
(
    Timestamp DateTime64(9),
    FindingId LowCardinality(String),
    ServiceName LowCardinality(String),
    Route LowCardinality(String),
    SpanName LowCardinality(String),
    TraceId String,
    SpanId String,
    CostNs SimpleAggregateFunction(max, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Timestamp)
ORDER BY (FindingId, Timestamp, ServiceName, Route, SpanName, TraceId, SpanId)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_ongoing ON CLUSTER 'shop' AS asgiscope_ongoing_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_ongoing_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_ongoing_mv ON CLUSTER 'shop' TO asgiscope_ongoing_local AS
SELECT Timestamp, FindingId, ServiceName, HttpRoute AS Route, SpanName, TraceId, SpanId, CostNs
FROM otel_traces_local
WHERE FindingId != '' AND Ongoing;

CREATE TABLE IF NOT EXISTS asgiscope_holders_local ON CLUSTER 'shop'
(
    Minute DateTime,
    FindingId LowCardinality(String),
    Route LowCardinality(String),
    HolderFunction LowCardinality(String),
    CodeFunction LowCardinality(String),
    CodeFile LowCardinality(String),
    HolderRoute LowCardinality(String),
    OverlapNs SimpleAggregateFunction(sum, UInt64),
    Waits SimpleAggregateFunction(sum, UInt64),
    Line AggregateFunction(argMax, UInt32, DateTime64(9)),
    LongestTrace AggregateFunction(argMax, String, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_holders ON CLUSTER 'shop' AS asgiscope_holders_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_holders_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_holders_mv ON CLUSTER 'shop' TO asgiscope_holders_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    HttpRoute AS Route,
    link.2['asgiscope.link.function'] AS HolderFunction,
    link.2['code.function.name'] AS CodeFunction,
    link.2['code.file.path'] AS CodeFile,
    link.2['http.route'] AS HolderRoute,
    sum(toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS OverlapNs,
    count() AS Waits,
    argMaxState(toUInt32OrZero(link.2['code.line.number']), Timestamp) AS Line,
    argMaxState(link.1, toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS LongestTrace
FROM
(
    SELECT Timestamp, FindingId, HttpRoute, arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces_local
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'held_by'
GROUP BY Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute;

CREATE TABLE IF NOT EXISTS asgiscope_requests_local ON CLUSTER 'shop'
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Route LowCardinality(String),
    Method LowCardinality(String),
    Requests SimpleAggregateFunction(sum, UInt64),
    Errors SimpleAggregateFunction(sum, UInt64),
    DurationNs SimpleAggregateFunction(sum, UInt64),
    LongestNs SimpleAggregateFunction(max, UInt64),
    Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    Hops SimpleAggregateFunction(sum, UInt64),
    WaitNs SimpleAggregateFunction(sum, UInt64),
    RunNs SimpleAggregateFunction(sum, UInt64),
    ResumeNs SimpleAggregateFunction(sum, UInt64),
    LoopCausedNs SimpleAggregateFunction(sum, UInt64),
    LoopSufferedNs SimpleAggregateFunction(sum, UInt64),
    Queries SimpleAggregateFunction(sum, UInt64),
    QueryNs SimpleAggregateFunction(sum, UInt64),
    Refusals SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_requests ON CLUSTER 'shop' AS asgiscope_requests_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_requests_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_requests_mv ON CLUSTER 'shop' TO asgiscope_requests_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    count() AS Requests,
    countIf(StatusCode = 'Error' OR toUInt16OrZero(SpanAttributes['http.response.status_code']) >= 500) AS Errors,
    sum(Duration) AS DurationNs,
    max(Duration) AS LongestNs,
    sumMap(map(toUInt16(greatest(0, least(511, toInt32(floor(log2(greatest(Duration, 1)) * 16)) - 160))), toUInt64(1))) AS Buckets,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.hops'])) AS Hops,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.wait_ns'])) AS WaitNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.run_ns'])) AS RunNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.resume_ns'])) AS ResumeNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.loop_caused_ns'])) AS LoopCausedNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.loop_suffered_ns'])) AS LoopSufferedNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.queries'])) AS Queries,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.query_ns'])) AS QueryNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.refusals'])) AS Refusals
FROM otel_traces_local
WHERE FromAsgiscope AND SpanKind = 'Server' AND NOT Ongoing
GROUP BY Minute, ServiceName, Route, Method;

CREATE TABLE IF NOT EXISTS asgiscope_waits_local ON CLUSTER 'shop'
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Executor LowCardinality(String),
    Calls SimpleAggregateFunction(sum, UInt64),
    Queued SimpleAggregateFunction(sum, UInt64),
    WaitNs SimpleAggregateFunction(sum, UInt64),
    LongestNs SimpleAggregateFunction(max, UInt64),
    Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Executor)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_waits ON CLUSTER 'shop' AS asgiscope_waits_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_waits_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_waits_mv ON CLUSTER 'shop' TO asgiscope_waits_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    ExecutorRole AS Executor,
    count() AS Calls,
    countIf(toUInt32OrZero(SpanAttributes['asgiref.queue.depth']) > 0 OR FindingKind = 'contention') AS Queued,
    sum(otel_traces_local.WaitNs) AS WaitNs,
    max(otel_traces_local.WaitNs) AS LongestNs,
    sumMap(map(toUInt16(greatest(0, least(511, toInt32(floor(log2(greatest(otel_traces_local.WaitNs, 1)) * 16)) - 160))), toUInt64(1))) AS Buckets
FROM otel_traces_local
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY Minute, ServiceName, Executor;

CREATE TABLE IF NOT EXISTS asgiscope_services_local ON CLUSTER 'shop'
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Spans SimpleAggregateFunction(sum, UInt64),
    Processes AggregateFunction(uniq, String),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9)),
    Stalls SimpleAggregateFunction(sum, UInt64),
    BlockedNs SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_services ON CLUSTER 'shop' AS asgiscope_services_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_services_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_services_mv ON CLUSTER 'shop' TO asgiscope_services_local AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    count() AS Spans,
    uniqState(if(
        ResourceAttributes['service.instance.id'] != '',
        ResourceAttributes['service.instance.id'],
        concat(ResourceAttributes['host.name'], ' ', ResourceAttributes['process.pid'])
    )) AS Processes,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    countIf(SpanName = 'event_loop blocked' AND NOT Ongoing) AS Stalls,
    sumIf(BlockedNs, SpanName = 'event_loop blocked' AND NOT Ongoing) AS BlockedNs
FROM otel_traces_local
GROUP BY Minute, ServiceName;

