ALTER TABLE asgiscope_finding_days_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS LastCorrected SimpleAggregateFunction(max, DateTime64(9)) DEFAULT LastSeen;

ALTER TABLE asgiscope_finding_days ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS LastCorrected SimpleAggregateFunction(max, DateTime64(9)) DEFAULT LastSeen;

ALTER TABLE asgiscope_finding_days_mv ON CLUSTER 'shop' MODIFY QUERY
SELECT
    toDate(Minute) AS Day,
    FindingId,
    FindingKind,
    ServiceName,
    Environment,
    Version,
    sum(asgiscope_findings_local.Occurrences) AS Occurrences,
    min(asgiscope_findings_local.FirstSeen) AS FirstSeen,
    max(asgiscope_findings_local.LastSeen) AS LastSeen,
    max(least(asgiscope_findings_local.LastSeen, now64(9))) AS LastCorrected
FROM asgiscope_findings_local
GROUP BY Day, FindingId, FindingKind, ServiceName, Environment, Version;

