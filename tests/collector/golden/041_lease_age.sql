ALTER TABLE asgiscope_alert_lease_local ON CLUSTER 'shop' MODIFY TTL toDateTime(At) + toIntervalDay(1);

