-- What the newest span of a finding says of it beside its sums: which operation, which refusal, for which object of
-- the site. All short attributes of asgiscope's own, as JSON, so that a new one needs no migration; a row a day.
CREATE TABLE IF NOT EXISTS asgiscope_finding_facts
(
    Day Date,
    FindingId LowCardinality(String),
    Facts AggregateFunction(argMax, String, DateTime64(9))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Day)
ORDER BY (FindingId, Day)
SETTINGS ${table_settings};

-- The newest span is chosen before its attributes are written as JSON: an insert of many spans of one finding would
-- otherwise write them all, and hold them in memory.
CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_facts_mv TO asgiscope_finding_facts AS
SELECT
    Day,
    FindingId,
    argMaxState(
        toJSONString(CAST(
            arrayFilter(
                pair -> pair.2 != '' AND length(pair.2) <= 1000
                    AND (startsWith(pair.1, 'asgiscope.') OR pair.1 IN ('exception.type', 'exception.message')),
                arrayZip(mapKeys(Newest), mapValues(Newest))
            ),
            'Map(String, String)'
        )),
        At
    ) AS Facts
FROM
(
    SELECT
        toDate(Timestamp) AS Day,
        FindingId,
        max(Timestamp) AS At,
        argMax(SpanAttributes, Timestamp) AS Newest
    FROM otel_traces
    WHERE FindingId != ''
    GROUP BY Day, FindingId
)
GROUP BY Day, FindingId;
