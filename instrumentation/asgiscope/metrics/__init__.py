"""Metrics: sums that are exact whatever the sampling, and their OTLP form."""
