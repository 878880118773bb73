-- What the questions beyond the overview read: calls by call site, victims by route, days of findings and of
-- releases, middleware chains, and what people decided.

-- Bridge calls and calls to pools by function, call site and route: hops, pools, the shared thread's strip.
CREATE TABLE IF NOT EXISTS asgiscope_calls
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware
)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_calls_mv TO asgiscope_calls AS
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
    argMax(CodeLine, Timestamp) AS Line
FROM otel_traces
WHERE FromAsgiscope AND ExecutorRole != '' AND NOT Ongoing
GROUP BY
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware;

-- Whose requests a finding delayed, by their route.
CREATE TABLE IF NOT EXISTS asgiscope_victims
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Environment, Version, VictimRoute)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_victims_mv TO asgiscope_victims AS
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
    FROM otel_traces
    WHERE FindingId != '' AND NOT Ongoing
)
WHERE link.2['asgiscope.link'] = 'delayed'
GROUP BY Minute, FindingId, Environment, Version, VictimRoute;

-- Since when a finding is known, and in which versions: a row a day, so that a month costs thirty.
CREATE TABLE IF NOT EXISTS asgiscope_finding_days
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Day)
ORDER BY (FindingId, Day, FindingKind, ServiceName, Environment, Version)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_days_mv TO asgiscope_finding_days AS
SELECT
    toDate(Minute) AS Day,
    FindingId,
    FindingKind,
    ServiceName,
    Environment,
    Version,
    sum(asgiscope_findings.Occurrences) AS Occurrences,
    min(asgiscope_findings.FirstSeen) AS FirstSeen,
    max(asgiscope_findings.LastSeen) AS LastSeen
FROM asgiscope_findings
GROUP BY Day, FindingId, FindingKind, ServiceName, Environment, Version;

CREATE TABLE IF NOT EXISTS asgiscope_releases
(
    Day Date,
    ServiceName LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Day)
ORDER BY (ServiceName, Environment, Version, Day)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_releases_mv TO asgiscope_releases AS
SELECT
    toDate(Minute) AS Day,
    ServiceName,
    Environment,
    Version,
    min(asgiscope_services.FirstSeen) AS FirstSeen,
    max(asgiscope_services.LastSeen) AS LastSeen
FROM asgiscope_services
GROUP BY Day, ServiceName, Environment, Version;

-- Middleware chains as they were loaded. The lists are JSON, as spans carry them.
CREATE TABLE IF NOT EXISTS asgiscope_chains
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
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Day)
ORDER BY (ServiceName, Environment, Version, Day, Names, Modes, Adapted)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_chains_mv TO asgiscope_chains AS
SELECT
    toDate(Timestamp) AS Day,
    ServiceName,
    Environment,
    Version,
    SpanAttributes['asgiscope.middleware.names'] AS Names,
    SpanAttributes['asgiscope.middleware.modes'] AS Modes,
    SpanAttributes['asgiscope.middleware.adapted'] AS Adapted,
    max(Timestamp) AS Loaded
FROM otel_traces
WHERE FromAsgiscope AND SpanName = 'middleware chain'
GROUP BY Day, ServiceName, Environment, Version, Names, Modes, Adapted;

-- What people decided, never changed: the newest row of a finding is its state, all of them are its history.
CREATE TABLE IF NOT EXISTS asgiscope_decisions
(
    FindingId String,
    DecidedAt DateTime64(9),
    State LowCardinality(String),
    Reason String,
    DecidedBy String
)
ENGINE = MergeTree
ORDER BY (FindingId, DecidedAt)
SETTINGS ${table_settings};
