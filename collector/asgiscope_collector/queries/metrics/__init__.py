"""Metrics as they were sent, and the totals made of asgiscope's own."""
