"""在庫チェック: is there enough of everything? A look, not a promise: TakeStock decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from todoku.cart.models import Line
from todoku.catalog.models import Product


@dataclass(frozen=True)
class Short:
    """A product of which less is on hand than is wanted."""

    product: Product
    wanted: int
    remaining: int


def short(lines: Iterable[Line]) -> list[Short]:
    """Name the lines that the stock cannot serve now, with how many remain of each. One query when all is well."""
    wanted = {line.product_id: line.quantity for line in lines}
    with connection.cursor() as cursor:
        cursor.execute("SELECT product_id, on_hand FROM stock_level WHERE product_id = ANY(%s)", [list(wanted)])
        on_hand = dict(cursor.fetchall())
    missing = {product: max(0, on_hand.get(product, 0)) for product, n in wanted.items() if on_hand.get(product, 0) < n}
    if not missing:
        return []
    products = Product.objects.in_bulk(list(missing))
    return [Short(products[product], wanted[product], remaining) for product, remaining in missing.items()]
