"""asgiscope-collector: stores what asgiscope sends, names the line that blocks, serves the page."""

__version__ = "0.1.0"
