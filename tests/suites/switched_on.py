"""A pytest plugin that installs asgiscope in a process without Django: asgiref's own tests have none."""

import os

from asgiscope import instrumentor

if not os.environ.get("ASGISCOPE_DISABLED"):
    instrumentor.install()
