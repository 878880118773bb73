-- Metrics: what OTLP sends, as the engine decodes it, and the five tables that the OpenTelemetry Collector's
-- ClickHouse exporter writes, with its columns. Times keep their nanoseconds, which the exporter's newest tables
-- round to seconds.

CREATE TABLE IF NOT EXISTS otlp_metrics_request
(
    resource_metrics Array(Tuple(
        resource Tuple(attributes ${attributes}),
        schema_url String,
        scope_metrics Array(Tuple(
            scope Tuple(name String, version String, attributes ${attributes}, dropped_attributes_count UInt32),
            schema_url String,
            metrics Array(Tuple(
                name String,
                description String,
                unit String,
                gauge Tuple(data_points Array(${number_point})),
                sum Tuple(data_points Array(${number_point}), aggregation_temporality Int32, is_monotonic Bool),
                histogram Tuple(
                    data_points Array(Tuple(
                        start_time_unix_nano UInt64,
                        time_unix_nano UInt64,
                        count UInt64,
                        sum Float64,
                        bucket_counts Array(UInt64),
                        explicit_bounds Array(Float64),
                        exemplars ${exemplars},
                        attributes ${attributes},
                        flags UInt32,
                        min Float64,
                        max Float64
                    )),
                    aggregation_temporality Int32
                ),
                exponential_histogram Tuple(
                    data_points Array(Tuple(
                        attributes ${attributes},
                        start_time_unix_nano UInt64,
                        time_unix_nano UInt64,
                        count UInt64,
                        sum Float64,
                        scale Int32,
                        zero_count UInt64,
                        positive Tuple(offset Int32, bucket_counts Array(UInt64)),
                        negative Tuple(offset Int32, bucket_counts Array(UInt64)),
                        flags UInt32,
                        exemplars ${exemplars},
                        min Float64,
                        max Float64
                    )),
                    aggregation_temporality Int32
                ),
                summary Tuple(data_points Array(Tuple(
                    start_time_unix_nano UInt64,
                    time_unix_nano UInt64,
                    count UInt64,
                    sum Float64,
                    quantile_values Array(Tuple(quantile Float64, value Float64)),
                    attributes ${attributes},
                    flags UInt32
                )))
            ))
        ))
    ))
)
ENGINE = Null;

-- The same shape without views: what the engine cannot decode is found here, and leaves no trace.
CREATE TABLE IF NOT EXISTS otlp_metrics_check AS otlp_metrics_request
ENGINE = Null;

-- One row a data point of any kind: the request is taken apart once, and the views behind this are plain.
CREATE TABLE IF NOT EXISTS otlp_metrics_point
(
    Kind Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5),
    ${metric_identity},
    AggregationTemporality Int32,
    IsMonotonic Bool,
    Flags UInt32,
    Value Float64,
    Count UInt64,
    Sum Float64,
    Min Float64,
    Max Float64,
    BucketCounts Array(UInt64),
    ExplicitBounds Array(Float64),
    Scale Int32,
    ZeroCount UInt64,
    PositiveOffset Int32,
    PositiveBucketCounts Array(UInt64),
    NegativeOffset Int32,
    NegativeBucketCounts Array(UInt64),
    ValueAtQuantiles Nested(Quantile Float64, Value Float64),
    Exemplars Nested(${exemplar_columns})
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_point_mv TO otlp_metrics_point AS
WITH
    ${text_of_value} AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes_of,
    (bytes -> lower(hex(bytes))) AS id,
    (ns -> fromUnixTimestamp64Nano(toInt64(ns))) AS time,
    CAST([], 'Array(UInt64)') AS no_counts,
    CAST([], 'Array(Float64)') AS no_bounds,
    CAST([], 'Array(Tuple(quantile Float64, value Float64))') AS no_quantiles,
    CAST([] AS ${exemplars}) AS no_exemplars,
    toInt32(0) AS no_int,
    toUInt64(0) AS no_count,
    toFloat64(0) AS no_sum
SELECT
    point.1 AS Kind,
    ResourceAttributes,
    ResourceSchemaUrl,
    ScopeName,
    ScopeVersion,
    ScopeAttributes,
    ScopeDroppedAttrCount,
    ScopeSchemaUrl,
    if(ResourceAttributes['service.name'] = '', 'unknown_service', ResourceAttributes['service.name']) AS ServiceName,
    MetricName,
    MetricDescription,
    MetricUnit,
    maps[1] AS Attributes,
    time(point.3) AS StartTimeUnix,
    time(point.4) AS TimeUnix,
    AggregationTemporality,
    IsMonotonic,
    point.5 AS Flags,
    point.6 AS Value,
    point.7 AS Count,
    point.8 AS Sum,
    point.9 AS Min,
    point.10 AS Max,
    point.11 AS BucketCounts,
    point.12 AS ExplicitBounds,
    point.13 AS Scale,
    point.14 AS ZeroCount,
    point.15 AS PositiveOffset,
    point.16 AS PositiveBucketCounts,
    point.17 AS NegativeOffset,
    point.18 AS NegativeBucketCounts,
    arrayMap(q -> q.quantile, point.19) AS `ValueAtQuantiles.Quantile`,
    arrayMap(q -> q.value, point.19) AS `ValueAtQuantiles.Value`,
    arraySlice(maps, 2) AS `Exemplars.FilteredAttributes`,
    arrayMap(e -> time(e.time_unix_nano), point.20) AS `Exemplars.TimeUnix`,
    arrayMap(e -> if(e.as_int != 0, toFloat64(e.as_int), e.as_double), point.20) AS `Exemplars.Value`,
    arrayMap(e -> id(e.span_id), point.20) AS `Exemplars.SpanId`,
    arrayMap(e -> id(e.trace_id), point.20) AS `Exemplars.TraceId`
FROM
(
    SELECT
        *,
        arrayMap(
            pairs -> attributes_of(pairs), arrayConcat([point.2], arrayMap(e -> e.filtered_attributes, point.20))
        ) AS maps
    FROM
    (
        -- Every kind in one shape: kind, attributes, start, time, flags, value, count, sum, min, max,
        -- buckets and bounds, scale, zeros, positive and negative buckets, quantiles, exemplars.
        SELECT
            ResourceAttributes,
            ResourceSchemaUrl,
            ScopeName,
            ScopeVersion,
            ScopeAttributes,
            ScopeDroppedAttrCount,
            ScopeSchemaUrl,
            -- All that is read of the metric is taken out of it here: joined to its points it would come with each of
            -- them, and all of them with it. It is of one kind; the other kinds' fields are 0.
            metric.name AS MetricName,
            metric.description AS MetricDescription,
            metric.unit AS MetricUnit,
            toInt32(
                metric.sum.aggregation_temporality + metric.histogram.aggregation_temporality
                    + metric.exponential_histogram.aggregation_temporality
            ) AS AggregationTemporality,
            metric.sum.is_monotonic AS IsMonotonic,
            arrayJoin(arrayConcat(
                arrayMap(p -> (
                    if(p.1, 'gauge', 'sum'), p.2.attributes, p.2.start_time_unix_nano, p.2.time_unix_nano,
                    p.2.flags, if(p.2.as_int != 0, toFloat64(p.2.as_int), p.2.as_double),
                    no_count, no_sum, no_sum, no_sum, no_counts, no_bounds, no_int, no_count, no_int, no_counts,
                    no_int, no_counts, no_quantiles, p.2.exemplars
                ), arrayConcat(
                    arrayMap(p -> (true, p), metric.gauge.data_points), arrayMap(p -> (false, p), metric.sum.data_points)
                )),
                arrayMap(p -> (
                    'histogram', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, no_sum,
                    p.count, p.sum, p.min, p.max, p.bucket_counts, p.explicit_bounds, no_int, no_count, no_int,
                    no_counts, no_int, no_counts, no_quantiles, p.exemplars
                ), metric.histogram.data_points),
                arrayMap(p -> (
                    'exponential_histogram', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags,
                    no_sum, p.count, p.sum, p.min, p.max, no_counts, no_bounds, p.scale, p.zero_count,
                    p.positive.offset, p.positive.bucket_counts, p.negative.offset, p.negative.bucket_counts,
                    no_quantiles, p.exemplars
                ), metric.exponential_histogram.data_points),
                arrayMap(p -> (
                    'summary', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, no_sum, p.count,
                    p.sum, no_sum, no_sum, no_counts, no_bounds, no_int, no_count, no_int, no_counts, no_int,
                    no_counts, p.quantile_values, no_exemplars
                ), metric.summary.data_points)
            )) AS point
        FROM
        (
            SELECT
                ResourceAttributes,
                ResourceSchemaUrl,
                scoped.scope.name AS ScopeName,
                scoped.scope.version AS ScopeVersion,
                attributes_of(scoped.scope.attributes) AS ScopeAttributes,
                scoped.scope.dropped_attributes_count AS ScopeDroppedAttrCount,
                scoped.schema_url AS ScopeSchemaUrl,
                arrayJoin(scoped.metrics) AS metric
            FROM
            (
                SELECT
                    attributes_of(sent.resource.attributes) AS ResourceAttributes,
                    sent.schema_url AS ResourceSchemaUrl,
                    arrayJoin(sent.scope_metrics) AS scoped
                FROM (SELECT arrayJoin(resource_metrics) AS sent FROM otlp_metrics_request)
            )
        )
    )
);

CREATE TABLE IF NOT EXISTS otel_metrics_gauge
(
    ${metric_identity},
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested(${exemplar_columns}) CODEC(ZSTD(1))
)
${metric_storage};

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_gauge_mv TO otel_metrics_gauge AS
SELECT
    ${metric_identity_names},
    Value, Flags, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'gauge';

CREATE TABLE IF NOT EXISTS otel_metrics_sum
(
    ${metric_identity},
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested(${exemplar_columns}) CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    IsMonotonic Boolean CODEC(Delta, ZSTD(1))
)
${metric_storage};

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_sum_mv TO otel_metrics_sum AS
SELECT
    ${metric_identity_names},
    Value, Flags, AggregationTemporality, IsMonotonic, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'sum';

CREATE TABLE IF NOT EXISTS otel_metrics_histogram
(
    ${metric_identity},
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    Exemplars Nested(${exemplar_columns}) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1))
)
${metric_storage};

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_histogram_mv TO otel_metrics_histogram AS
SELECT
    ${metric_identity_names},
    Count, Sum, BucketCounts, ExplicitBounds, Flags, Min, Max, AggregationTemporality, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'histogram';

CREATE TABLE IF NOT EXISTS otel_metrics_exponential_histogram
(
    ${metric_identity},
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)),
    ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)),
    PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)),
    NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    Exemplars Nested(${exemplar_columns}) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1))
)
${metric_storage};

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_exponential_histogram_mv TO otel_metrics_exponential_histogram AS
SELECT
    ${metric_identity_names},
    Count, Sum, Scale, ZeroCount, PositiveOffset, PositiveBucketCounts, NegativeOffset,
    NegativeBucketCounts, Flags, Min, Max, AggregationTemporality, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'exponential_histogram';

CREATE TABLE IF NOT EXISTS otel_metrics_summary
(
    ${metric_identity},
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    ValueAtQuantiles Nested(Quantile Float64, Value Float64) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1))
)
${metric_storage};

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_summary_mv TO otel_metrics_summary AS
SELECT
    ${metric_identity_names},
    Count, Sum, `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`, Flags
FROM otlp_metrics_point
WHERE Kind = 'summary';

-- Which metrics there are: lists read this and no points.
CREATE TABLE IF NOT EXISTS asgiscope_metrics
(
    Hour DateTime,
    ServiceName LowCardinality(String),
    MetricName LowCardinality(String),
    Kind LowCardinality(String),
    MetricUnit LowCardinality(String),
    AggregationTemporality Int32,
    IsMonotonic Bool,
    MetricDescription SimpleAggregateFunction(anyLast, String),
    Points SimpleAggregateFunction(sum, UInt64),
    AttributeKeys SimpleAggregateFunction(groupUniqArrayArray(100), Array(String)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Hour)
ORDER BY (ServiceName, MetricName, Kind, MetricUnit, AggregationTemporality, IsMonotonic, Hour)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_metrics_mv TO asgiscope_metrics AS
SELECT
    toStartOfHour(TimeUnix) AS Hour,
    ServiceName,
    MetricName,
    toString(Kind) AS Kind,
    MetricUnit,
    AggregationTemporality,
    IsMonotonic,
    anyLast(otlp_metrics_point.MetricDescription) AS MetricDescription,
    count() AS Points,
    groupUniqArrayArray(100)(arrayMap(key -> toString(key), mapKeys(Attributes))) AS AttributeKeys,
    max(TimeUnix) AS LastSeen
FROM otlp_metrics_point
GROUP BY Hour, ServiceName, MetricName, Kind, MetricUnit, AggregationTemporality, IsMonotonic;
