"""The rules file: its models, reading it, noticing that it changed."""
