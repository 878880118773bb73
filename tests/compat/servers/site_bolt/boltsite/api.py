"""Handlers of django-bolt's own: its server calls them without any ASGI handler."""

# mypy: disable-error-code="untyped-decorator"
# django-bolt is only in the environment that runs this.

import asyncio
import time

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django_bolt import BoltAPI  # type: ignore[import-not-found] # see above

api = BoltAPI()


@api.get("/ready")
async def ready() -> dict[str, str]:
    return {"ready": "yes"}


@api.get("/waits/{seconds}")
async def waits(seconds: float) -> dict[str, float]:
    """Stay in flight."""
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@api.get("/blocks/{seconds}")
async def blocks(seconds: float) -> dict[str, float]:
    await asyncio.sleep(0)
    time.sleep(seconds)  # blocks
    return {"seconds": seconds}


@api.get("/inline/{seconds}")
async def inline(seconds: float) -> dict[str, float]:
    time.sleep(seconds)  # inline
    return {"seconds": seconds}


def work() -> None:
    time.sleep(0.15)


@api.get("/gathers")
async def gathers() -> dict[str, str]:
    await asyncio.gather(*(sync_to_async(work)() for _ in range(2)))  # gathers
    return {"ok": "yes"}


@api.get("/refused")
async def refused() -> dict[str, int]:
    await asyncio.sleep(0)
    return {"users": User.objects.count()}  # refused


@api.get("/sync")
def sync() -> dict[str, int]:
    return {"users": User.objects.count()}


@api.get("/missing", status_code=418)
async def missing() -> dict[str, str]:
    return {"teapot": "yes"}
