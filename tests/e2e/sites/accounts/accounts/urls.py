"""The site's addresses."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


async def ready(_request: HttpRequest) -> HttpResponse:
    """Answer without touching anything."""
    return HttpResponse("ready")


urlpatterns = [path("ready/", ready), path("accounts/", include("allauth.urls"))]
