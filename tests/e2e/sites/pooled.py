"""Two threads and a pool of one connection. Prints how long the second waited, in ms."""

import os
import threading
import time

import django
from django.conf import settings

settings.configure(
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["SITE_PORT"],
            "USER": "postgres",
            "NAME": "postgres",
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 10}},
        }
    },
)
django.setup()

import asgiscope  # noqa: E402 - as a site does, when Django is set up

asgiscope.instrument()

from django.db import connection  # noqa: E402

has_it = threading.Event()
waited: list[float] = []


def holds() -> None:
    with connection.cursor() as cursor:  # holds it
        has_it.set()
        cursor.execute("SELECT pg_sleep(0.4)")
    connection.close()


def waits() -> None:
    has_it.wait()
    began = time.perf_counter()
    connection.ensure_connection()  # waits
    waited.append(time.perf_counter() - began)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()


threads = [threading.Thread(target=one, name=one.__name__) for one in (holds, waits)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
connection.close_pool()  # type: ignore[attr-defined] # the wrapper of PostgreSQL has it
asgiscope.uninstrument()
print(round(waited[0] * 1000))  # noqa: T201 - what the test reads
