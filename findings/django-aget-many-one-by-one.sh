#!/usr/bin/env bash
# Django 5.2.19: `await cache.aget_many(keys)` asks for each key by itself, with a thread hop each.
#
# Expected: aget_many() is get_many() in a thread: one hop and one command (MGET, or one SELECT) for all keys, as
# every async method of the ORM is its synchronous twin in one hop.
# Seen: the base class loops over `await self.aget(key)`, and no backend of Django has anything else (Redis and Memcached
# included). 100 keys from the database cache are 100 hops and 100 queries in place of 1 and 1; aset_many() and
# adelete_many() do the same. `await sync_to_async(cache.get_many)(keys)` is one of each.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0
cat >"$dir/site.py" <<'PY'
import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}},
)
import django

django.setup()
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.cache.backends.redis import RedisCache
from django.core.management import call_command
from django.db import connection

call_command("createcachetable", verbosity=0)
hops = queries = 0
submit = ThreadPoolExecutor.submit


def counted_submit(self, *args, **kwargs):
    global hops
    hops += 1
    return submit(self, *args, **kwargs)


def count_query(execute, *args):
    global queries
    queries += 1
    return execute(*args)


ThreadPoolExecutor.submit = counted_submit


async def main():
    global hops, queries
    keys = [f"key{i}" for i in range(100)]
    await sync_to_async(lambda: (connection.execute_wrappers.append(count_query), cache.set_many(dict.fromkeys(keys, 1))))()
    seen = {}
    for name, ask in {
        "aget_many": lambda: cache.aget_many(keys),
        "get_many in a thread": lambda: sync_to_async(cache.get_many)(keys),
        "adelete_many": lambda: cache.adelete_many(keys),
    }.items():
        hops = queries = 0
        await ask()
        seen[name] = hops, queries
        print(f"{name}: {hops} hops, {queries} queries")
    return seen


print("Django", django.__version__)
seen = asyncio.run(main())
inherited = all("aget_many" not in vars(backend) for backend in (RedisCache, BaseMemcachedCache))
print("Redis and Memcached have no aget_many of their own:", inherited)
many, one = (100, 100), (1, 1)
sys.exit(not inherited or list(seen.values()) != [many, one, many])
PY
"$dir/venv/bin/python" "$dir/site.py" "$dir/database"
