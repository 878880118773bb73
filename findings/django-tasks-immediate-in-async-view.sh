#!/usr/bin/env bash
# django-tasks 0.12.0 with Django 5.2.19: enqueue() in an async view, with the immediate backend: an async task fails
# without an exception, and a synchronous one runs on the event loop.
#
# Expected: the immediate backend, made for development and tests, runs a task wherever it is enqueued; enqueue() merely
# blocks. So code that uses enqueue() in an async view works, and works with a real queue, too.
# Seen: an async task is called by async_to_sync() in the loop's own thread, which is not possible: enqueue() returns a
# result with the status FAILED and the RuntimeError inside, and the view goes on as if all were well. A synchronous
# task runs right on the loop: it blocks every other request, and its first query raises SynchronousOnlyOperation, again
# only inside of the result. aenqueue() does both right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 django-tasks==0.12.0
cat >"$dir/shop_tasks.py" <<'PY'
import asyncio

from django.db import connection
from django_tasks import task


@task()
async def send_mail():
    await asyncio.sleep(0)
    return "sent"


@task()
def count_orders():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        return cursor.fetchone()[0]
PY
cat >"$dir/site.py" <<'PY'
import asyncio
import logging
import sys
from importlib.metadata import version

from django.conf import settings

settings.configure(
    SECRET_KEY="none", LOGGING_CONFIG=None, INSTALLED_APPS=["django_tasks"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    TASKS={"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}},
)
import django

django.setup()
logging.disable()
from shop_tasks import count_orders, send_mail


def outcome(result):
    return f"{result.status.name} {result.errors[0].exception_class_path if result.errors else result.return_value}"


async def in_async_view():
    return [outcome(send_mail.enqueue()), outcome(count_orders.enqueue()),
            outcome(await send_mail.aenqueue()), outcome(await count_orders.aenqueue())]


print("django-tasks", version("django-tasks"), "Django", django.__version__)
names = ["async task, enqueue()", "sync task, enqueue()", "async task, aenqueue()", "sync task, aenqueue()"]
seen = asyncio.run(in_async_view())
for name, result in zip(names, seen, strict=True):
    print(f"in an async view, {name}: {result}")
in_sync_view = [outcome(send_mail.enqueue()), outcome(count_orders.enqueue())]
print("in a synchronous view, enqueue():", in_sync_view)
fine = ["SUCCESSFUL sent", "SUCCESSFUL 42"]
failed = ["FAILED builtins.RuntimeError", "FAILED django.core.exceptions.SynchronousOnlyOperation"]
sys.exit(seen != failed + fine or in_sync_view != fine)
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py" "$dir/database"
