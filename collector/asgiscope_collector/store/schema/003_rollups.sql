-- Sums by minute. The overview and the lists read these and no spans.
-- Histograms are maps of the buckets that are not empty, of 512: sixteen to a doubling, from 2^10 ns (1 us) up to
-- 2^42 ns (73 min), the exponential histogram of OpenTelemetry at scale 4. analysis/histogram.py reads quantiles
-- from them.

CREATE TABLE IF NOT EXISTS asgiscope_findings
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_findings_mv TO asgiscope_findings AS
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
    min(if(Ongoing, ${max_uint64}, CostNs)) AS SmallestNs,
    maxIf(CostNs, NOT Ongoing) AS LargestNs,
    sumMapIf(map(${bucket_of_cost}, toUInt64(1)), NOT Ongoing) AS Buckets,
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
FROM otel_traces
WHERE FindingId != ''
GROUP BY Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route;

-- Reports of what had not ended yet. Few: whether each has ended since is looked up among the spans.
CREATE TABLE IF NOT EXISTS asgiscope_ongoing
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (FindingId, Timestamp, ServiceName, Route, SpanName, TraceId, SpanId)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_ongoing_mv TO asgiscope_ongoing AS
SELECT Timestamp, FindingId, ServiceName, HttpRoute AS Route, SpanName, TraceId, SpanId, CostNs
FROM otel_traces
WHERE FindingId != '' AND Ongoing;

CREATE TABLE IF NOT EXISTS asgiscope_holders
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_holders_mv TO asgiscope_holders AS
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
    FROM otel_traces
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'held_by'
GROUP BY Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute;

CREATE TABLE IF NOT EXISTS asgiscope_requests
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_requests_mv TO asgiscope_requests AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    count() AS Requests,
    countIf(StatusCode = 'Error' OR toUInt16OrZero(SpanAttributes['http.response.status_code']) >= 500) AS Errors,
    sum(Duration) AS DurationNs,
    max(Duration) AS LongestNs,
    sumMap(map(${bucket_of_duration}, toUInt64(1))) AS Buckets,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.hops'])) AS Hops,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.wait_ns'])) AS WaitNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.run_ns'])) AS RunNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.resume_ns'])) AS ResumeNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.loop_caused_ns'])) AS LoopCausedNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.loop_suffered_ns'])) AS LoopSufferedNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.queries'])) AS Queries,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.query_ns'])) AS QueryNs,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.refusals'])) AS Refusals
FROM otel_traces
WHERE FromAsgiscope AND SpanKind = 'Server' AND NOT Ongoing
GROUP BY Minute, ServiceName, Route, Method;

-- Bridge calls and calls to pools, by the thread they queued for. Queued: behind another call.
CREATE TABLE IF NOT EXISTS asgiscope_waits
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Executor)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_waits_mv TO asgiscope_waits AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    ExecutorRole AS Executor,
    count() AS Calls,
    countIf(toUInt32OrZero(SpanAttributes['asgiref.queue.depth']) > 0 OR FindingKind = 'contention') AS Queued,
    sum(otel_traces.WaitNs) AS WaitNs,
    max(otel_traces.WaitNs) AS LongestNs,
    sumMap(map(${bucket_of_wait}, toUInt64(1))) AS Buckets
FROM otel_traces
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY Minute, ServiceName, Executor;

-- Every service that sends spans: its processes, how long its loops stood still.
CREATE TABLE IF NOT EXISTS asgiscope_services
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_services_mv TO asgiscope_services AS
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
FROM otel_traces
GROUP BY Minute, ServiceName;
