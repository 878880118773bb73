"""Probes of Django itself: one module per part."""
