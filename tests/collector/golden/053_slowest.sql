ALTER TABLE asgiscope_trace_index_local ON CLUSTER 'shop' ADD INDEX IF NOT EXISTS idx_duration Duration TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS idx_wait WaitNs TYPE minmax GRANULARITY 1;

