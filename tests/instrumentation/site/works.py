"""Views that do on the event loop what Django does synchronously without a guard."""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth.hashers import acheck_password, check_password, make_password
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.mail import send_mail
from django.dispatch import Signal, receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path

paid = Signal()


@receiver(paid)
def tell_the_warehouse(**_: Any) -> None:
    time.sleep(0.12)


async def slow_cache(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(caches["slow"].get("user-4711-basket")))


async def many_keys(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(caches["slow"].get_many(["one", "two"])))


async def awaited_cache(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await caches["slow"].aget("key")))


async def near_cache(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(cache.get("key")))


async def slow_template(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(render_to_string("slow.html", {"wait": wait}))


def wait() -> str:
    time.sleep(0.11)
    return "waited"


async def query_in_template(request: HttpRequest) -> HttpResponse:
    return render(request, "users.html", {"users": User.objects.all()})


async def slow_signal(_request: HttpRequest) -> HttpResponse:
    paid.send(None)
    return HttpResponse("ok")


async def hash_password(_request: HttpRequest) -> HttpResponse:
    encoded = make_password("correct horse battery staple")
    return HttpResponse(str(check_password("correct horse battery staple", encoded)))


async def awaited_hash(_request: HttpRequest) -> HttpResponse:
    encoded = User(username="ann").password or "pbkdf2_sha256$600000$salt$hash"
    return HttpResponse(str(await acheck_password("wrong", encoded)))


async def slow_storage(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(storages["slow"].exists("ann/passport.jpg")))


async def saved_file(_request: HttpRequest) -> HttpResponse:
    name = default_storage.save("ann/note.txt", ContentFile(b"text"))
    with default_storage.open(name) as file:
        content = file.read()
    default_storage.delete(name)
    return HttpResponse(content)


async def slow_read(_request: HttpRequest) -> HttpResponse:
    """Return a pipe that somebody else fills late."""
    with default_storage.open("pipe") as file:
        late = file.read()
    return HttpResponse(late)


async def own_open(_request: HttpRequest) -> HttpResponse:
    """Python's own file, which no probe sees."""
    with Path(settings.MEDIA_ROOT, "pipe").open("rb") as file:
        return HttpResponse(file.read())


async def mail(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(send_mail("Your order", "Thank you.", "shop@example.com", ["ann@example.com"])))


async def fetch(request: HttpRequest) -> HttpResponse:
    return HttpResponse(requests.get(request.GET["url"], timeout=10).text)


async def raw_driver(_request: HttpRequest) -> HttpResponse:
    connection = sqlite3.connect(":memory:")
    connection.create_function("wait", 0, lambda: time.sleep(0.25))
    answer = connection.execute("SELECT wait()").fetchone()
    connection.close()
    return HttpResponse(str(answer))


async def save_user(_request: HttpRequest) -> HttpResponse:
    """Return a query on the loop, and then a slow receiver: two stalls, one after the other."""
    user = User.objects.get(username="ann")
    paid.send(user)
    return HttpResponse(user.username)


async def mixed(_request: HttpRequest) -> HttpResponse:
    """In one turn of the loop: what no probe sees, what one sees, and another that none does."""
    time.sleep(0.15)  # before
    paid.send(None)
    time.sleep(0.18)  # after
    return HttpResponse("ok")


async def together(_request: HttpRequest) -> HttpResponse:
    """Two tasks that are ready at once: the loop answers nobody until both have run."""
    await asyncio.gather(first_half(), second_half())
    return HttpResponse("ok")


async def first_half() -> None:
    await asyncio.sleep(0)
    time.sleep(0.15)  # first


async def second_half() -> None:
    await asyncio.sleep(0)
    time.sleep(0.18)  # second


async def many_queries(_request: HttpRequest) -> HttpResponse:
    """Return each so short that nothing is said of it, and together long."""
    end = time.perf_counter() + 0.2
    count = 0
    while time.perf_counter() < end:
        count += User.objects.filter(username="ann").count()
    return HttpResponse(str(count))


urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (
        slow_cache,
        many_keys,
        awaited_cache,
        near_cache,
        slow_template,
        query_in_template,
        slow_signal,
        hash_password,
        awaited_hash,
        slow_storage,
        saved_file,
        slow_read,
        own_open,
        mail,
        fetch,
        raw_driver,
        save_user,
        many_queries,
        mixed,
        together,
    )
]
