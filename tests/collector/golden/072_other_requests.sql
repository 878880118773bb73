ALTER TABLE asgiscope_other_requests_mv ON CLUSTER 'shop' MODIFY QUERY
SELECT
    toStartOfMinute(Timestamp) AS Minute,
    ServiceName,
    if(HttpRoute = '' AND SpanKind = 'Server' AND match(SpanName, '^[A-Z]+ /[^ ?]*$'), extract(SpanName, '(/.*)'), HttpRoute) AS Route,
    if(SpanAttributes['http.request.method'] != '', SpanAttributes['http.request.method'], SpanAttributes['http.method']) AS Method,
    Environment,
    Version,
    sum(Weight) AS Requests,
    sumIf(Weight, StatusCode = 'Error' OR toUInt16OrZero(if(SpanAttributes['http.response.status_code'] != '', SpanAttributes['http.response.status_code'], SpanAttributes['http.status_code'])) >= 500) AS Errors,
    sum(Weight * Duration) AS DurationNs,
    max(Duration) AS LongestNs,
    sumMap(map(toUInt16(greatest(0, least(511, toInt32(floor(log2(greatest(Duration, 1)) * 16)) - 160))), Weight)) AS Buckets,
    sumMap(map(toUInt8(least(5, intDiv(toUInt16OrZero(if(SpanAttributes['http.response.status_code'] != '', SpanAttributes['http.response.status_code'], SpanAttributes['http.status_code'])), 100))), Weight)) AS Responses
FROM otel_traces_local
WHERE NOT FromAsgiscope AND SpanKind = 'Server'
GROUP BY Minute, ServiceName, Route, Method, Environment, Version;

