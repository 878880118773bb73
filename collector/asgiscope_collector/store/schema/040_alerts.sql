-- What became of alerts. Rows are only ever added: the newest of a fingerprint is its state.
CREATE TABLE IF NOT EXISTS asgiscope_alerts
(
    At DateTime64(9),
    Minute DateTime DEFAULT toStartOfMinute(At),
    Fingerprint String,
    AlertId String,
    Rule LowCardinality(String),
    Severity LowCardinality(String),
    State LowCardinality(String),
    StartsNs Int64,
    EndsNs Int64,
    HeldUntilNs Int64,
    FiredNs Int64,
    Value Float64,
    Labels String,
    Annotations String
)
ENGINE = MergeTree
PARTITION BY toDate(Minute)
ORDER BY (Fingerprint, At)
SETTINGS ${table_settings};

-- What was decided to be sent, each attempt at it, and how it ended: one row each, under the delivery's id.
CREATE TABLE IF NOT EXISTS asgiscope_alert_deliveries
(
    At DateTime64(9),
    Minute DateTime DEFAULT toStartOfMinute(At),
    Id String,
    Stage LowCardinality(String),
    Receiver LowCardinality(String),
    GroupKey String,
    Reason LowCardinality(String),
    Attempt UInt32,
    Status UInt16,
    Answer String,
    TookMs UInt32,
    NextNs Int64,
    Firing Array(String),
    Resolved Array(String),
    Body String
)
ENGINE = MergeTree
PARTITION BY toDate(Minute)
ORDER BY (Id, At)
SETTINGS ${table_settings};

-- Silences: the newest row of an id says until when it holds. They are kept.
CREATE TABLE IF NOT EXISTS asgiscope_silences
(
    At DateTime64(9),
    Id String,
    Matchers String,
    StartsNs Int64,
    EndsNs Int64,
    Comment String,
    CreatedBy String
)
ENGINE = MergeTree
ORDER BY (Id, At)
SETTINGS ${table_settings};

-- Which of several collectors evaluates: see alerts/lease.py.
CREATE TABLE IF NOT EXISTS asgiscope_alert_lease
(
    Term UInt64,
    At DateTime64(6),
    Owner String
)
ENGINE = MergeTree
ORDER BY (Term, At)
SETTINGS ${table_settings};
