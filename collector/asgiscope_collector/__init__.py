"""asgiscope-collector: store what asgiscope sends, find the lines that block, and serve the dashboard."""

__version__ = "0.1.0"
