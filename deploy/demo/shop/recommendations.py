"""Which products go together."""

from django.db.models import Count

from shop.models import OrderLine, Product


def also_bought(product: Product, limit: int = 4) -> list[Product]:
    """Products that customers of this product's category bought most, in any of their orders."""
    customers = OrderLine.objects.filter(product__category=product.category).values("order__customer")
    return list(
        Product.objects.filter(lines__order__customer__in=customers)
        .exclude(pk=product.pk)
        .annotate(together=Count("lines__order__customer", distinct=True))
        .select_related("category")
        .order_by("-together", "name")[:limit]
    )
