ALTER TABLE asgiscope_alerts_local ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS FiredValue Float64 DEFAULT Value;

ALTER TABLE asgiscope_alerts ON CLUSTER 'shop' ADD COLUMN IF NOT EXISTS FiredValue Float64 DEFAULT Value;

