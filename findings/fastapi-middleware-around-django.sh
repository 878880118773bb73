#!/usr/bin/env bash
# FastAPI 0.165.0 (Starlette 1.10.0) with a mounted Django 5.2.19: with @app.middleware("http"), each client that leaves
# early becomes an unhandled RuntimeError.
#
# Expected: a client that leaves is no error: Django cancels its view and returns, as it does without the middleware, and
# as FastAPI's own endpoints do with it.
# Seen: Django's handler returns without an answer, for there is nobody to answer. Starlette's BaseHTTPMiddleware, which
# @app.middleware is, takes that for a broken application: RuntimeError("No response returned.") goes up to the server,
# is logged with a traceback and counted by Sentry and the like. On a site that is moved to FastAPI piece by piece, each
# impatient user of the old half is an alert.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 fastapi==0.165.0 starlette==1.10.0
cat >"$dir/site.py" <<'PY'
import asyncio
import sys
from importlib.metadata import version

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], LOGGING_CONFIG=None)
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from fastapi import FastAPI

views = []


async def slow(request):
    try:
        await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        views.append("cancelled")
        raise
    return HttpResponse("done")


urlpatterns = [path("slow", slow)]
django_application = get_asgi_application()


def build(with_middleware):
    app = FastAPI()

    @app.get("/fast/slow")
    async def endpoint():
        await asyncio.sleep(0.5)
        return "done"

    if with_middleware:

        @app.middleware("http")
        async def measure(request, call_next):
            return await call_next(request)

    app.mount("/old", django_application)
    return app


async def ask(app, path):
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
             "headers": [(b"host", b"x")], "query_string": b"", "http_version": "1.1", "server": ("x", 80),
             "client": ("x", 1), "asgi": {"version": "3.0", "spec_version": "2.3"}}
    try:
        await app(scope, receive, send)
    except Exception as error:
        return repr(error)
    return "no error"


print("fastapi", version("fastapi"), "starlette", version("starlette"), "Django", version("Django"))
seen = []
for with_middleware in (False, True):
    for path in ("/fast/slow", "/old/slow"):
        views.clear()
        seen.append((asyncio.run(ask(build(with_middleware), path)), list(views)))
        print(f"{'with' if with_middleware else 'without'} middleware, client of {path} left: {seen[-1][0]}, view {views}")
fine = [("no error", []), ("no error", ["cancelled"])]
sys.exit(seen != [*fine, fine[0], ("RuntimeError('No response returned.')", ["cancelled"])])
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py"
