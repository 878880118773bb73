-- What requests lose to hops: each instant of a request once, however many of its calls wait side by side. Rows from
-- before, and senders that do not say, have wait and resume delay of every call, of a request its duration at most.
-- A victim's route counts a request once a finding, as the finding itself does.

ALTER TABLE asgiscope_tally_requests
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_tally_requests_coarse
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_requests
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_requests_coarse
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_calls
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_calls_coarse
    ADD COLUMN IF NOT EXISTS OverheadNs SimpleAggregateFunction(sum, UInt64) DEFAULT WaitNs + ResumeNs;

ALTER TABLE asgiscope_tally_requests_coarse_mv MODIFY QUERY
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_tally_requests;

ALTER TABLE asgiscope_requests_coarse_mv MODIFY QUERY
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_requests;

ALTER TABLE asgiscope_calls_coarse_mv MODIFY QUERY
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_calls;

ALTER TABLE asgiscope_tally_requests_mv MODIFY QUERY
WITH
    ${tally_number} AS number,
    ${tally_buckets} AS buckets_of,
    MetricName = 'asgiscope.request.duration' AS is_duration,
    (suffix -> if(MetricName = concat('asgiscope.request.', suffix), number(Value), 0)) AS count_of,
    (suffix -> if(MetricName = concat('asgiscope.request.', suffix), number(Value * 1e9), 0)) AS ns_of
SELECT
    toStartOfMinute(TimeUnix) AS Minute,
    ServiceName,
    ${tally_release},
    Attributes['http.route'] AS Route,
    sum(Count) AS Requests,
    sum(if(is_duration, number(Sum * 1e9), 0)) AS DurationNs,
    max(if(is_duration, number(Max * 1e9), 0)) AS LongestNs,
    sum(ZeroCount) AS Zeros,
    sumMap(buckets_of(PositiveOffset, Scale, PositiveBucketCounts)) AS Histogram,
    sum(count_of('hops')) AS Hops,
    sum(count_of('queries')) AS Queries,
    sum(count_of('refusals')) AS Refusals,
    sum(ns_of('wait')) AS WaitNs,
    sum(ns_of('run')) AS RunNs,
    sum(ns_of('resume')) AS ResumeNs,
    sum(ns_of('loop_caused')) AS LoopCausedNs,
    sum(ns_of('loop_suffered')) AS LoopSufferedNs,
    sum(ns_of('query_time')) AS QueryNs,
    sum(count_of('errors')) AS Errors,
    sum(ns_of('overhead')) AS OverheadNs,
    sumMapIf(
        map(toUInt8OrZero(substring(Attributes['asgiscope.response.class'], 1, 1)), number(Value)),
        MetricName = 'asgiscope.request.responses'
    ) AS Responses
FROM otlp_metrics_point
WHERE ${tally_points} AND (
    (is_duration AND Kind = 'exponential_histogram') OR (startsWith(MetricName, 'asgiscope.request.') AND Kind = 'sum')
)
GROUP BY Minute, ServiceName, ServiceVersion, Environment, Route;

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
    sum(toUInt64OrZero(SpanAttributes['asgiscope.request.refusals'])) AS Refusals,
    sumMap(map(${class_of_response}, toUInt64(1))) AS Responses,
    sum(if(
        mapContains(SpanAttributes, 'asgiscope.request.overhead_ns'),
        toUInt64OrZero(SpanAttributes['asgiscope.request.overhead_ns']),
        least(
            Duration,
            toUInt64OrZero(SpanAttributes['asgiscope.request.wait_ns'])
                + toUInt64OrZero(SpanAttributes['asgiscope.request.resume_ns'])
        )
    )) AS OverheadNs
FROM otel_traces
WHERE FromAsgiscope AND SpanKind = 'Server' AND NOT Ongoing
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;

ALTER TABLE asgiscope_calls_mv MODIFY QUERY
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
    sum(otel_traces.WaitNs) AS WaitNs,
    sum(toUInt64OrZero(SpanAttributes['asgiref.run_ns'])) AS RunNs,
    sum(toUInt64OrZero(SpanAttributes['asgiref.resume_ns'])) AS ResumeNs,
    max(otel_traces.WaitNs) AS LongestNs,
    sumMap(map(${bucket_of_wait}, toUInt64(1))) AS Buckets,
    argMax(CodeLine, Timestamp) AS Line,
    sum(if(
        mapContains(SpanAttributes, 'asgiref.overhead_ns'),
        toUInt64OrZero(SpanAttributes['asgiref.overhead_ns']),
        otel_traces.WaitNs + toUInt64OrZero(SpanAttributes['asgiref.resume_ns'])
    )) AS OverheadNs
FROM otel_traces
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware;

ALTER TABLE asgiscope_victims_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    Environment,
    Version,
    link.2['http.route'] AS VictimRoute,
    countIf(
        NOT mapContains(link.2, 'asgiscope.link.added') OR link.2['asgiscope.link.added'] = 'true'
    ) AS Delays,
    sum(toUInt64OrZero(link.2[
        if(mapContains(link.2, 'asgiscope.link.added_ns'), 'asgiscope.link.added_ns', 'asgiscope.overlap_ns')
    ])) AS OverlapNs,
    argMaxState(link.1, toUInt64OrZero(link.2['asgiscope.overlap_ns'])) AS LongestTrace
FROM
(
    SELECT
        Timestamp, FindingId, Environment, Version,
        arrayJoin(arrayZip(Links.TraceId, Links.Attributes)) AS link
    FROM otel_traces
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'delayed'
GROUP BY Minute, FindingId, Environment, Version, VictimRoute;
