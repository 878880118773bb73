-- What requests were answered: errors in the tallies too, and in every rollup of requests the class of the status,
-- its first digit, 0 where no answer began. Rows from before know no classes: their requests are those that the
-- classes do not add up to. The requests of other SDKs get what those of asgiscope have.

ALTER TABLE asgiscope_tally_requests
    ADD COLUMN IF NOT EXISTS Errors SimpleAggregateFunction(sum, UInt64),
    ADD COLUMN IF NOT EXISTS Responses SimpleAggregateFunction(sumMap, Map(UInt8, UInt64));

ALTER TABLE asgiscope_tally_requests_coarse
    ADD COLUMN IF NOT EXISTS Errors SimpleAggregateFunction(sum, UInt64),
    ADD COLUMN IF NOT EXISTS Responses SimpleAggregateFunction(sumMap, Map(UInt8, UInt64));

ALTER TABLE asgiscope_tally_requests_coarse_mv MODIFY QUERY
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_tally_requests;

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
    sumMapIf(
        map(toUInt8OrZero(substring(Attributes['asgiscope.response.class'], 1, 1)), number(Value)),
        MetricName = 'asgiscope.request.responses'
    ) AS Responses
FROM otlp_metrics_point
WHERE ${tally_points} AND (
    (is_duration AND Kind = 'exponential_histogram') OR (startsWith(MetricName, 'asgiscope.request.') AND Kind = 'sum')
)
GROUP BY Minute, ServiceName, ServiceVersion, Environment, Route;

ALTER TABLE asgiscope_requests
    ADD COLUMN IF NOT EXISTS Responses SimpleAggregateFunction(sumMap, Map(UInt8, UInt64));

ALTER TABLE asgiscope_requests_coarse
    ADD COLUMN IF NOT EXISTS Responses SimpleAggregateFunction(sumMap, Map(UInt8, UInt64));

ALTER TABLE asgiscope_requests_coarse_mv MODIFY QUERY
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_requests;

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
    sumMap(map(${class_of_response}, toUInt64(1))) AS Responses
FROM otel_traces
WHERE FromAsgiscope AND SpanKind = 'Server' AND NOT Ongoing
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;

ALTER TABLE asgiscope_other_requests
    ADD COLUMN IF NOT EXISTS LongestNs SimpleAggregateFunction(max, UInt64),
    ADD COLUMN IF NOT EXISTS Buckets SimpleAggregateFunction(sumMap, Map(UInt16, Float64)),
    ADD COLUMN IF NOT EXISTS Responses SimpleAggregateFunction(sumMap, Map(UInt8, Float64)),
    ADD COLUMN IF NOT EXISTS Environment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS Version LowCardinality(String),
    MODIFY ORDER BY (Minute, ServiceName, Route, Method, Environment, Version);

ALTER TABLE asgiscope_other_requests_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    Environment,
    Version,
    sum(Weight) AS Requests,
    sumIf(
        Weight, StatusCode = 'Error' OR toUInt16OrZero(SpanAttributes['http.response.status_code']) >= 500
    ) AS Errors,
    sum(Weight * Duration) AS DurationNs,
    max(Duration) AS LongestNs,
    sumMap(map(${bucket_of_duration}, Weight)) AS Buckets,
    sumMap(map(${class_of_response}, Weight)) AS Responses
FROM otel_traces
WHERE NOT FromAsgiscope AND SpanKind = 'Server'
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;

-- Whether asgiscope runs in the service: of another SDK's nobody knows whether its loops were blocked. What is older
-- than this column counts as watched.
ALTER TABLE asgiscope_services
    ADD COLUMN IF NOT EXISTS Watched SimpleAggregateFunction(max, UInt8) DEFAULT 1;

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
    maxIf(otel_traces.BlockedNs, SpanName = 'event_loop blocked' AND NOT Ongoing) AS LongestStallNs,
    max(FromAsgiscope) AS Watched
FROM otel_traces
GROUP BY Minute, ServiceName, Environment, Version;
