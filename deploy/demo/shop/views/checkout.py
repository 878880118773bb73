"""Paying for the cart."""

from decimal import Decimal

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.decorators import login_required
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from shop import cart, suppliers
from shop.cart import CartLine
from shop.models import Order, OrderLine


@require_POST
@login_required
def checkout(request: HttpRequest) -> HttpResponse:
    """Pay for what is in the cart: the sync form, which parks its thread while the payment is on its way."""
    lines = cart.lines(request.session)
    if not lines:
        return redirect("cart")
    reference = async_to_sync(suppliers.authorise)(_total(lines))
    return redirect("thanks", pk=_place(request.user.pk, lines, reference, request.session))


@require_POST
@login_required
async def checkout_async(request: HttpRequest) -> HttpResponse:
    """Pay for what is in the cart: the async form, which holds no thread while the payment is on its way."""
    lines = await sync_to_async(cart.lines)(request.session)
    if not lines:
        return redirect("cart")
    reference = await suppliers.authorise(_total(lines))
    user = await request.auser()
    return redirect("thanks", pk=await sync_to_async(_place)(user.pk, lines, reference, request.session))


@login_required
def thanks(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a placed order, for who placed it."""
    order = get_object_or_404(Order, pk=pk, customer_id=request.user.pk)
    lines = OrderLine.objects.filter(order=order).select_related("product")
    return render(request, "shop/thanks.html", {"order": order, "lines": lines})


def _total(lines: list[CartLine]) -> Decimal:
    return sum((line.total for line in lines), Decimal())


def _place(customer_id: object, lines: list[CartLine], reference: str, session: SessionBase) -> int:
    with transaction.atomic():
        order = Order.objects.create(
            customer_id=customer_id, placed=timezone.now(), payment_reference=reference
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order, product=line.product, quantity=line.quantity, unit_price=line.product.price
            )
            for line in lines
        )
    cart.clear(session)
    return int(order.pk)
