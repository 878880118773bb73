"""The commands: one module each, with `register` for its arguments and `run` for its work."""
