-- When a finding was last seen by the collector's clock, as far as a sender's clock is ahead of it: no occurrence is
-- later than its load. A resolved finding regresses by this time. Rows of before have the sender's time.

ALTER TABLE asgiscope_finding_days
    ADD COLUMN IF NOT EXISTS LastCorrected SimpleAggregateFunction(max, DateTime64(9)) DEFAULT LastSeen;

ALTER TABLE asgiscope_finding_days_mv MODIFY QUERY
SELECT
    toDate(Minute) AS Day,
    FindingId,
    FindingKind,
    ServiceName,
    Environment,
    Version,
    sum(asgiscope_findings.Occurrences) AS Occurrences,
    min(asgiscope_findings.FirstSeen) AS FirstSeen,
    max(asgiscope_findings.LastSeen) AS LastSeen,
    max(least(asgiscope_findings.LastSeen, now64(9))) AS LastCorrected
FROM asgiscope_findings
GROUP BY Day, FindingId, FindingKind, ServiceName, Environment, Version;
