"""The shop's own tests under pytest: some are meant to fail, and their names say so."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async
from asgiscope.testing import Recording
from django.test import AsyncClient, Client, TestCase

pytestmark = pytest.mark.django_db(transaction=True)
bounded = pytest.mark.asgiscope(blocking_ms=200, refusals=0, queue_wait_ms=200, hops=8)


@bounded
@pytest.mark.asyncio
async def test_in_bounds(async_client: AsyncClient) -> None:
    assert (await async_client.get("/orders/")).status_code == 200


@bounded
@pytest.mark.asyncio
async def test_fails_blocking(async_client: AsyncClient) -> None:
    assert (await async_client.get("/sleepy/")).status_code == 200


@bounded
@pytest.mark.asyncio
async def test_fails_refusal_that_was_caught(async_client: AsyncClient) -> None:
    assert (await async_client.get("/forgiving/")).status_code == 200


@bounded
@pytest.mark.asyncio
async def test_fails_by_itself(async_client: AsyncClient) -> None:
    await async_client.get("/unforgiving/")


@bounded
@pytest.mark.asyncio
async def test_fails_wait(async_client: AsyncClient) -> None:
    assert (await async_client.get("/queued/")).status_code == 200


@bounded
@pytest.mark.asyncio
async def test_fails_hops(async_client: AsyncClient) -> None:
    assert (await async_client.get("/hopping/")).status_code == 200


@bounded
@pytest.mark.asgiscope(blocking_ms=1000)
@pytest.mark.asyncio
async def test_the_nearest_mark_wins(async_client: AsyncClient) -> None:
    assert (await async_client.get("/sleepy/")).status_code == 200


@pytest.mark.asyncio
async def test_without_a_mark(async_client: AsyncClient) -> None:
    assert (await async_client.get("/sleepy/")).status_code == 200


@pytest.mark.asgiscope
@pytest.mark.asyncio
async def test_fails_in_code_without_a_request() -> None:
    time.sleep(0.1)
    await asyncio.sleep(0)


@pytest.mark.asgiscope(hops=2)
@pytest.mark.asyncio
async def test_fails_hops_of_code_without_a_request() -> None:
    for _ in range(3):
        await sync_to_async(len)("abc")


@bounded
def test_in_bounds_of_the_synchronous_client(client: Client) -> None:
    assert client.get("/orders/").status_code == 200


@bounded
def test_is_skipped() -> None:
    pytest.skip("for its own reasons")


@pytest.mark.asgiscope(blocking_seconds=1)
def test_fails_for_its_mark() -> None:
    """The mark has no such bound."""


@pytest.mark.asyncio
async def test_with_the_fixture(async_client: AsyncClient, asgiscope: Recording) -> None:
    await async_client.get("/orders/")
    (request,) = asgiscope.requests
    assert (request.method, request.route, request.status, request.queries) == ("GET", "/orders/", 200, 1)
    (query,) = asgiscope.queries
    assert (query.summary, query.on_event_loop) == ("SELECT shop_order", False)
    asgiscope.check(blocking_ms=200, queue_wait_ms=200, hops=8)


@bounded
class OfDjango(TestCase):
    """Django's own kind of test, which pytest runs too."""

    async def test_in_bounds(self) -> None:
        assert (await self.async_client.get("/orders/")).status_code == 200

    async def test_fails_blocking(self) -> None:
        assert (await self.async_client.get("/sleepy/")).status_code == 200
