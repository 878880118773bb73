"""Observation of event loops: the watchdog, stalls, deadlocks, ongoing reports, accept delay."""
