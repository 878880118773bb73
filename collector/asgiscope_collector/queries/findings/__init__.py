"""Findings: the list, one of them, what people decided, and the evidence."""
