"""Queries of the alert rules."""
