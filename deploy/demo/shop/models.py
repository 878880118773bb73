"""Products and orders."""

from __future__ import annotations  # the fields' type arguments exist only for the type checker

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models


class Category(models.Model):
    """A shelf."""

    name: models.CharField[str, str] = models.CharField(max_length=60)
    slug: models.SlugField[str, str] = models.SlugField(unique=True)

    class Meta:
        """Alphabetical."""

        ordering = ("name",)

    def __str__(self) -> str:
        """Return the name, as people see it."""
        return self.name


class Product(models.Model):
    """Something for sale."""

    name: models.CharField[str, str] = models.CharField(max_length=120)
    slug: models.SlugField[str, str] = models.SlugField(unique=True)
    category: models.ForeignKey[Category, Category] = models.ForeignKey(
        Category, on_delete=models.PROTECT, related_name="products"
    )
    price: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=8, decimal_places=2)
    stock: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)

    class Meta:
        """By name, so that pages are stable."""

        ordering = ("name",)

    def __str__(self) -> str:
        """Return the name, as people see it."""
        return self.name


class Order(models.Model):
    """What a customer bought in one go."""

    customer: models.ForeignKey[User, User] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    placed: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_index=True)
    payment_reference: models.CharField[str, str] = models.CharField(max_length=40)

    class Meta:
        """Newest first."""

        ordering = ("-placed", "-pk")

    def __str__(self) -> str:
        """Return the number on the invoice."""
        return f"order {self.pk}"


class OrderLine(models.Model):
    """A product within an order."""

    order: models.ForeignKey[Order, Order] = models.ForeignKey(
        Order, on_delete=models.CASCADE, related_name="lines"
    )
    product: models.ForeignKey[Product, Product] = models.ForeignKey(
        Product, on_delete=models.PROTECT, related_name="lines"
    )
    product_id: int
    quantity: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    unit_price: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        """Quantity and product number."""
        return f"{self.quantity} x product {self.product_id}"
