"""The background task that keeps prices as the supplier has them."""

import asyncio
import logging

import requests
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from problems import fixed
from shop import suppliers
from shop.models import Product

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two refreshes."""


def refresh_prices() -> int:
    """Take over changed prices; returns how many changed."""
    prices = suppliers.price_list()
    changed = []
    for product in Product.objects.filter(slug__in=prices):
        if product.price != prices[product.slug]:
            product.price = prices[product.slug]
            changed.append(product)
    if changed:
        Product.objects.bulk_update(changed, ["price"])
    return len(changed)


async def keep_prices_fresh() -> None:
    """Refresh for ever; a supplier that does not answer is logged and asked again."""
    while True:
        try:
            if fixed("shared_thread"):
                async with ThreadSensitiveContext():
                    await sync_to_async(refresh_prices)()
            else:
                await sync_to_async(refresh_prices)()
        except (requests.RequestException, ValueError, KeyError):
            logger.exception("prices were not refreshed; the next attempt is in %s s", INTERVAL)
        await asyncio.sleep(INTERVAL)
