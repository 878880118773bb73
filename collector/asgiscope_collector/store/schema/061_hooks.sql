-- The hooks of each middleware, so that the hops which they cost are found by the function that crossed.
ALTER TABLE asgiscope_chains
    ADD COLUMN IF NOT EXISTS Hooks SimpleAggregateFunction(anyLast, String);

ALTER TABLE asgiscope_chains_mv MODIFY QUERY
SELECT
    toDate(Timestamp) AS Day,
    ServiceName,
    Environment,
    Version,
    SpanAttributes['asgiscope.middleware.names'] AS Names,
    SpanAttributes['asgiscope.middleware.modes'] AS Modes,
    SpanAttributes['asgiscope.middleware.adapted'] AS Adapted,
    argMax(SpanAttributes['asgiscope.middleware.hooks'], Timestamp) AS Hooks,
    max(Timestamp) AS Loaded
FROM otel_traces
WHERE FromAsgiscope AND SpanName = 'middleware chain'
GROUP BY Day, ServiceName, Environment, Version, Names, Modes, Adapted;
