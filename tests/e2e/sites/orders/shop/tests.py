"""Tests for Django's own runner, without pytest."""

from asgiscope.testing import record
from django.test import TestCase


class Orders(TestCase):
    """With `AsyncClient` and with the synchronous client."""

    async def test_in_bounds(self) -> None:
        """The recording is read after and while it is open."""
        with record() as seen:
            await self.async_client.get("/orders/")
            assert [request.path for request in seen.requests] == ["/orders/"]
        assert [query.summary for query in seen.queries] == ["SELECT shop_order"]
        seen.check(blocking_ms=200, hops=8)

    async def test_out_of_bounds(self) -> None:
        """The message names the line and what to do."""
        with record() as seen:
            await self.async_client.get("/sleepy/")
        problems = ""
        try:
            seen.check(blocking_ms=200)
        except AssertionError as error:
            problems = str(error)
        assert "in sleepy, /sleepy/" in problems
        assert "fix: Await asyncio.sleep" in problems

    def test_the_synchronous_client(self) -> None:
        """A request is a request."""
        with record() as seen:
            self.client.get("/orders/")
        (request,) = seen.requests
        assert (request.route, request.queries) == ("/orders/", 1)
