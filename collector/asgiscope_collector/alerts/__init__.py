"""Alerting: evaluate conditions over the rollups, decide, group, send and record.

`evaluate/loop.py` runs these steps.
"""
