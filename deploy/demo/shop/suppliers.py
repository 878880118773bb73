"""What the shop asks of its supplier over HTTP. Every function raises its client's own errors.

The functions for the event loop share one client: making one costs tens of milliseconds (it reads the trusted
certificates), which would stop the loop each time.
"""

from decimal import Decimal

import httpx
import requests
from django.conf import settings

TIMEOUT = 10
"""Seconds that any one answer may take."""

KEEP_SECONDS = 2
"""An idle connection is used again for less time than uvicorn keeps it (5 s), which may close it any moment."""

_client = httpx.AsyncClient(timeout=TIMEOUT, limits=httpx.Limits(keepalive_expiry=KEEP_SECONDS))


def _url(path: str) -> str:
    return f"{settings.SUPPLIER_URL}/{path}"


def stock_level(slug: str) -> int:
    """Pieces in the supplier's warehouse."""
    response = requests.get(_url(f"stock/{slug}"), timeout=TIMEOUT)
    response.raise_for_status()
    return int(response.json()["pieces"])


async def astock_level(slug: str) -> int:
    """`stock_level` for the event loop."""
    response = await _client.get(_url(f"stock/{slug}"))
    response.raise_for_status()
    return int(response.json()["pieces"])


def price_list() -> dict[str, Decimal]:
    """Today's price by product slug."""
    response = requests.get(_url("prices"), timeout=TIMEOUT)
    response.raise_for_status()
    return {slug: Decimal(price) for slug, price in response.json().items()}


async def authorise(amount: Decimal) -> str:
    """Have the payment authorised; returns its reference."""
    response = await _client.post(_url("payments"), json={"amount": str(amount)})
    response.raise_for_status()
    return str(response.json()["reference"])


def photo(slug: str) -> bytes:
    """Return a product's photo: 160 x 120 pixels, three bytes each."""
    response = requests.get(_url(f"photos/{slug}"), timeout=TIMEOUT)
    response.raise_for_status()
    return response.content


async def aphoto(slug: str) -> bytes:
    """`photo` for the event loop."""
    response = await _client.get(_url(f"photos/{slug}"))
    response.raise_for_status()
    return response.content


async def close() -> None:
    """Close the connections of the functions for the event loop; the process is about to end."""
    await _client.aclose()
