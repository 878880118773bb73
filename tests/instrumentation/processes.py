"""Runs code in a process of its own: patches and a TracerProvider are for the life of a process."""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

from tests.instrumentation.conftest import SITE

_PRELUDE = """
import asyncio, inspect, json, os, sys
import django
django.setup()
import asgiscope
from asgiscope import faults, instrumentor
from asgiref.sync import SyncToAsync, AsyncToSync, sync_to_async, async_to_sync
"""


def run(code: str, *, bare: bool = False, check: bool = True, **env: str) -> Any:
    """Run code in the test site's environment and read the JSON on its last line of output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PRELUDE + textwrap.dedent(code)],
        cwd=SITE,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there
            "ASGISCOPE_EXIT_TIMEOUT_MS": "200",
            **({"SITE_BARE": "1"} if bare else {}),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else done.stderr
