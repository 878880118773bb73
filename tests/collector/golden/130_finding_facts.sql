CREATE TABLE IF NOT EXISTS asgiscope_finding_facts_local ON CLUSTER 'shop'
(
    Day Date,
    FindingId LowCardinality(String),
    Facts AggregateFunction(argMax, String, DateTime64(9))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Day)
ORDER BY (FindingId, Day)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS asgiscope_finding_facts ON CLUSTER 'shop' AS asgiscope_finding_facts_local
ENGINE = Distributed('shop', 'traces', 'asgiscope_finding_facts_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_finding_facts_mv ON CLUSTER 'shop' TO asgiscope_finding_facts_local AS
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
    FROM otel_traces_local
    WHERE FindingId != ''
    GROUP BY Day, FindingId
)
GROUP BY Day, FindingId;

