#!/usr/bin/env bash
# Django 5.2.19 on ASGI: when a streaming body raises, or the server's send() does, the response is never closed and
# request_finished is never sent.
#
# Expected: each request_started has its request_finished, as under WSGI, where the server calls response.close() however
# the body ends. Django hangs its cleaning on it: close_old_connections, closing caches, closing uploaded files and a
# FileResponse's file.
# Seen: Django's handler closes the response after it has sent it whole, or after a disconnect that it was told of by
# http.disconnect; an exception from the body's generator, or the OSError that the ASGI specification has send() raise once
# the client has gone, leaves the handler before. Nothing is closed: the file stays open, and what counts requests
# between the two signals counts one too many for ever.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0
cat >"$dir/site.py" <<'PY'
import asyncio
import sys

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], LOGGING_CONFIG=None)
import django

django.setup()
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import path

events, files = [], []
request_started.connect(lambda **kwargs: events.append("started"), weak=False)
request_finished.connect(lambda **kwargs: events.append("finished"), weak=False)


class Response(StreamingHttpResponse):
    def close(self):
        events.append("closed")
        super().close()


async def parts():
    yield b"part"
    if failing:
        raise ValueError


def sync_parts():
    yield b"part"
    raise ValueError


async def stream(request):
    return Response(parts())


def sync_stream(request):
    return Response(sync_parts())


def file(request):
    files.append(open(__file__, "rb"))
    return FileResponse(files[-1])


urlpatterns = [path("stream", stream), path("sync-stream", sync_stream), path("file", file)]
application = get_asgi_application()


async def ask(path, client_gone=False):
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.sleep(60)

    async def send(message):
        if client_gone:
            raise OSError

    try:
        await application({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"",
                           "asgi": {"version": "3.0", "spec_version": "2.4"}}, receive, send)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return "no error"


def run(name, path, client_gone=False):
    events.clear()
    result = asyncio.run(ask(path, client_gone))
    print(f"ASGI, {name}: {result}, {events}")
    return list(events)


print("Django", django.__version__)
failing = False
assert run("whole body", "/stream") == ["started", "closed", "finished"]
unfinished = [run("send() raises", "/stream", client_gone=True), run("send() raises", "/file", client_gone=True)]
failing = True
unfinished.append(run("body raises", "/stream"))
unfinished.append(run("synchronous body raises", "/sync-stream"))
print("the file is closed:", files[0].closed)
events.clear()
response = get_wsgi_application()(RequestFactory()._base_environ(PATH_INFO="/sync-stream"), lambda *args: None)
try:
    list(response)
except ValueError:
    pass
finally:
    response.close()  # as each WSGI server does
print("WSGI, synchronous body raises:", events)
sys.exit(unfinished != [["started"]] * 4 or files[0].closed or events != ["started", "closed", "finished"])
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py"
