-- How many spans a span stands for: OpenTelemetry's consistent probability sampling leaves the rejection threshold
-- in the trace state (`ot=th:8` keeps one in two; up to 14 hexadecimal digits, zeros at the end left out). Ours are
-- not weighed: what is notable is always sent, and the tallies count the rest.
-- See opentelemetry.io/docs/specs/otel/trace/tracestate-handling, "Sampling threshold value `th`".
ALTER TABLE otel_traces ADD COLUMN IF NOT EXISTS Weight Float64 MATERIALIZED if(
    FromAsgiscope OR TraceState = '',
    1,
    72057594037927936 / (72057594037927936 - reinterpretAsUInt64(reverse(unhex(rightPad(
        extract(TraceState, '(?:^|,)[ \\t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?:[;, \\t]|$$)'), 14, '0'
    )))))
);

-- Server spans of other SDKs, each as many times as its weight: a service without asgiscope has rates too.
CREATE TABLE IF NOT EXISTS asgiscope_other_requests
(
    Minute DateTime,
    ServiceName LowCardinality(String),
    Route LowCardinality(String),
    Method LowCardinality(String),
    Requests SimpleAggregateFunction(sum, Float64),
    Errors SimpleAggregateFunction(sum, Float64),
    DurationNs SimpleAggregateFunction(sum, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_other_requests_mv TO asgiscope_other_requests AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    HttpRoute AS Route,
    SpanAttributes['http.request.method'] AS Method,
    sum(Weight) AS Requests,
    sumIf(Weight, StatusCode = 'Error') AS Errors,
    sum(Weight * Duration) AS DurationNs
FROM otel_traces
WHERE NOT FromAsgiscope AND SpanKind = 'Server'
GROUP BY Minute, ServiceName, Route, Method;
