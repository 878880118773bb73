-- A lease is renewed every few seconds: what is older than a day says nothing any more.
ALTER TABLE asgiscope_alert_lease MODIFY TTL toDateTime(At) + toIntervalDay(1);
