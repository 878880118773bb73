"""Traces: the list, one trace as lanes, its critical path, and its export."""
