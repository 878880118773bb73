CREATE TABLE IF NOT EXISTS otlp_metrics_request ON CLUSTER 'shop'
(
    resource_metrics Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String)))),
        schema_url String,
        scope_metrics Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))), dropped_attributes_count UInt32),
            schema_url String,
            metrics Array(Tuple(
                name String,
                description String,
                unit String,
                gauge Tuple(data_points Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, as_double Float64, exemplars Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, filtered_attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))), as_int Int64, attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))), flags UInt32))),
                sum Tuple(data_points Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, as_double Float64, exemplars Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, filtered_attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))), as_int Int64, attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))), flags UInt32)), aggregation_temporality Int32, is_monotonic Bool),
                histogram Tuple(
                    data_points Array(Tuple(
                        start_time_unix_nano UInt64,
                        time_unix_nano UInt64,
                        count UInt64,
                        sum Float64,
                        bucket_counts Array(UInt64),
                        explicit_bounds Array(Float64),
                        exemplars Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, filtered_attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))),
                        attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))),
                        flags UInt32,
                        min Float64,
                        max Float64
                    )),
                    aggregation_temporality Int32
                ),
                exponential_histogram Tuple(
                    data_points Array(Tuple(
                        attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))),
                        start_time_unix_nano UInt64,
                        time_unix_nano UInt64,
                        count UInt64,
                        sum Float64,
                        scale Int32,
                        zero_count UInt64,
                        positive Tuple(offset Int32, bucket_counts Array(UInt64)),
                        negative Tuple(offset Int32, bucket_counts Array(UInt64)),
                        flags UInt32,
                        exemplars Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, filtered_attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))))),
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
                    attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String))),
                    flags UInt32
                )))
            ))
        ))
    ))
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS otlp_metrics_check ON CLUSTER 'shop' AS otlp_metrics_request
ENGINE = Null;

CREATE TABLE IF NOT EXISTS otlp_metrics_point ON CLUSTER 'shop'
(
    Kind Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
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
    Exemplars Nested(FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_point_mv ON CLUSTER 'shop' TO otlp_metrics_point AS
WITH
    (v -> multiIf(v.string_value != '', v.string_value, v.int_value IS NOT NULL, toString(assumeNotNull(v.int_value)), v.bool_value IS NOT NULL, if(assumeNotNull(v.bool_value), 'true', 'false'), v.double_value IS NOT NULL, toString(assumeNotNull(v.double_value)), hex(v.bytes_value))) AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes_of,
    (bytes -> lower(hex(bytes))) AS id,
    (ns -> fromUnixTimestamp64Nano(toInt64(ns))) AS time,
    CAST([], 'Array(UInt64)') AS no_counts,
    CAST([], 'Array(Float64)') AS no_bounds,
    CAST([], 'Array(Tuple(quantile Float64, value Float64))') AS no_quantiles,
    CAST([] AS Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, filtered_attributes Array(Tuple(key String, value Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value String)))))) AS no_exemplars,
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

CREATE TABLE IF NOT EXISTS otel_metrics_gauge_local ON CLUSTER 'shop'
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested(FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_metrics_gauge ON CLUSTER 'shop' AS otel_metrics_gauge_local
ENGINE = Distributed('shop', 'traces', 'otel_metrics_gauge_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_gauge_mv ON CLUSTER 'shop' TO otel_metrics_gauge AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Value, Flags, `Exemplars.FilteredAttributes`, `Exemplars.TimeUnix`, `Exemplars.Value`, `Exemplars.SpanId`, `Exemplars.TraceId`
FROM otlp_metrics_point
WHERE Kind = 'gauge';

CREATE TABLE IF NOT EXISTS otel_metrics_sum_local ON CLUSTER 'shop'
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested(FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    IsMonotonic Boolean CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_metrics_sum ON CLUSTER 'shop' AS otel_metrics_sum_local
ENGINE = Distributed('shop', 'traces', 'otel_metrics_sum_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_sum_mv ON CLUSTER 'shop' TO otel_metrics_sum AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Value, Flags, AggregationTemporality, IsMonotonic, `Exemplars.FilteredAttributes`, `Exemplars.TimeUnix`, `Exemplars.Value`, `Exemplars.SpanId`, `Exemplars.TraceId`
FROM otlp_metrics_point
WHERE Kind = 'sum';

CREATE TABLE IF NOT EXISTS otel_metrics_histogram_local ON CLUSTER 'shop'
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    Exemplars Nested(FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_metrics_histogram ON CLUSTER 'shop' AS otel_metrics_histogram_local
ENGINE = Distributed('shop', 'traces', 'otel_metrics_histogram_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_histogram_mv ON CLUSTER 'shop' TO otel_metrics_histogram AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, BucketCounts, ExplicitBounds, Flags, Min, Max, AggregationTemporality, `Exemplars.FilteredAttributes`, `Exemplars.TimeUnix`, `Exemplars.Value`, `Exemplars.SpanId`, `Exemplars.TraceId`
FROM otlp_metrics_point
WHERE Kind = 'histogram';

CREATE TABLE IF NOT EXISTS otel_metrics_exponential_histogram_local ON CLUSTER 'shop'
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)),
    ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)),
    PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)),
    NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    Exemplars Nested(FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_metrics_exponential_histogram ON CLUSTER 'shop' AS otel_metrics_exponential_histogram_local
ENGINE = Distributed('shop', 'traces', 'otel_metrics_exponential_histogram_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_exponential_histogram_mv ON CLUSTER 'shop' TO otel_metrics_exponential_histogram AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, Scale, ZeroCount, PositiveOffset, PositiveBucketCounts, NegativeOffset,
    NegativeBucketCounts, Flags, Min, Max, AggregationTemporality, `Exemplars.FilteredAttributes`, `Exemplars.TimeUnix`, `Exemplars.Value`, `Exemplars.SpanId`, `Exemplars.TraceId`
FROM otlp_metrics_point
WHERE Kind = 'exponential_histogram';

CREATE TABLE IF NOT EXISTS otel_metrics_summary_local ON CLUSTER 'shop'
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    Count UInt64 CODEC(Delta, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    ValueAtQuantiles Nested(Quantile Float64, Value Float64) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_metrics_summary ON CLUSTER 'shop' AS otel_metrics_summary_local
ENGINE = Distributed('shop', 'traces', 'otel_metrics_summary_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_metrics_summary_mv ON CLUSTER 'shop' TO otel_metrics_summary AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`, Flags
FROM otlp_metrics_point
WHERE Kind = 'summary';

CREATE TABLE IF NOT EXISTS asgiscope_metrics_local ON CLUSTER 'shop'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Hour)
ORDER BY (ServiceName, MetricName, Kind, MetricUnit, AggregationTemporality, IsMonotonic, Hour)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_metrics ON CLUSTER 'shop' AS asgiscope_metrics_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_metrics_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_metrics_mv ON CLUSTER 'shop' TO asgiscope_metrics AS
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

