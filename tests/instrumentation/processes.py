"""Runs code in a process of its own: patches and a TracerProvider are for the life of a process."""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

from tests.instrumentation.conftest import SITE

ASK = """
import asyncio
async def ask(path, handler=None):
    from django.core.handlers.asgi import ASGIHandler
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": path, "scheme": "http",
             "headers": [(b"host", b"127.0.0.1")], "query_string": b"", "client": ("127.0.0.1", 1)}
    bodies = [{"type": "http.request", "body": b""}]
    sent = []
    async def receive():
        return bodies.pop() if bodies else await asyncio.Event().wait()
    async def send(message):
        sent.append(message)
    await (handler or ASGIHandler())(scope, receive, send)
    return sent[0]["status"]
"""
"""Defines `ask(path)`: a request to the site in this process by a client that stays, and the status it gets."""
_PRELUDE = """
import asyncio, inspect, json, os, sys
import django
django.setup()
import asgiscope
from asgiscope import internal_errors, instrumentor
from asgiref.sync import SyncToAsync, AsyncToSync, sync_to_async, async_to_sync
"""


def run(code: str, *, bare: bool = False, check: bool = True, **env: str) -> Any:
    """Run code in the test site's environment and read the JSON on its last line of output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PRELUDE + ASK + textwrap.dedent(code)],
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
