"""Traces: the list, one of them as lanes, its critical path, and its export."""
