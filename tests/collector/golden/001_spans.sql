CREATE TABLE IF NOT EXISTS otel_traces_local ON CLUSTER 'shop'
(
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),

    -- Ours, promoted: the rollups below read each of them many times, and a query of a column costs a
    -- fiftieth of a query of the map.
    FromAsgiscope Bool MATERIALIZED ScopeName = 'asgiscope',
    FindingKind LowCardinality(String) MATERIALIZED SpanAttributes['asgiscope.finding'],
    Ongoing Bool MATERIALIZED SpanAttributes['asgiscope.ongoing'] = 'true',
    CostNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.finding.cost_ns']),
    CodeFunction LowCardinality(String) MATERIALIZED SpanAttributes['code.function.name'],
    CodeFile LowCardinality(String) MATERIALIZED SpanAttributes['code.file.path'],
    CodeLine UInt32 MATERIALIZED toUInt32OrZero(SpanAttributes['code.line.number']),
    HttpRoute LowCardinality(String) MATERIALIZED SpanAttributes['http.route'],
    WaitNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiref.wait_ns']),
    BlockedNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.blocked_ns']),
    ExecutorRole LowCardinality(String) MATERIALIZED SpanAttributes['asgiref.executor'],
    Operation LowCardinality(String) MATERIALIZED arrayFirst(
        name -> name != '',
        [
            SpanAttributes['asgiscope.operation'],
            SpanAttributes['asgiscope.middleware'],
            SpanAttributes['db.query.summary'],
            SpanAttributes['asgiref.function']
        ]
    ),
    -- The fingerprint. analysis/fingerprint.py computes the same; a test holds the two together.
    FindingId LowCardinality(String) MATERIALIZED if(
        FindingKind = '',
        '',
        substring(lower(hex(SHA256(concat(
            FindingKind, '\0', ServiceName, '\0', CodeFunction, '\0', CodeFile
        )))), 1, 16)
    ),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_traces ON CLUSTER 'shop' AS otel_traces_local
ENGINE = Distributed('shop', 'traces', 'otel_traces_local', cityHash64(TraceId));

