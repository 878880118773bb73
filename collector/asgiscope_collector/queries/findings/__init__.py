"""Findings: the list, one of them, users' decisions, and the evidence."""
