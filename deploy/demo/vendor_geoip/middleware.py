"""Middleware that puts the visitor's country on the request.

`GeoIPMiddleware` is what old releases of such packages ship: `__init__` and `__call__`, sync-only.
`AsyncGeoIPMiddleware` is what newer ones ship.
"""

import ipaddress
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

_NETWORKS = (
    (ipaddress.ip_network("192.0.2.0/24"), "NL"),
    (ipaddress.ip_network("198.51.100.0/24"), "DE"),
    (ipaddress.ip_network("203.0.113.0/24"), "CZ"),
)
UNKNOWN = "ZZ"


class GeoRequest(HttpRequest):
    """A request that passed this middleware."""

    country: str


def country_of(address: str) -> str:
    """ISO 3166 code of an IP address, `ZZ` where it is unknown or no address at all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    return next((country for network, country in _NETWORKS if parsed in network), UNKNOWN)


class GeoIPMiddleware:
    """The sync-only form: under ASGI, Django moves it and what it wraps to a thread and back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: GeoRequest) -> HttpResponse:
        """Set `request.country`."""
        request.country = country_of(request.META.get("REMOTE_ADDR", ""))
        return self.get_response(request)


class AsyncGeoIPMiddleware:
    """The form that stays on the event loop when what it wraps is async."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: GeoRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Set `request.country`; the answer is awaitable when what is wrapped is async."""
        request.country = country_of(request.META.get("REMOTE_ADDR", ""))
        return self.get_response(request)
