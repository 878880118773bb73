"""Metrics: totals that do not depend on sampling, and their OTLP form."""
