"""The JSON API: one router a noun. It parses what was asked, and hands over to analysis."""
