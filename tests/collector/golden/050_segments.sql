ALTER TABLE otel_traces_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_traces ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_gauge_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_gauge ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_sum_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_sum ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_histogram_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_histogram ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_exponential_histogram_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_exponential_histogram ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_summary_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_metrics_summary ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS Segment LowCardinality(String) DEFAULT getSetting('insert_deduplication_token');

ALTER TABLE otel_traces_trace_id_ts_mv ON CLUSTER 'shop' MODIFY QUERY
SELECT
    TraceId,
    toDateTime(min(Timestamp)) AS Start,
    toDateTime(max(Timestamp)) AS End,
    countIf(NOT Ongoing) AS Spans
FROM otel_traces_local
GROUP BY TraceId, toStartOfMinute(Timestamp);

