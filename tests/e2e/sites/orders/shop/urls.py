"""Views, good and bad."""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from .models import Order


async def orders(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"orders": [order.name async for order in Order.objects.all()]})


async def sleepy(_request: HttpRequest) -> HttpResponse:
    time.sleep(0.3)
    return HttpResponse("ok")


async def forgiving(_request: HttpRequest) -> HttpResponse:
    try:
        return HttpResponse(str(len(Order.objects.all())))
    except SynchronousOnlyOperation:
        return HttpResponse("none")


async def unforgiving(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(Order.objects.all())))


def pack(seconds: float) -> None:
    time.sleep(seconds)


async def queued(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(sync_to_async(pack)(0.3) for _ in range(2)))
    return HttpResponse("ok")


async def hopping(_request: HttpRequest) -> HttpResponse:
    for _ in range(8):
        await Order.objects.acount()
    return HttpResponse("ok")


urlpatterns = [
    path(f"{view.__name__}/", view) for view in (orders, sleepy, forgiving, unforgiving, queued, hopping)
]
