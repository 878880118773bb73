"""The shop's own middleware."""

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from problems import fixed


class LoyaltyRequest(HttpRequest):
    """A request that passed `LoyaltyMiddleware`."""

    loyalty_tier: str


class LoyaltyMiddleware:
    """Puts the customer's tier on requests below `/api/account/`."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: LoyaltyRequest) -> HttpResponse:
        """Set `request.loyalty_tier`."""
        if request.path.startswith("/api/account/"):
            user = await request.auser() if fixed("lazy_user") else request.user
            request.loyalty_tier = "member" if user.is_authenticated else "guest"
        return await self.get_response(request)
