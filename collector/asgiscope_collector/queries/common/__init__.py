"""Code that all queries share: range, scope, resolution, summaries."""
