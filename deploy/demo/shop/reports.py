"""Exports for the office."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.formats import date_format

from shop.models import OrderLine

Row = tuple[int, datetime, str, str, int, Decimal]
"""Order number, time placed, customer, product, quantity, unit price."""
MAX_ROWS = 8_000


def order_line_rows() -> list[Row]:
    """Return the newest lines, at most `MAX_ROWS`."""
    return list(
        OrderLine.objects.order_by("-pk").values_list(
            "order_id",
            "order__placed",
            "order__customer__username",
            "product__name",
            "quantity",
            "unit_price",
        )[:MAX_ROWS]
    )


def order_lines_csv(rows: Iterable[Row]) -> str:
    """Return the rows as CSV with local dates and line totals; cells that a spreadsheet would run are quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["order", "placed", "customer", "product", "quantity", "unit price", "line total"])
    for order, placed, customer, product, quantity, price in rows:
        day = date_format(timezone.localtime(placed), "j F Y H:i")
        writer.writerow([order, day, _inert(customer), _inert(product), quantity, price, quantity * price])
    return out.getvalue()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell
