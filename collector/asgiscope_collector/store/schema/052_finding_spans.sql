-- The spans of a finding in the order of their times: the index of traces has them among all others.
CREATE TABLE IF NOT EXISTS asgiscope_finding_spans
(
    FindingId LowCardinality(String),
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    Environment LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (FindingId, Timestamp)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_spans_mv TO asgiscope_finding_spans AS
SELECT FindingId, Timestamp, TraceId, Environment
FROM otel_traces
WHERE FindingId != '';
