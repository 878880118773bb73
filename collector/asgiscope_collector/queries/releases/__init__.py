"""Releases: versions of services, and comparisons."""
