"""Evaluation: from series to the state of each alert."""
