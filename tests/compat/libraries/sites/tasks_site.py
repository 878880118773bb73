"""django.tasks: synchronous and asynchronous tasks on the backend that runs them at once."""

from base import configure, served

configure(__name__)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.tasks import task  # noqa: E402
from django.urls import path  # noqa: E402
from shop.models import Visit  # noqa: E402


@task
def write(note):
    Visit.objects.create(note=note)
    return note


@task
async def awrite(note):
    await Visit.objects.acreate(note=note)
    return note


async def enqueues(request):
    result = await write.aenqueue("async view")
    return HttpResponse(str(result.return_value))


def enqueues_sync(request):
    return HttpResponse(f"{write.enqueue('sync').return_value} {awrite.enqueue('async').return_value}")


urlpatterns = [path("enqueues/", enqueues), path("enqueues-sync/", enqueues_sync)]
application = served(get_asgi_application())
