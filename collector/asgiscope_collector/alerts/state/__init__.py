"""State: alerts, deliveries and silences, in memory and in the store."""
