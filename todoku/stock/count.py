"""Count the stock: the only way in which goods come in, or are found missing, by a person's hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import transaction

from todoku.stock.models import Kind, Level, Movement


def count(counted: Mapping[int, int], *, who: str, why: str) -> dict[int, int]:
    """Set what is on hand to what was counted, and tell by how much each product's number moved.

    ``counted`` gives the new number on hand (free to take; what is held for orders is not in it) by product id.
    Products whose number is as counted do not move. Raises ValueError for a negative count.
    """
    negative = sorted(product_id for product_id, number in counted.items() if number < 0)
    if negative:
        raise ValueError(f"nobody can count less than nothing: products {negative}")
    return _move(counted, lambda level: counted[level.product_id] - level.on_hand, who, why)


def adjust(deltas: Mapping[int, int], *, who: str, why: str) -> dict[int, int]:
    """Add to what is on hand, or take away with a negative number, and tell what moved, by product id.

    Raises ValueError when a product would have less than nothing on hand; then nothing moves.
    """
    return _move(deltas, lambda level: deltas[level.product_id], who, why)


def _move(products: Mapping[int, int], delta_of: Callable[[Level], int], who: str, why: str) -> dict[int, int]:
    with transaction.atomic():
        Level.objects.bulk_create((Level(product_id=key) for key in sorted(products)), ignore_conflicts=True)
        # Always in the order of the products, so that two who count, or count and sell, never wait in a circle.
        levels = list(Level.objects.select_for_update().filter(product__in=products).order_by("product_id"))
        moved: dict[int, int] = {}
        for level in levels:
            delta = delta_of(level)
            if level.on_hand + delta < 0:
                raise ValueError(f"product {level.product_id} has {level.on_hand} on hand; {delta} is too much")
            if delta:
                level.on_hand += delta
                moved[level.product_id] = delta
        Level.objects.bulk_update([level for level in levels if level.product_id in moved], ["on_hand"])
        Movement.objects.bulk_create(
            Movement(product_id=product_id, kind=Kind.COUNTED, on_hand=delta, who=who[:150], why=why[:200])
            for product_id, delta in moved.items()
        )
    return moved
