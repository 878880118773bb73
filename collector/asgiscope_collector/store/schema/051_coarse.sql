-- The rollups of many rows again by twenty minutes: a day has a twentieth of the rows, so a long range is read in as
-- many. A range that does not begin or end with one has its edges read by the minute (analysis/coarse.py). Each row
-- that is written to a rollup goes on to its coarse one, whose merges add up.
CREATE TABLE IF NOT EXISTS asgiscope_findings_coarse AS asgiscope_findings
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
PRIMARY KEY (FindingId, Minute)
ORDER BY (FindingId, Minute, FindingKind, ServiceName, CodeFunction, CodeFile, Route, Environment, Version)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_findings_coarse_mv TO asgiscope_findings_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_findings;

CREATE TABLE IF NOT EXISTS asgiscope_holders_coarse AS asgiscope_holders
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
PRIMARY KEY (FindingId, Minute)
ORDER BY (
    FindingId, Minute, Route, HolderFunction, CodeFunction, CodeFile, HolderRoute,
    ServiceName, Environment, Version, Executor
)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_holders_coarse_mv TO asgiscope_holders_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_holders;

CREATE TABLE IF NOT EXISTS asgiscope_requests_coarse AS asgiscope_requests
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, Route, Method, Environment, Version)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_requests_coarse_mv TO asgiscope_requests_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_requests;

CREATE TABLE IF NOT EXISTS asgiscope_calls_coarse AS asgiscope_calls
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (
    Minute, ServiceName, Environment, Version, Executor, Workers, CalledFunction, CodeFunction, CodeFile, Route,
    Middleware
)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_calls_coarse_mv TO asgiscope_calls_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_calls;

CREATE TABLE IF NOT EXISTS asgiscope_tally_requests_coarse AS asgiscope_tally_requests
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_requests_coarse_mv TO asgiscope_tally_requests_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_tally_requests;

CREATE TABLE IF NOT EXISTS asgiscope_tally_bridge_coarse AS asgiscope_tally_bridge
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Minute, ServiceName, ServiceVersion, Environment, Executor, Function, Route)
SETTINGS ${table_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS asgiscope_tally_bridge_coarse_mv TO asgiscope_tally_bridge_coarse AS
SELECT * REPLACE (${coarse_minute} AS Minute) FROM asgiscope_tally_bridge;
