"""The cart's pages: ordinary sync views."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from shop import cart
from shop.models import Product


def show(request: HttpRequest) -> HttpResponse:
    """Return what is in the cart."""
    lines = cart.lines(request.session)
    return render(request, "shop/cart.html", {"lines": lines, "total": sum(line.total for line in lines)})


@require_POST
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Put one more piece of a product into the cart."""
    product = get_object_or_404(Product, slug=slug)
    cart.add(request.session, product.slug)
    return redirect("cart")
