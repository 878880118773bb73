"""Soak: sites, a collector and an open page under load for a long time, with restarts of each (`make soak`)."""
