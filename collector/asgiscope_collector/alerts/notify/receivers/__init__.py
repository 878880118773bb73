"""Receivers: one module per type, each a pure function from a notification to the request to send."""
