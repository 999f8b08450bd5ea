"""The sum that proves the stock: what the movements come to is what the shelves say, or somebody must look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from todoku.stock.models import Kind, Level, Movement


@dataclass(frozen=True)
class Sums:
    """Three numbers and what came in: of a product's movements, or of all movements."""

    on_hand: int = 0
    reserved: int = 0
    sold: int = 0
    #: What people counted in and out: on hand, held and sold together, as sales and holds create nothing.
    came_in: int = 0

    @property
    def total(self) -> int:
        """All three together."""
        return self.on_hand + self.reserved + self.sold

    def proves(self, level: Level) -> bool:
        """Say whether the level is what these movements come to, and all of it once came in."""
        return (self.on_hand, self.reserved, self.sold) == (level.on_hand, level.reserved, level.sold) and (
            self.came_in == self.total
        )


def of_products(products: Iterable[int]) -> dict[int, Sums]:
    """What each product's movements come to. One query; a product without movements is not in it."""
    sums = (
        Movement.objects.filter(product__in=list(products))
        .order_by()
        .values_list("product_id")
        .annotate(
            Sum("on_hand"),
            Sum("reserved"),
            Sum("sold"),
            came_in=Coalesce(Sum("on_hand", filter=Q(kind=Kind.COUNTED)), 0),
        )
    )
    return {product: Sums(*numbers) for product, *numbers in sums}


@dataclass(frozen=True)
class Whole:
    """The whole shop's shelves beside all movements."""

    shelves: Sums
    moved: Sums
    #: Products whose level is not what their movements come to; a few of them by SKU.
    wrong: int
    skus: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Say whether every product adds up, and so all of them together."""
        return not self.wrong and self.moved.total == self.shelves.total == self.moved.came_in


_WHOLE = """
    WITH moved AS (
        SELECT product_id, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(sold) AS sold,
               coalesce(sum(on_hand) FILTER (WHERE kind = 'counted'), 0) AS came_in
          FROM stock_movement GROUP BY product_id
    ), beside AS (
        SELECT level.product_id, level.on_hand AS l_on_hand, level.reserved AS l_reserved, level.sold AS l_sold,
               coalesce(moved.on_hand, 0) AS on_hand, coalesce(moved.reserved, 0) AS reserved,
               coalesce(moved.sold, 0) AS sold, coalesce(moved.came_in, 0) AS came_in
          FROM stock_level level FULL JOIN moved ON moved.product_id = level.product_id
    ), off AS (
        SELECT product_id FROM beside
         WHERE (l_on_hand, l_reserved, l_sold) IS DISTINCT FROM (on_hand, reserved, sold)
            OR came_in <> on_hand + reserved + sold
    )
    SELECT coalesce(sum(l_on_hand), 0), coalesce(sum(l_reserved), 0), coalesce(sum(l_sold), 0),
           coalesce(sum(on_hand), 0), coalesce(sum(reserved), 0), coalesce(sum(sold), 0), coalesce(sum(came_in), 0),
           (SELECT count(*) FROM off),
           (SELECT array_agg(sku ORDER BY sku) FROM (
                SELECT sku FROM catalog_product JOIN off ON off.product_id = id ORDER BY sku LIMIT 10) AS few)
      FROM beside
"""


def of_the_shop() -> Whole:
    """Prove all shelves at once. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_WHOLE)
        l_on_hand, l_reserved, l_sold, on_hand, reserved, sold, came_in, wrong, skus = cursor.fetchone()
    return Whole(
        shelves=Sums(int(l_on_hand), int(l_reserved), int(l_sold)),
        moved=Sums(int(on_hand), int(reserved), int(sold), int(came_in)),
        wrong=wrong,
        skus=tuple(skus or ()),
    )
