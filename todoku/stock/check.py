"""在庫チェック: is there enough of everything? A look, not a promise: TakeStock decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from todoku.cart.models import Line
from todoku.catalog.models import Product
from todoku.stock.models import Level


@dataclass(frozen=True)
class Short:
    """A product of which less is on hand than is wanted."""

    product: Product
    wanted: int
    remaining: int


def short(lines: Iterable[Line]) -> list[Short]:
    """Name the lines that the stock cannot serve now, with how many remain of each. One query."""
    lines = list(lines)
    on_hand = dict(
        Level.objects.filter(product_id__in=[line.product_id for line in lines]).values_list(
            "product_id", "on_hand"
        )
    )
    return [
        Short(line.product, line.quantity, max(0, on_hand.get(line.product_id, 0)))
        for line in lines
        if on_hand.get(line.product_id, 0) < line.quantity
    ]
