-- Messages of consumers and background tasks that a finding delayed, apart from requests. Only spans that have such
-- victims make a row.
CREATE TABLE IF NOT EXISTS asgiscope_background_victims
(
    Minute DateTime,
    FindingId LowCardinality(String),
    Environment LowCardinality(String),
    Version LowCardinality(String),
    Route LowCardinality(String),
    Messages SimpleAggregateFunction(sum, UInt64),
    Tasks SimpleAggregateFunction(sum, UInt64),
    LostNs SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, FindingId, Environment, Version, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_background_victims_mv TO asgiscope_background_victims AS
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    FindingId,
    Environment,
    Version,
    HttpRoute AS Route,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.messages'])) AS Messages,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.tasks'])) AS Tasks,
    sum(toUInt64OrZero(SpanAttributes['asgiscope.finding.background_ns'])) AS LostNs
FROM otel_traces
WHERE FindingId != '' AND NOT Ongoing AND mapContains(SpanAttributes, 'asgiscope.finding.background_ns')
GROUP BY Minute, FindingId, Environment, Version, Route;
