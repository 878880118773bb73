-- What an alert's value was when it fired, beside what it is now.
ALTER TABLE asgiscope_alerts ADD COLUMN IF NOT EXISTS FiredValue Float64 DEFAULT Value;
