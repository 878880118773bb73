"""Ingest: decode and validate OTLP, and acknowledge it once it is on disk."""
