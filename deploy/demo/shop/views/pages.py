"""Server-rendered pages: async views."""

import asyncio
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import aget_object_or_404, render

from problems import fixed
from shop import reports, suppliers, thumbnails
from shop.models import Category, Product
from shop.recommendations import also_bought

SHEET_SIZE = 40
DOWNLOADS_AT_ONCE = 8


async def arender(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """`render` in the request's thread: templates read the lazy user, messages and querysets."""
    return await sync_to_async(render)(request, template, context)


async def home(request: HttpRequest) -> HttpResponse:
    """Return the shelves."""
    categories = [category async for category in Category.objects.all()]
    return await arender(request, "shop/home.html", {"categories": categories})


async def product_list(request: HttpRequest) -> HttpResponse:
    """Return the products that sold best, of one category or of all."""
    products = Product.objects.select_related("category").annotate(sold=Sum("lines__quantity"))
    if category := request.GET.get("category"):
        products = products.filter(category__slug=category)
    context = {"products": products.order_by("-sold", "name")[:24]}
    if fixed("lazy_queryset"):
        return await arender(request, "shop/product_list.html", context)
    return render(request, "shop/product_list.html", context)


async def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One product, and what else its buyers bought."""
    product = await aget_object_or_404(Product.objects.select_related("category"), slug=slug)
    if fixed("orm_on_loop"):
        related = await sync_to_async(also_bought)(product)
    else:
        related = also_bought(product)
    return await arender(request, "shop/product_detail.html", {"product": product, "related": related})


async def contact_sheet(request: HttpRequest) -> HttpResponse:
    """Small photos of many products on one page."""
    slugs = [slug async for slug in Product.objects.values_list("slug", flat=True)[:SHEET_SIZE]]
    if fixed("pool_starvation"):
        photos = await _download(slugs)
        pictures = await asyncio.to_thread(lambda: [thumbnails.shrink(photo) for photo in photos])
    else:
        pictures = await asyncio.gather(*(_picture(slug) for slug in slugs))
    return await arender(
        request, "shop/contact_sheet.html", {"pictures": list(zip(slugs, pictures, strict=True))}
    )


async def _picture(slug: str) -> str:
    return await asyncio.to_thread(thumbnails.thumbnail, slug)


async def _download(slugs: list[str]) -> list[bytes]:
    turns = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    async def one(slug: str) -> bytes:
        async with turns:
            return await suppliers.aphoto(slug)

    return await asyncio.gather(*(one(slug) for slug in slugs))


async def live(request: HttpRequest) -> HttpResponse:
    """Return a page that shows the event stream of `shop.live`."""
    return await arender(request, "shop/live.html", {})


async def order_lines_report(request: HttpRequest) -> HttpResponse:
    """Return the newest order lines as CSV, for staff."""
    user = await request.auser()
    if not (isinstance(user, User) and user.is_staff):
        return HttpResponseForbidden("Only staff may export orders. Log in as staff first.")
    rows = await sync_to_async(reports.order_line_rows)()
    if fixed("csv_on_loop"):
        body = await sync_to_async(reports.order_lines_csv)(rows)
    else:
        body = reports.order_lines_csv(rows)
    return HttpResponse(
        body,
        content_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="order-lines.csv"'},
    )
