#!/usr/bin/env bash
# Django 5.2.19: AsyncClient runs the synchronous views of concurrent requests one after the other, a server at once.
#
# Expected: asyncio.gather() over requests of django.test.AsyncClient is what concurrent clients of an ASGI server are:
# each request's synchronous code runs in a thread of its own, as Django's ASGI handler has it.
# Seen: the handler opens a ThreadSensitiveContext for each request; the test client leaves that out, so all its requests
# share asgiref's one thread: 3 requests of 0.5 s take 1.5 s (and 0.5 s through the handler), and all of them have
# one database connection. A test that looks for a race between two requests (a lost update, a double booking) passes
# although the site has the race.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0
cat >"$dir/site.py" <<'PY'
import asyncio
import sys
import threading
import time

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
import django

django.setup()
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.test import AsyncClient
from django.urls import path

stock, threads = 1, set()


def book(request):
    global stock
    threads.add(threading.get_ident())
    if left := stock:  # the race: another request may book in between
        time.sleep(0.5)
        stock -= 1
    return HttpResponse("booked" if left else "sold out")


urlpatterns = [path("book", book)]
application = get_asgi_application()


async def ask_handler():
    messages, sent = [{"type": "http.request", "body": b"", "more_body": False}], []

    async def receive():
        return messages.pop() if messages else await asyncio.sleep(60)

    async def send(message):
        sent.append(message.get("body", b""))

    await application({"type": "http", "method": "GET", "path": "/book", "headers": [], "query_string": b"",
                       "asgi": {"version": "3.0"}}, receive, send)
    return b"".join(sent).decode()


async def ask_client():
    return (await AsyncClient().get("/book")).content.decode()


async def run(name, ask):
    global stock
    stock = 1
    threads.clear()
    answers = sorted(await asyncio.gather(*(ask() for _ in range(3))))
    print(f"{name}: {len(threads)} threads, answers {answers}, stock {stock}")
    return len(threads), stock


print("Django", django.__version__)
seen = asyncio.run(run("AsyncClient", ask_client)), asyncio.run(run("ASGI handler", ask_handler))
sys.exit(seen != ((1, 0), (3, -2)))
PY
"$dir/venv/bin/python" "$dir/site.py"
