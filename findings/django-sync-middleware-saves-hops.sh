#!/usr/bin/env bash
# Django 5.2.19 on ASGI: with one sync-only middleware as the last of the list, a request to an async view sends fewer
# functions to threads than without it.
#
# Expected: every middleware of the default list is async-capable, so a sync-only one among them only adds hops, the more
# the further inside it is, because both sides of it are adapted.
# Seen: MiddlewareMixin runs its process_request and its process_response in a thread each, two hops a middleware, as long
# as what it wraps is async. Inside of a sync-only middleware nothing changes; what is outside of it wraps a sync handler,
# becomes sync itself, and is called in the thread that the request holds anyway. Four of Django's middlewares cost an
# async view 10 hops; with a sync-only one first it is 11, third 7, last 4. The price is a thread for the whole request.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0
cat >"$dir/count.py" <<'PY'
import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from asgiref.current_thread_executor import CurrentThreadExecutor
from django.conf import settings

names = "security.SecurityMiddleware common.CommonMiddleware csrf.CsrfViewMiddleware clickjacking.XFrameOptionsMiddleware"
default = [f"django.middleware.{name}" for name in names.split()]
chains = {
    "Django's four": default,
    "sync-only first": [f"{__name__}.sync_only", *default],
    "sync-only third": [*default[:2], f"{__name__}.sync_only", *default[2:]],
    "sync-only last": [*default, f"{__name__}.sync_only"],
}
settings.configure(
    SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=chains[sys.argv[1]], DEBUG=False
)
import django
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.urls import path

django.setup()


def sync_only(get_response):
    def middleware(request):
        return get_response(request)

    return middleware


async def view(request):
    return HttpResponse("page")


urlpatterns = [path("", view)]
submitted = []


def count(executor):
    original = executor.submit

    def submit(self, *args, **kwargs):
        submitted.append(executor)
        return original(self, *args, **kwargs)

    executor.submit = submit


async def main():
    handler = ASGIHandler()

    async def ask():
        bodies = [{"type": "http.request", "body": b""}]

        async def receive():
            return bodies.pop() if bodies else await asyncio.Event().wait()

        async def send(message):
            pass

        scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": [(b"host", b"shop")]}
        await handler({**scope, "query_string": b"", "client": ("127.0.0.1", 1)}, receive, send)

    await ask()
    count(ThreadPoolExecutor)
    count(CurrentThreadExecutor)
    await ask()
    print(len(submitted))


asyncio.run(main())
PY
counted=""
for chain in "Django's four" "sync-only first" "sync-only third" "sync-only last"; do
  number=$("$dir/venv/bin/python" "$dir/count.py" "$chain")
  echo "$chain: $number functions sent to threads"
  counted="$counted $number"
done
[ "$counted" = " 10 11 7 4" ]
