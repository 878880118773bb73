"""django-auditlog: what requests change is written down with who did it."""

from base import MIDDLEWARE, configure, served

configure(__name__, apps=("auditlog",), middleware=(*MIDDLEWARE, "auditlog.middleware.AuditlogMiddleware"))

from auditlog.registry import auditlog  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from shop.models import Visit  # noqa: E402

auditlog.register(Visit)


async def visits(request):
    await Visit.objects.acreate(note="async")
    return HttpResponse("written")


def visits_sync(request):
    Visit.objects.create(note="sync")
    return HttpResponse("written")


urlpatterns = [path("visits/", visits), path("visits-sync/", visits_sync)]
application = served(get_asgi_application())
