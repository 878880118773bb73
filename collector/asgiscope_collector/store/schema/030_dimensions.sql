-- Environments and versions in every rollup, so that each question can be asked of one of them and two releases
-- compared. What was stored before keeps its sums, without an environment and a version.
-- A store of before 0.1.0 has a counter for each of 512 buckets, in a column Histogram, where 003 makes a map of
-- those that are not empty: a map costs a fiftieth to write, and a fortieth to merge (170,000 rows: 7 ms against
-- 300). Such a store loses the quantiles of what it has.

ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String) MATERIALIZED if(
        ResourceAttributes['deployment.environment.name'] != '',
        ResourceAttributes['deployment.environment.name'],
        ResourceAttributes['deployment.environment']
    ),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String) MATERIALIZED ResourceAttributes['service.version'];

ALTER TABLE asgiscope_trace_index ADD COLUMN IF NOT EXISTS Environment LowCardinality(String);

ALTER TABLE asgiscope_trace_index_mv MODIFY QUERY
SELECT
    Timestamp,
    TraceId,
    multiIf(FromAsgiscope AND SpanKind = 'Server', 0, ParentSpanId = '', 1, 2) AS Rank,
    FindingId,
    ServiceName,
    Environment,
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

ALTER TABLE asgiscope_findings
    ADD COLUMN IF NOT EXISTS Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    MODIFY ORDER BY (Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route, Environment, Version);

ALTER TABLE asgiscope_findings_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    FindingKind,
    ServiceName,
    CodeFunction,
    CodeFile,
    HttpRoute AS Route,
    Environment,
    Version,
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
GROUP BY Minute, FindingId, FindingKind, ServiceName, CodeFunction, CodeFile, Route, Environment, Version;

ALTER TABLE asgiscope_findings DROP COLUMN IF EXISTS Histogram;

ALTER TABLE asgiscope_requests
    ADD COLUMN IF NOT EXISTS Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    MODIFY ORDER BY (Minute, ServiceName, Route, Method, Environment, Version);

ALTER TABLE asgiscope_requests_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    Environment,
    Version,
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
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;

ALTER TABLE asgiscope_requests DROP COLUMN IF EXISTS Histogram;

ALTER TABLE asgiscope_waits
    ADD COLUMN IF NOT EXISTS Buckets SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)),
    ADD COLUMN IF NOT EXISTS RunNs SimpleAggregateFunction(sum, UInt64),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    MODIFY ORDER BY (Minute, ServiceName, Executor, Environment, Version);

ALTER TABLE asgiscope_waits_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    ExecutorRole AS Executor,
    Environment,
    Version,
    count() AS Calls,
    countIf(toUInt32OrZero(SpanAttributes['asgiref.queue.depth']) > 0 OR FindingKind = 'contention') AS Queued,
    sum(otel_traces.WaitNs) AS WaitNs,
    max(otel_traces.WaitNs) AS LongestNs,
    sumMap(map(${bucket_of_wait}, toUInt64(1))) AS Buckets,
    sum(toUInt64OrZero(SpanAttributes['asgiref.run_ns'])) AS RunNs
FROM otel_traces
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY Minute, ServiceName, Executor, Environment, Version;

ALTER TABLE asgiscope_waits DROP COLUMN IF EXISTS Histogram;

ALTER TABLE asgiscope_services
    ADD COLUMN IF NOT EXISTS LongestStallNs SimpleAggregateFunction(max, UInt64),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    MODIFY ORDER BY (Minute, ServiceName, Environment, Version);

ALTER TABLE asgiscope_services_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    Environment,
    Version,
    count() AS Spans,
    uniqState(if(
        ResourceAttributes['service.instance.id'] != '',
        ResourceAttributes['service.instance.id'],
        concat(ResourceAttributes['host.name'], ' ', ResourceAttributes['process.pid'])
    )) AS Processes,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    countIf(SpanName = 'event_loop blocked' AND NOT Ongoing) AS Stalls,
    sumIf(BlockedNs, SpanName = 'event_loop blocked' AND NOT Ongoing) AS BlockedNs,
    maxIf(otel_traces.BlockedNs, SpanName = 'event_loop blocked' AND NOT Ongoing) AS LongestStallNs
FROM otel_traces
GROUP BY Minute, ServiceName, Environment, Version;

ALTER TABLE asgiscope_holders
    ADD COLUMN IF NOT EXISTS ServiceName LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Executor LowCardinality(String),
    MODIFY ORDER BY (
        Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute,
        ServiceName, Environment, Version, Executor
    );

ALTER TABLE asgiscope_holders_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    HttpRoute AS Route,
    link.2['asgiscope.link.function'] AS HolderFunction,
    link.2['code.function.name'] AS CodeFunction,
    link.2['code.file.path'] AS CodeFile,
    link.2['http.route'] AS HolderRoute,
    ServiceName,
    Environment,
    Version,
    ExecutorRole AS Executor,
    sum(toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS OverlapNs,
    count() AS Waits,
    argMaxState(toUInt32OrZero(link.2['code.line.number']), Timestamp) AS Line,
    argMaxState(link.1, toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS LongestTrace
FROM
(
    SELECT
        Timestamp, FindingId, HttpRoute, ServiceName, Environment, Version, ExecutorRole,
        arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'held_by'
GROUP BY
    Minute, FindingId, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute,
    ServiceName, Environment, Version, Executor;
