"""A middleware as many packages still ship it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class SyncOnly:
    """Cannot run on the event loop, so that Django sends every request through a thread."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        response = self.get_response(request)
        response.headers["X-Sync-Only"] = "passed"
        return response
