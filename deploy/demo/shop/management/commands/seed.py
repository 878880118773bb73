"""`manage.py seed`: fill an empty shop."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from shop.models import Category, Order, OrderLine, Product

SHELVES = {
    "Kitchen": ("Enamel mug", "Linen apron", "Oak board", "Copper pan", "Glass jar", "Bread knife"),
    "Garden": ("Seed tray", "Hand trowel", "Watering can", "Clay pot", "Pruning shears", "Twine"),
    "Desk": ("Brass ruler", "Paper block", "Pencil set", "Desk lamp", "Letter opener", "Blotter"),
    "Bath": ("Olive soap", "Linen towel", "Wood brush", "Bath salt", "Soap dish", "Pumice stone"),
    "Travel": ("Canvas bag", "Wool blanket", "Tin box", "Folding cup", "Map case", "Rope"),
}
VARIANTS = 4
CUSTOMERS = 250
ORDERS = 12_000
LINES = 3


class Command(BaseCommand):
    """Products, customers, and enough orders that aggregates over them take tens of milliseconds."""

    help = "Fill the shop with products, customers and orders, unless it has any."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Do nothing where there are products already."""
        if Product.objects.exists():
            self.stdout.write("the shop has products already: nothing to do")
            return
        with transaction.atomic():
            products = _products()
            orders = _orders(_customers())
            _lines(orders, products)
        self.stdout.write(f"{len(products)} products, {CUSTOMERS} customers, {len(orders)} orders")


def _products() -> list[Product]:
    products = []
    for shelf, names in SHELVES.items():
        category = Category.objects.create(name=shelf, slug=slugify(shelf))
        for number, name in enumerate(names * VARIANTS, start=1):
            title = f"{name} {number}"
            products.append(
                Product(
                    name=title,
                    slug=slugify(title),
                    category=category,
                    price=Decimal(number) + Decimal("4.90"),
                    stock=number * 7 % 50,
                )
            )
    return Product.objects.bulk_create(products)


def _customers() -> list[User]:
    # One hash for all: it is the same well-known password, and hashing is slow on purpose.
    password = make_password("demo-password")
    return User.objects.bulk_create(
        User(username=f"customer{number}", password=password, is_staff=number == 0)
        for number in range(CUSTOMERS)
    )


def _orders(customers: list[User]) -> list[Order]:
    now = timezone.now()
    return Order.objects.bulk_create(
        Order(
            customer=customers[number * 17 % CUSTOMERS],
            placed=now - timedelta(minutes=(ORDERS - number) * 5),
            payment_reference=f"seed-{number}",
        )
        for number in range(ORDERS)
    )


def _lines(orders: list[Order], products: list[Product]) -> None:
    chance = random.Random(7)  # noqa: S311 - the same shop every time, no secrets
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=product, quantity=chance.randint(1, 4), unit_price=product.price)
        for order in orders
        for product in chance.sample(products, LINES)
    )
