#!/usr/bin/env bash
# opentelemetry-instrumentation-sqlite3 0.66b1 (on its dbapi 0.66b1) under Django 5.2.19: a transaction has a span for its
# BEGIN and none for its COMMIT.
#
# Expected: what Django sends to its database is in the trace: BEGIN, INSERT, COMMIT, as Django's own connection.queries
# has it.
# Seen: the instrumentation wraps cursors. Django begins a transaction through a cursor, but commits and rolls back by the
# connection's commit() and rollback(), which are passed through unseen. So the part of a write that waits for the disk or
# for a lock (here 0.3 s) is in no span: the trace shows a view with quick queries and a gap. And with DEBUG there is a span
# that is no statement of the site: Django's query log asks SQLite to quote the parameters, SELECT QUOTE(?).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 opentelemetry-sdk==1.45.1 opentelemetry-instrumentation-sqlite3==0.66b1
cat >"$dir/site.py" <<'PY'
import sqlite3
import sys
import threading
import time
from importlib.metadata import version

from django.conf import settings
from opentelemetry import trace
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
unwatched_connect = sqlite3.connect
SQLite3Instrumentor().instrument()
settings.configure(DEBUG=True, INSTALLED_APPS=["django.contrib.contenttypes"], LOGGING_CONFIG=None,
                   DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}})
import django

django.setup()
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, reset_queries, transaction

call_command("migrate", verbosity=0)
exporter.clear()
reset_queries()
is_reading, may_end = threading.Event(), threading.Event()


def read():
    reader = unwatched_connect(sys.argv[1])
    rows = reader.execute("SELECT name FROM sqlite_master")
    next(rows)  # holds a shared lock, which the commit has to wait for
    is_reading.set()
    may_end.wait(10)
    reader.close()


thread = threading.Thread(target=read)
thread.start()
is_reading.wait(10)
threading.Timer(0.3, may_end.set).start()
start = time.monotonic()
with transaction.atomic():
    ContentType.objects.create(app_label="shop", model="order")
took = time.monotonic() - start
thread.join()
spans = [(span.attributes["db.statement"], (span.end_time - span.start_time) / 1e9) for span in exporter.get_finished_spans()]
logged = [query["sql"].split()[0] for query in connection.queries]
names, in_spans = [" ".join(text.split()[:2]) for text, _ in spans], sum(seconds for _, seconds in spans)
print("opentelemetry-instrumentation-sqlite3", version("opentelemetry-instrumentation-sqlite3"), "Django", django.__version__)
print("connection.queries:", logged)
print("spans:", names)
print(f"the transaction took {took:.2f} s, of which {in_spans:.2f} s are in spans")
sys.exit(logged != ["BEGIN", "INSERT", "COMMIT"] or names != ["BEGIN", "INSERT INTO", "SELECT QUOTE(?),"] or in_spans > took / 2)
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py" "$dir/database"
