"""Put goods that were sold back on the shelf: what a called-off or refunded order had bought, and never more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db.models import F, Sum

from todoku.stock.models import Kind, Level, Movement

if TYPE_CHECKING:
    from todoku.order.models import Order


def return_sold(order: Order, wanted: Mapping[int, int], *, who: str, why: str) -> dict[int, int]:
    """Return so many of each product from the order to the shelf, and tell what moved, by product id.

    Must run in a transaction. What the order has bought and not yet returned stands in its movements, so however many
    people return the same goods, at most that much comes back: who comes second moves nothing.
    """
    # In the order of the products, as everybody who moves stock locks them.
    levels = list(Level.objects.select_for_update(no_key=True).filter(product__in=wanted).order_by("product_id"))
    bought = dict(
        Movement.objects.filter(order=order, product__in=wanted)
        .order_by()
        .values_list("product")
        .annotate(n=Sum("sold"))
    )
    moved = {
        level.product_id: n
        for level in levels
        if (n := min(wanted[level.product_id], bought.get(level.product_id, 0))) > 0
    }
    for level in levels:
        if n := moved.get(level.product_id):
            level.on_hand, level.sold = F("on_hand") + n, F("sold") - n
            level.save(update_fields=["on_hand", "sold"])
    Movement.objects.bulk_create(
        Movement(product_id=product, kind=Kind.RETURNED, on_hand=n, sold=-n, order=order, who=who[:150], why=why[:200])
        for product, n in moved.items()
    )
    return moved
