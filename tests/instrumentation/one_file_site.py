"""A site of one file, run in a process of its own: what asgiscope would send of it, as JSON.

For what needs no server: the file makes its views, asks for pages with Django's test client, and every span comes
back with its attributes.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

_BEFORE = '''
import asyncio, json, sys, threading, time
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(**{
    "DEBUG": False, "ALLOWED_HOSTS": ["*"], "SECRET_KEY": "of a test", "ROOT_URLCONF": __name__, "USE_TZ": True,
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1] + "/db.sqlite3"}},
    "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    "LOGGING_CONFIG": None,
    **SETTINGS,
})
django.setup()

from asgiref.sync import async_to_sync, sync_to_async
from asgiscope.testing import record, results
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import path

def told(seen):
    """Print every span with its attributes."""
    rows = [
        {"name": span.name, "start": span.start, "end": span.end, **results._attributes(span)}
        for span in seen._spans()
    ]
    print("SPANS" + json.dumps(rows, default=str))

def ask(*paths, **options):
    """Ask for pages, one after another, and print what was recorded."""
    call_command("migrate", verbosity=0)
    async def main():
        client = AsyncClient(raise_request_exception=False)
        for each in paths:
            print((await client.get(each, **options)).status_code)
    with record() as seen:
        asyncio.run(main())
        told(seen)
'''


class Recorded:
    """What a run of such a file recorded."""

    def __init__(self, file: Path, spans: list[dict[str, Any]], output: str) -> None:
        self._file = file
        self.spans = spans
        self.output = output

    def findings(self, kind: str) -> list[dict[str, Any]]:
        """Return the spans that are evidence of a kind of finding, in the order in which they were sent."""
        return [span for span in self.spans if span.get("asgiscope.finding") == kind]

    def source(self, span: dict[str, Any]) -> str:
        """Return the text of the line that a span names, "" for a line of another file."""
        if span.get("code.file.path") != str(self._file):
            return ""
        line: int = span["code.line.number"]
        return self._file.read_text().splitlines()[line - 1].strip()


def run_site(
    folder: Path, code: str, *, settings: str = "{}", python: str = sys.executable, seconds: float = 90
) -> Recorded:
    """Run a file of that code, after the settings and the imports that all of them need."""
    file = folder / "one_site.py"
    file.write_text(f"SETTINGS = {settings}\n{_BEFORE}\n{textwrap.dedent(code)}")
    done = subprocess.run(
        [python, str(file), str(folder)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("SPANS")]
    assert told, done.stdout + done.stderr
    return Recorded(file, json.loads(told[-1].removeprefix("SPANS")), done.stdout + done.stderr)
