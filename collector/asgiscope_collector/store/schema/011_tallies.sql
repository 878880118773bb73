-- asgiscope's own tallies, by minute: every request, bridge call and stall, whatever the sampling of traces. They
-- are the denominators of the rollups that come from spans (003_rollups.sql). They arrive as OTLP metrics of the
-- scope `asgiscope` with delta temporality (METRIC_* of semconv.py), so sums over them are exact.
--
-- Durations are seconds on the wire and nanoseconds here, as everywhere in the rollups. A histogram is OTLP's
-- exponential one at scale 4, in seconds: a map from a bucket's index i to the count of what is over 2^(i/16) s and
-- at most 2^((i+1)/16) s; exact zeros are counted beside it. Other scales are brought to 4. `sumMap` adds them.

CREATE TABLE IF NOT EXISTS asgiscope_tally_requests
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    ServiceVersion LowCardinality(String),
    Environment LowCardinality(String),
    Route LowCardinality(String),
    Requests SimpleAggregateFunction(sum, UInt64),
    DurationNs SimpleAggregateFunction(sum, UInt64),
    LongestNs SimpleAggregateFunction(max, UInt64),
    Zeros SimpleAggregateFunction(sum, UInt64),
    Histogram SimpleAggregateFunction(sumMap, ${tally_histogram}),
    Hops SimpleAggregateFunction(sum, UInt64),
    Queries SimpleAggregateFunction(sum, UInt64),
    Refusals SimpleAggregateFunction(sum, UInt64),
    WaitNs SimpleAggregateFunction(sum, UInt64),
    RunNs SimpleAggregateFunction(sum, UInt64),
    ResumeNs SimpleAggregateFunction(sum, UInt64),
    LoopCausedNs SimpleAggregateFunction(sum, UInt64),
    LoopSufferedNs SimpleAggregateFunction(sum, UInt64),
    QueryNs SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_requests_mv TO asgiscope_tally_requests AS
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
    sum(ns_of('query_time')) AS QueryNs
FROM otlp_metrics_point
WHERE ${tally_points} AND (
    (is_duration AND Kind = 'exponential_histogram') OR (startsWith(MetricName, 'asgiscope.request.') AND Kind = 'sum')
)
GROUP BY Minute, ServiceName, ServiceVersion, Environment, Route;

-- Bridge calls and calls to pools: Function is the one that crosses, Executor the role of the thread it ran on.
CREATE TABLE IF NOT EXISTS asgiscope_tally_bridge
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    ServiceVersion LowCardinality(String),
    Environment LowCardinality(String),
    Function LowCardinality(String),
    Executor LowCardinality(String),
    Route LowCardinality(String),
    Calls SimpleAggregateFunction(sum, UInt64),
    WaitNs SimpleAggregateFunction(sum, UInt64),
    LongestWaitNs SimpleAggregateFunction(max, UInt64),
    WaitZeros SimpleAggregateFunction(sum, UInt64),
    WaitHistogram SimpleAggregateFunction(sumMap, ${tally_histogram}),
    Runs SimpleAggregateFunction(sum, UInt64),
    RunNs SimpleAggregateFunction(sum, UInt64),
    LongestRunNs SimpleAggregateFunction(max, UInt64),
    RunZeros SimpleAggregateFunction(sum, UInt64),
    RunHistogram SimpleAggregateFunction(sumMap, ${tally_histogram}),
    ResumeNs SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Executor, Function, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_bridge_mv TO asgiscope_tally_bridge AS
WITH
    ${tally_number} AS number,
    ${tally_buckets} AS buckets_of,
    MetricName = 'asgiscope.bridge.wait' AS is_wait,
    MetricName = 'asgiscope.bridge.run' AS is_run,
    buckets_of(PositiveOffset, Scale, PositiveBucketCounts) AS buckets
SELECT
    toStartOfMinute(TimeUnix) AS Minute,
    ServiceName,
    ${tally_release},
    Attributes['asgiref.function'] AS Function,
    Attributes['asgiref.executor'] AS Executor,
    Attributes['http.route'] AS Route,
    sumIf(Count, is_wait) AS Calls,
    sum(if(is_wait, number(Sum * 1e9), 0)) AS WaitNs,
    max(if(is_wait, number(Max * 1e9), 0)) AS LongestWaitNs,
    sumIf(ZeroCount, is_wait) AS WaitZeros,
    sumMapIf(buckets, is_wait) AS WaitHistogram,
    sumIf(Count, is_run) AS Runs,
    sum(if(is_run, number(Sum * 1e9), 0)) AS RunNs,
    max(if(is_run, number(Max * 1e9), 0)) AS LongestRunNs,
    sumIf(ZeroCount, is_run) AS RunZeros,
    sumMapIf(buckets, is_run) AS RunHistogram,
    sum(if(MetricName = 'asgiscope.bridge.resume', number(Value * 1e9), 0)) AS ResumeNs
FROM otlp_metrics_point
WHERE ${tally_points} AND (
    ((is_wait OR is_run) AND Kind = 'exponential_histogram') OR (MetricName = 'asgiscope.bridge.resume' AND Kind = 'sum')
)
GROUP BY Minute, ServiceName, ServiceVersion, Environment, Function, Executor, Route;

-- Event loops: stalls by their cause; how long the loops were watched and how late their beats came, without one.
-- Dropped and faults: what the sender lost, so that nobody takes a gap for health.
CREATE TABLE IF NOT EXISTS asgiscope_tally_loop
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    ServiceVersion LowCardinality(String),
    Environment LowCardinality(String),
    Cause LowCardinality(String),
    Stalls SimpleAggregateFunction(sum, UInt64),
    BlockedNs SimpleAggregateFunction(sum, UInt64),
    LongestNs SimpleAggregateFunction(max, UInt64),
    Histogram SimpleAggregateFunction(sumMap, ${tally_histogram}),
    WatchedNs SimpleAggregateFunction(sum, UInt64),
    Beats SimpleAggregateFunction(sum, UInt64),
    LagNs SimpleAggregateFunction(sum, UInt64),
    LongestLagNs SimpleAggregateFunction(max, UInt64),
    LagZeros SimpleAggregateFunction(sum, UInt64),
    LagHistogram SimpleAggregateFunction(sumMap, ${tally_histogram}),
    Dropped SimpleAggregateFunction(sum, UInt64),
    Faults SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Cause)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_loop_mv TO asgiscope_tally_loop AS
WITH
    ${tally_number} AS number,
    ${tally_buckets} AS buckets_of,
    MetricName = 'asgiscope.loop.blocked' AS is_stall,
    MetricName = 'asgiscope.loop.lag' AS is_lag,
    buckets_of(PositiveOffset, Scale, PositiveBucketCounts) AS buckets
SELECT
    toStartOfMinute(TimeUnix) AS Minute,
    ServiceName,
    ${tally_release},
    Attributes['asgiscope.cause'] AS Cause,
    sumIf(Count, is_stall) AS Stalls,
    sum(if(is_stall, number(Sum * 1e9), 0)) AS BlockedNs,
    max(if(is_stall, number(Max * 1e9), 0)) AS LongestNs,
    sumMapIf(buckets, is_stall) AS Histogram,
    sum(if(MetricName = 'asgiscope.loop.time', number(Value * 1e9), 0)) AS WatchedNs,
    sumIf(Count, is_lag) AS Beats,
    sum(if(is_lag, number(Sum * 1e9), 0)) AS LagNs,
    max(if(is_lag, number(Max * 1e9), 0)) AS LongestLagNs,
    sumIf(ZeroCount, is_lag) AS LagZeros,
    sumMapIf(buckets, is_lag) AS LagHistogram,
    sum(if(MetricName = 'asgiscope.dropped', number(Value), 0)) AS Dropped,
    sum(if(MetricName = 'asgiscope.faults', number(Value), 0)) AS Faults
FROM otlp_metrics_point
WHERE ${tally_points} AND (
    ((is_stall OR is_lag) AND Kind = 'exponential_histogram')
    OR (MetricName IN ('asgiscope.loop.time', 'asgiscope.dropped', 'asgiscope.faults') AND Kind = 'sum')
)
GROUP BY Minute, ServiceName, ServiceVersion, Environment, Cause;
