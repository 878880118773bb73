#!/usr/bin/env bash
# Django 5.2.19: with cached_db sessions, `await alogin()` asks the cache synchronously, on the event loop.
#
# Expected: the async methods of a session (acreate, acycle_key, aflush, and alogin() which uses them) use the cache's async
# methods, as the documentation of async sessions suggests, or a thread.
# Seen: cached_db's aexists(), which each new session key goes through, says `key in cache`: a synchronous has_key() on the
# loop's thread. With Redis or Memcached that is a network round trip during which every other request stands still; with
# the database cache it raises SynchronousOnlyOperation, so that nobody can log in. The backends "db" and "cache" do not
# do it.
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

from django.conf import settings

settings.configure(
    SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "database": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
import django

django.setup()
from importlib import import_module

from django.contrib.auth import alogin
from django.contrib.auth.models import User
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.http import HttpRequest

call_command("migrate", verbosity=0)
call_command("createcachetable", verbosity=0)
User.objects.create_user("ada")
calls = []


def watch(name):
    method = getattr(LocMemCache, name)

    def watched(self, *args, **kwargs):
        if threading.current_thread() is threading.main_thread():
            calls.append(name)
        return method(self, *args, **kwargs)

    setattr(LocMemCache, name, watched)


for name in ("get", "set", "add", "has_key", "delete"):
    watch(name)


async def sign_in(engine):
    request = HttpRequest()
    request.session = import_module(engine).SessionStore()
    await alogin(request, await User.objects.aget(username="ada"))


def run(engine, alias):
    settings.SESSION_CACHE_ALIAS = alias
    calls.clear()
    try:
        asyncio.run(sign_in(f"django.contrib.sessions.backends.{engine}"))
        result = "signed in"
    except Exception as error:
        result = type(error).__name__
    print(f"{engine} sessions, cache {alias}: {result}, cache calls on the loop {sorted(set(calls))}")
    return result, sorted(set(calls))


print("Django", django.__version__)
seen = [run("db", "default"), run("cache", "default"), run("cached_db", "default"), run("cached_db", "database")]
sys.exit(seen != [("signed in", []), ("signed in", []), ("signed in", ["has_key"]), ("SynchronousOnlyOperation", [])])
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py" "$dir/database"
