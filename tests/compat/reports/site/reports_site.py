"""A project of one file: each view is a mistake that people report of Django on ASGI, under its own route.

Each is written as in the reports, shortened. `/health/` is the request that suffers: it touches nothing.
"""

import asyncio
import concurrent.futures
import hashlib
import json
import logging
import os
import queue
import re
import smtplib
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import django
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

HOLD_S = 0.3
"""How long a mistake holds what it holds."""
UPSTREAM = os.environ.get("SITE_UPSTREAM", "http://127.0.0.1:9/")
"""A slow HTTP server of the test's."""

settings.configure(
    SECRET_KEY="a test site has no secrets",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "asgiscope",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.audit",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["SITE_DATABASE"],
            "OPTIONS": {"timeout": 20},
        }
    },
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": os.environ["SITE_DATABASE"] + ".cache",
        },
    },
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - settings come first
from django.contrib.sessions.models import Session  # noqa: E402
from django.db.models.signals import post_save  # noqa: E402
from django.template import engines  # noqa: E402
from django.utils.decorators import sync_and_async_middleware  # noqa: E402

logger = logging.getLogger("reports")


@sync_and_async_middleware
def audit(get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Any:
    """Look who asks, on one route only."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        if request.path == "/lazy-user/" and request.user.is_authenticated:
            logger.info("somebody")
        return await get_response(request)

    return middleware


async def health(_request: HttpRequest) -> HttpResponse:
    """Touch nothing."""
    return HttpResponse("ok")


async def sleeping(_request: HttpRequest) -> HttpResponse:
    """Sleep on the loop."""
    time.sleep(HOLD_S)
    return HttpResponse("slept")


def fetch(url: str) -> bytes:
    """Fetch, as any sync client does."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the test's own server
        return bytes(answer.read())


async def sync_client(_request: HttpRequest) -> HttpResponse:
    """Call a sync HTTP client from an async view."""
    return HttpResponse(fetch(UPSTREAM))


async def thread_pool_with(_request: HttpRequest) -> HttpResponse:
    """Map over a pool, and wait for it on the loop when the block ends."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        pool.submit(work_in_pool)
    return HttpResponse("mapped")


def work_in_pool() -> None:
    """Take a while in a thread."""
    time.sleep(HOLD_S)


async def future_result(_request: HttpRequest) -> HttpResponse:
    """Wait for a pool's future without await."""
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    future = pool.submit(work_in_pool)
    value = future.result()
    await asyncio.to_thread(pool.shutdown)
    return HttpResponse(str(value))


async def thread_join(_request: HttpRequest) -> HttpResponse:
    """Start a thread, and join it on the loop."""
    thread = threading.Thread(target=work_in_pool, name="report-worker")
    thread.start()
    thread.join()
    return HttpResponse("joined")


_lock = threading.Lock()


async def locked(_request: HttpRequest) -> HttpResponse:
    """Take a lock that a thread holds."""
    held = threading.Event()

    def hold_lock() -> None:
        with _lock:
            held.set()
            time.sleep(HOLD_S)

    thread = threading.Thread(target=hold_lock)
    thread.start()
    await asyncio.to_thread(held.wait)
    with _lock:
        pass
    return HttpResponse("locked")


async def queue_get(_request: HttpRequest) -> HttpResponse:
    """Wait for a thread's answer in a `queue.Queue`."""
    answers: queue.Queue[str] = queue.Queue()

    def answer_later() -> None:
        time.sleep(HOLD_S)
        answers.put("late")

    threading.Thread(target=answer_later).start()
    return HttpResponse(answers.get())


async def subprocess_run(_request: HttpRequest) -> HttpResponse:
    """Run a program and wait for it."""
    subprocess.run([sys.executable, "-S", "-c", f"import time; time.sleep({HOLD_S})"], check=True)
    return HttpResponse("ran")


async def slow_regex(_request: HttpRequest) -> HttpResponse:
    """Match what takes the processor long."""
    end = time.thread_time() + HOLD_S  # of the processor: the machine may be busy
    pattern = re.compile(r"(x+x+)+y")
    while time.thread_time() < end:
        pattern.match("x" * 15)
    return HttpResponse("matched")


async def big_json(_request: HttpRequest) -> HttpResponse:
    """Serialise a large answer on the loop."""
    end = time.thread_time() + HOLD_S  # of the processor: the machine may be busy
    rows = [{"number": number, "text": "x" * 50} for number in range(5_000)]
    text = ""
    while time.thread_time() < end:
        text = json.dumps(rows)
    return HttpResponse(str(len(text)))


async def hashing(_request: HttpRequest) -> HttpResponse:
    """Derive a key on the loop; the interpreter's lock is released meanwhile."""
    end = time.thread_time() + HOLD_S  # of the processor: the machine may be busy
    key = b""
    while time.thread_time() < end:
        key = hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 100_000)
    return HttpResponse(key.hex())


async def orm_in_view(_request: HttpRequest) -> HttpResponse:
    """Evaluate a queryset on the loop."""
    return JsonResponse({"users": [user.pk for user in User.objects.all()]})


async def orm_caught(_request: HttpRequest) -> HttpResponse:
    """Return the same, caught, and answered."""
    try:
        count = User.objects.count()
    except Exception:  # noqa: BLE001 - as in the report
        count = -1
    return JsonResponse({"users": count})


async def lazy_user(_request: HttpRequest) -> HttpResponse:
    """Refused before it is reached: the middleware asks for request.user."""
    return HttpResponse("never")


async def gathered(_request: HttpRequest) -> HttpResponse:
    """Gather thread-sensitive calls, which run one after another."""
    await asyncio.gather(*(sync_to_async(slow_report)() for _ in range(3)))
    return HttpResponse("gathered")


def slow_report() -> None:
    """Hold the request's thread."""
    time.sleep(HOLD_S / 3)


async def hop_loop(_request: HttpRequest) -> HttpResponse:
    """Get one row after another."""
    for number in range(15):
        await User.objects.filter(pk=number).aexists()
    return HttpResponse("looped")


def parked(_request: HttpRequest) -> HttpResponse:
    """Park a thread for an async function."""
    return HttpResponse(async_to_sync(wait_upstream)())


async def wait_upstream() -> str:
    """Take longer than `ASGISCOPE_PARKED_MS`."""
    await asyncio.sleep(0.7)
    return "parked"


def rows() -> Iterator[bytes]:
    """Rows of an export, made by synchronous code."""
    for _ in range(3):
        time.sleep(HOLD_S / 3)
        yield b"row\n"


async def export(_request: HttpRequest) -> StreamingHttpResponse:
    """Stream a synchronous generator."""
    return StreamingHttpResponse(rows())


async def blocking_stream(_request: HttpRequest) -> StreamingHttpResponse:
    """Stream an async generator that blocks between its parts."""

    async def events() -> AsyncIterator[bytes]:
        yield b"first\n"
        time.sleep(HOLD_S)
        yield b"second\n"

    return StreamingHttpResponse(events())


async def template(_request: HttpRequest) -> HttpResponse:
    """Render a template that runs queries, on the loop."""
    page = engines["django"].from_string("{% for user in users %}{{ user.pk }}{% endfor %}")
    return HttpResponse(page.render({"users": User.objects.all()}))


def on_saved(**_: object) -> None:
    """A receiver that talks to another service."""
    time.sleep(HOLD_S)


async def signal_receiver(_request: HttpRequest) -> HttpResponse:
    """Send a signal synchronously from an async view."""
    post_save.send(sender=Session, instance=None)
    return HttpResponse("sent")


post_save.connect(on_saved, sender=Session)


async def name_lookup(_request: HttpRequest) -> HttpResponse:
    """Connect a socket on the loop to what does not answer at once."""
    host, port = UPSTREAM.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return HttpResponse(connection.recv(100))


class _Mail(logging.Handler):
    """Mails errors, as AdminEmailHandler does, while the loop waits."""

    def emit(self, record: logging.LogRecord) -> None:
        host, port = UPSTREAM.removeprefix("http://").rstrip("/").split(":")
        try:
            smtplib.SMTP(host, int(port), timeout=HOLD_S).quit()
        except (OSError, smtplib.SMTPException):
            record.mailed = False


_errors = logging.getLogger("reports.errors")
_errors.addHandler(_Mail())
_errors.propagate = False


async def mailing_logger(_request: HttpRequest) -> HttpResponse:
    """Log an error, whose handler sends mail."""
    _errors.error("it broke")
    return HttpResponse("logged")


async def file_cache(_request: HttpRequest) -> HttpResponse:
    """Use the synchronous cache API on the loop; quick, so that nothing is to be said."""
    cache.set("key", "value")
    return HttpResponse(cache.get("key"))


async def task_after(_request: HttpRequest) -> HttpResponse:
    """Answer, and block the loop from a task afterwards."""
    asyncio.get_running_loop().call_later(0.05, blocking_callback)
    return HttpResponse("later")


def blocking_callback() -> None:
    """A callback that blocks."""
    time.sleep(HOLD_S)


async def pool_full(_request: HttpRequest) -> HttpResponse:
    """Fill the default executor of a small machine."""
    await asyncio.gather(*(asyncio.to_thread(slow_report) for _ in range((os.cpu_count() or 1) + 10)))
    return HttpResponse("filled")


async def own_deadlock(_request: HttpRequest) -> HttpResponse:
    """Wait on the loop for a coroutine that needs the loop; given up after a while."""
    loop = asyncio.get_running_loop()

    def ask_the_loop() -> None:
        try:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=HOLD_S * 8)
        except TimeoutError:
            logger.info("gave up")

    thread = threading.Thread(target=ask_the_loop, name="asks-the-loop")
    thread.start()
    thread.join()
    return HttpResponse("after all")


VIEWS = (
    *(sleeping, sync_client, thread_pool_with, future_result, thread_join, locked, queue_get, subprocess_run),
    *(slow_regex, big_json, hashing, orm_in_view, orm_caught, lazy_user, gathered, hop_loop, parked, export),
    *(
        blocking_stream,
        template,
        signal_receiver,
        name_lookup,
        mailing_logger,
        file_cache,
        task_after,
        pool_full,
    ),
    own_deadlock,
)
urlpatterns = [
    path("health/", health),
    *(path(f"{view.__name__.replace('_', '-')}/", view) for view in VIEWS),
]
application = get_asgi_application()
