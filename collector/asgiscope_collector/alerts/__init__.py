"""Alerts: conditions over the rollups, decided, grouped, sent and recorded. `loop.py` runs them in that order."""
