"""The folder that `asgiscope run` puts on PYTHONPATH. It holds one module, which Python itself imports."""
