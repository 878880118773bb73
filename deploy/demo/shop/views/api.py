"""The JSON API: async views."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.signing import TimestampSigner
from django.db.models import Count, F, Sum
from django.http import HttpRequest, JsonResponse
from django.shortcuts import aget_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from problems import fixed
from shop import suppliers
from shop.middleware import LoyaltyRequest
from shop.models import Order, OrderLine, Product

RECENT = 15


async def products(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - every view takes it
    """Return every product's slug, name and price."""
    rows = [row async for row in Product.objects.values("slug", "name", "price")]
    return JsonResponse({"products": rows})


async def stock(request: HttpRequest, slug: str) -> JsonResponse:  # noqa: ARG001 - every view takes it
    """Return what is in stock here and at the supplier."""
    product = await aget_object_or_404(Product, slug=slug)
    pieces = await suppliers.astock_level(slug) if fixed("requests_on_loop") else suppliers.stock_level(slug)
    return JsonResponse({"slug": slug, "here": product.stock, "supplier": pieces})


@csrf_exempt  # programs call it, without cookies
@require_POST
async def token(request: HttpRequest) -> JsonResponse:
    """Exchange a JSON body of `username` and `password` for a signed token."""
    try:
        body = json.loads(request.body)
        username, password = str(body["username"]), str(body["password"])
    except (ValueError, KeyError, TypeError):
        return JsonResponse(
            {"error": "send a JSON object with username and password"}, status=HTTPStatus.BAD_REQUEST
        )
    user = await User.objects.filter(username=username, is_active=True).afirst()
    if user is None:
        valid = False
    elif fixed("hash_on_loop"):
        # Not acheck_password: in Django 5.2 it hashes on the loop all the same (in 6.1 it does not).
        valid = await sync_to_async(user.check_password)(password)
    else:
        valid = user.check_password(password)
    if user is None or not valid:
        return JsonResponse({"error": "wrong username or password"}, status=HTTPStatus.UNAUTHORIZED)
    return JsonResponse({"token": TimestampSigner(salt="shop.api").sign(user.get_username())})


def revenue() -> str:
    """Money taken, over all orders."""
    total = OrderLine.objects.aggregate(total=Sum(F("quantity") * F("unit_price")))["total"]
    return str(total or 0)


def best_customers() -> list[dict[str, Any]]:
    """Who bought most pieces."""
    return list(
        Order.objects.order_by()
        .values("customer__username")
        .annotate(pieces=Sum("lines__quantity"))
        .order_by("-pieces")[:3]
    )


def sold_by_category() -> list[dict[str, Any]]:
    """Orders that touched each category."""
    return list(
        OrderLine.objects.values("product__category__name")
        .annotate(orders=Count("order", distinct=True))
        .order_by("-orders")
    )


def _whole_summary() -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    return revenue(), best_customers(), sold_by_category()


async def summary(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - every view takes it
    """Figures for the office's screen."""
    if fixed("gather_sensitive"):
        total, customers, categories = await sync_to_async(_whole_summary)()
    else:
        total, customers, categories = await asyncio.gather(
            sync_to_async(revenue)(), sync_to_async(best_customers)(), sync_to_async(sold_by_category)()
        )
    return JsonResponse({"revenue": total, "best_customers": customers, "categories": categories})


async def recent_purchases(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - every view takes it
    """Return what was bought last, without saying by whom."""
    lines = OrderLine.objects.order_by("-pk")
    if fixed("aget_storm"):
        lines = lines.select_related("product")
    purchases = []
    async for line in lines[:RECENT]:
        product = line.product if fixed("aget_storm") else await Product.objects.aget(pk=line.product_id)
        purchases.append({"product": product.name, "quantity": line.quantity})
    return JsonResponse({"purchases": purchases})


async def account(request: LoyaltyRequest) -> JsonResponse:
    """Who is logged in, and at which tier."""
    user = await request.auser()
    return JsonResponse({"username": user.get_username(), "tier": request.loyalty_tier})
