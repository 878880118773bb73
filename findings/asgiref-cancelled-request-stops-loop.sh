#!/usr/bin/env bash
# asgiref 3.11.0 with Django 5.2.19: a deadline around an ASGI application stops the whole event loop.
#
# Expected: `asyncio.timeout(0.5)` around the application ends the slow request after half a second. Its synchronous
# view cannot be stopped and runs on in its thread, but everything else on the loop goes on.
# Seen: Django serves each request in a ThreadSensitiveContext. Left by the cancellation, its __aexit__ calls
# executor.shutdown(), which joins the request's thread on the event loop: a ticker beside it stands still until the
# view returns, for 2 s here, and for ever if the view itself needs the loop (async_to_sync). asgiref 3.13.0 does not
# wait on the loop: the ticker goes on.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/site.py" <<'PY'
import asyncio
import time
from importlib.metadata import version

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
import django

django.setup()
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path


def report(request):
    time.sleep(2.5)
    return HttpResponse("report")


urlpatterns = [path("report/", report)]
application = get_asgi_application()


async def main():
    longest = last = 0.0

    async def ticker():
        nonlocal longest, last
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    async def receive():
        if not receive.given:
            receive.given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()

    receive.given = False

    async def send(message):
        pass

    beside = asyncio.create_task(ticker())
    scope = {"type": "http", "method": "GET", "path": "/report/", "headers": [], "query_string": b"", "asgi": {"version": "3.0"}}
    try:
        async with asyncio.timeout(0.5):
            await application(scope, receive, send)
    except TimeoutError:
        pass
    await asyncio.sleep(0.1)
    beside.cancel()
    print(f"asgiref {version('asgiref')}: the loop stood still for {longest:.1f} s at a time")
    return longest


longest = asyncio.run(main())
stands = longest > 1
raise SystemExit(0 if stands == version("asgiref").startswith("3.11.") else 1)
PY
python3 -m venv --without-pip "$dir/venv"
for asgiref in 3.11.0 3.13.0; do
  python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
    Django==5.2.19 "asgiref==$asgiref"
  "$dir/venv/bin/python" "$dir/site.py"
done
