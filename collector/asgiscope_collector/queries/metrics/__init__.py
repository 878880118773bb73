"""Metrics as sent, and totals from asgiscope's own metrics."""
