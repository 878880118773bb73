-- Which segment of a collector's spool a row came with. After a crash or an error the collector finds by this what of
-- a segment is stored: the engine's own notes of tokens can be there without the rows, or be gone before them.
-- Rows that another program inserts have the token that it gave, or none.
ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_gauge
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_sum
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_histogram
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_exponential_histogram
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_summary
    ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

-- A row a trace and minute, so that every row of every rollup comes of the spans of one minute and can be made anew
-- of them alone. A trace that went on into the next minute was one row before.
ALTER TABLE otel_traces_trace_id_ts_mv MODIFY QUERY
SELECT
    TraceId,
    toDateTime(min(Timestamp)) AS Start,
    toDateTime(max(Timestamp)) AS End,
    countIf(NOT Ongoing) AS Spans
FROM otel_traces
GROUP BY TraceId, toStartOfMinute(Timestamp);
