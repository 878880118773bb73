-- Our columns beside the exporter's, also in a table that the exporter made. Promoted: the rollups read each of
-- them many times, and a query of a column costs a fiftieth of a query of the map.
ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS FromAsgiscope Bool MATERIALIZED ScopeName = 'asgiscope',
    ADD COLUMN IF NOT EXISTS FindingKind LowCardinality(String) MATERIALIZED SpanAttributes['asgiscope.finding'],
    ADD COLUMN IF NOT EXISTS Ongoing Bool MATERIALIZED SpanAttributes['asgiscope.ongoing'] = 'true',
    ADD COLUMN IF NOT EXISTS CostNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.finding.cost_ns']),
    ADD COLUMN IF NOT EXISTS CodeFunction LowCardinality(String) MATERIALIZED SpanAttributes['code.function.name'],
    ADD COLUMN IF NOT EXISTS CodeFile LowCardinality(String) MATERIALIZED SpanAttributes['code.file.path'],
    ADD COLUMN IF NOT EXISTS CodeLine UInt32 MATERIALIZED toUInt32OrZero(SpanAttributes['code.line.number']),
    ADD COLUMN IF NOT EXISTS HttpRoute LowCardinality(String) MATERIALIZED SpanAttributes['http.route'],
    ADD COLUMN IF NOT EXISTS WaitNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiref.wait_ns']),
    ADD COLUMN IF NOT EXISTS BlockedNs UInt64 MATERIALIZED toUInt64OrZero(SpanAttributes['asgiscope.blocked_ns']),
    ADD COLUMN IF NOT EXISTS ExecutorRole LowCardinality(String) MATERIALIZED SpanAttributes['asgiref.executor'],
    ADD COLUMN IF NOT EXISTS Operation LowCardinality(String) MATERIALIZED arrayFirst(
        name -> name != '',
        [
            SpanAttributes['asgiscope.operation'],
            SpanAttributes['asgiscope.middleware'],
            SpanAttributes['db.query.summary'],
            SpanAttributes['asgiref.function']
        ]
    ),
    -- The fingerprint. analysis/fingerprint.py computes the same; a test holds the two together.
    ADD COLUMN IF NOT EXISTS FindingId LowCardinality(String) MATERIALIZED if(
        FindingKind = '',
        '',
        substring(lower(hex(SHA256(concat(
            FindingKind, '\0', ServiceName, '\0', CodeFunction, '\0', CodeFile
        )))), 1, 16)
    );

-- What the exporter's table lacks: a repeated load is recognised, and what is stored survives the power.
ALTER TABLE otel_traces
    MODIFY SETTING non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;
