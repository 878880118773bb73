"""The folder that `asgiscope run` adds to PYTHONPATH. It holds one module, which Python imports at its start."""
