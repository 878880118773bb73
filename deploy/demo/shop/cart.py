"""The cart in the session: a mapping of product slug to quantity."""

from dataclasses import dataclass
from decimal import Decimal

from django.contrib.sessions.backends.base import SessionBase

from shop.models import Product

_KEY = "cart"


@dataclass(frozen=True, slots=True)
class CartLine:
    """A product in the cart."""

    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        """Quantity times today's price."""
        return self.quantity * self.product.price


def add(session: SessionBase, slug: str) -> None:
    """Put one more piece into the cart."""
    cart: dict[str, int] = session.get(_KEY, {})
    session[_KEY] = {**cart, slug: cart.get(slug, 0) + 1}


def clear(session: SessionBase) -> None:
    """Empty the cart."""
    session.pop(_KEY, None)


def lines(session: SessionBase) -> list[CartLine]:
    """Return what is in the cart; products that are no longer sold are left out."""
    cart: dict[str, int] = session.get(_KEY, {})
    return [CartLine(product, cart[product.slug]) for product in Product.objects.filter(slug__in=cart)]
