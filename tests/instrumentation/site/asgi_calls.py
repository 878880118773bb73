"""The ASGI application of a site that switches asgiscope on by a call, before anything else."""

import importlib

import asgiscope

asgiscope.instrument()
application = importlib.import_module("asgi").application
