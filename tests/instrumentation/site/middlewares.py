"""Middleware of the test site."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse


class SyncOnly:
    """What many third-party packages still ship."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Do nothing, in a thread."""
        return self.get_response(request)


class TouchesUser:
    """An async middleware that touches the lazy user."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Ask who it is."""
        request.META["known"] = self.who(request)
        return await self.get_response(request)

    def who(self, request: HttpRequest) -> bool:
        """Touch the lazy user."""
        return request.user.is_authenticated
