"""What is running out: each product warns from a number of its own downwards, or from the shop's."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from todoku.catalog.models import Product
from todoku.shop import chosen
from todoku.stock.models import Level


def threshold(level: Level) -> int:
    """From how many on hand downwards this product is running out."""
    return level.low_at if level.low_at is not None else chosen.now().low_stock


def is_low(level: Level) -> bool:
    """Say whether the product is running out."""
    return level.on_hand <= threshold(level)


def levels() -> QuerySet[Level]:
    """The levels of everything on sale that is running out, the scarcest first, each with its product."""
    return (
        Level.objects.select_related("product")
        .filter(Q(product__on_sale=True), on_hand__lte=Coalesce(F("low_at"), chosen.now().low_stock))
        .order_by("on_hand", "product_id")
    )


def running_out(most: int) -> list[Level]:
    """What is on sale and running out, the scarcest first; what nobody has counted yet has none. Two queries."""
    uncounted = Product.objects.filter(on_sale=True, level=None).order_by("id")[:most]
    return [*(Level(product=product) for product in uncounted), *levels()[:most]][:most]
