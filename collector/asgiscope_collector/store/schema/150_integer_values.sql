-- Integer values of gauges and sums: a double holds only 53 of their 64 bits. Null is a value that was sent as a
-- double, a point without a value, and every row of before; `Value` has the nearest double of each.

ALTER TABLE otlp_metrics_point ADD COLUMN IF NOT EXISTS IntValue Nullable(Int64);

ALTER TABLE otel_metrics_gauge ADD COLUMN IF NOT EXISTS IntValue Nullable(Int64) CODEC(ZSTD(1));

ALTER TABLE otel_metrics_sum ADD COLUMN IF NOT EXISTS IntValue Nullable(Int64) CODEC(ZSTD(1));

ALTER TABLE otlp_metrics_point_mv MODIFY QUERY
WITH
    ${text_of_double} AS text_of_double,
    ${text_of_any_value} AS text,
    (pairs -> CAST(
        arrayMap(attribute -> (attribute.key, text(attribute.value)), pairs), 'Map(LowCardinality(String), String)'
    )) AS attributes_of,
    (bytes -> lower(hex(bytes))) AS id,
    ${time_of_ns} AS time,
    CAST([], 'Array(UInt64)') AS no_counts,
    CAST([], 'Array(Float64)') AS no_bounds,
    CAST([], 'Array(Tuple(quantile Float64, value Float64))') AS no_quantiles,
    CAST([] AS ${exemplars}) AS no_exemplars,
    toInt32(0) AS no_int,
    toUInt64(0) AS no_count,
    toFloat64(0) AS no_sum,
    CAST(NULL, 'Nullable(Int64)') AS no_value
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
    point.21 AS IntValue,
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
        -- buckets and bounds, scale, zeros, positive and negative buckets, quantiles, exemplars, integer value.
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
                    p.2.flags, ifNull(p.2.as_double, ifNull(toFloat64(p.2.as_int), nan)),
                    no_count, no_sum, no_sum, no_sum, no_counts, no_bounds, no_int, no_count, no_int, no_counts,
                    no_int, no_counts, no_quantiles, p.2.exemplars, p.2.as_int
                ), arrayConcat(
                    arrayMap(p -> (true, p), metric.gauge.data_points), arrayMap(p -> (false, p), metric.sum.data_points)
                )),
                arrayMap(p -> (
                    'histogram', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, no_sum,
                    p.count, p.sum, p.min, p.max, p.bucket_counts, p.explicit_bounds, no_int, no_count, no_int,
                    no_counts, no_int, no_counts, no_quantiles, p.exemplars, no_value
                ), metric.histogram.data_points),
                arrayMap(p -> (
                    'exponential_histogram', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags,
                    no_sum, p.count, p.sum, p.min, p.max, no_counts, no_bounds, p.scale, p.zero_count,
                    p.positive.offset, p.positive.bucket_counts, p.negative.offset, p.negative.bucket_counts,
                    no_quantiles, p.exemplars, no_value
                ), metric.exponential_histogram.data_points),
                arrayMap(p -> (
                    'summary', p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, no_sum, p.count,
                    p.sum, no_sum, no_sum, no_counts, no_bounds, no_int, no_count, no_int, no_counts, no_int,
                    no_counts, p.quantile_values, no_exemplars, no_value
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

ALTER TABLE otel_metrics_gauge_mv MODIFY QUERY
SELECT
    ${metric_identity_names},
    Value, IntValue, Flags, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'gauge';

ALTER TABLE otel_metrics_sum_mv MODIFY QUERY
SELECT
    ${metric_identity_names},
    Value, IntValue, Flags, AggregationTemporality, IsMonotonic, ${exemplar_names}
FROM otlp_metrics_point
WHERE Kind = 'sum';
