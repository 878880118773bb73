"""The same upload as a synchronous API view, as an async one, and as a plain async view of Django."""

from typing import Any

from adrf.views import APIView as AsyncAPIView  # type: ignore[import-not-found] # in the site's environment only
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.response import Response  # type: ignore[import-not-found] # the same
from rest_framework.serializers import ModelSerializer  # type: ignore[import-not-found] # the same
from rest_framework.views import APIView  # type: ignore[import-not-found] # the same

from .models import StoredToken
from .stores import STORES


def files_of(request: Any) -> dict[str, bytes]:
    """Return the uploaded files."""
    return {str(file.name): file.read() for file in request.FILES.values()}


class Upload(APIView):  # type: ignore[misc] # unknown to the checker, see above
    """Synchronous, as the framework's views are."""

    def post(self, request: Any, store: str) -> Any:
        """Take the files and send them on."""
        sent = async_to_sync(STORES[store].send)(files_of(request))
        return Response({"sent": sent})


class AsyncUpload(AsyncAPIView):  # type: ignore[misc] # the same
    """Async, by adrf."""

    async def post(self, request: Any, store: str) -> Any:
        """Take the files and send them on."""
        return Response({"sent": await STORES[store].send(files_of(request))})


async def upload(request: HttpRequest, store: str) -> HttpResponse:
    """Take the files and send them on."""
    return JsonResponse({"sent": await STORES[store].send(files_of(request))})


class TokenSerializer(ModelSerializer):  # type: ignore[misc] # the same
    """Which services a token is kept for."""

    class Meta:
        """One field of one model."""

        model = StoredToken
        fields = ("service",)


async def services(_request: HttpRequest) -> HttpResponse:
    """List the services, through a serializer that iterates its queryset."""
    tokens = StoredToken.objects.order_by("service")
    return JsonResponse({"services": TokenSerializer(tokens, many=True).data})


async def keep(request: HttpRequest, name: str) -> HttpResponse:
    """Return the store: takes a file from who has the token."""
    known = request.headers.get("Authorization") == f"Bearer {settings.STORE_TOKEN}"
    return HttpResponse(f"{name}: {len(request.body)}", status=201 if known else 401)


async def ready(_request: HttpRequest) -> HttpResponse:
    """Answer without touching anything."""
    return HttpResponse("ready")
