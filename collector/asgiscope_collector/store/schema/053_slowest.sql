-- The slowest of a range are looked for in the granules that can hold one.
ALTER TABLE asgiscope_trace_index
    ADD INDEX IF NOT EXISTS idx_duration Duration TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS idx_wait WaitNs TYPE minmax GRANULARITY 1;
