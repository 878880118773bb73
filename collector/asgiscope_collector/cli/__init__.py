"""The commands: one module each, with `register` for its arguments and `run` to execute it."""
