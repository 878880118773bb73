"""Releases: versions of services, and two sides compared."""
