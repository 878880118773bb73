-- Requests of other SDKs, whichever of OpenTelemetry's conventions their spans follow.
ALTER TABLE asgiscope_other_requests_mv MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    ${http_route} AS Route,
    ${http_method} AS Method,
    Environment,
    Version,
    sum(Weight) AS Requests,
    sumIf(Weight, StatusCode = 'Error' OR ${http_status} >= 500) AS Errors,
    sum(Weight * Duration) AS DurationNs,
    max(Duration) AS LongestNs,
    sumMap(map(${bucket_of_duration}, Weight)) AS Buckets,
    sumMap(map(${http_class}, Weight)) AS Responses
FROM otel_traces
WHERE NOT FromAsgiscope AND SpanKind = 'Server'
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;
