"""Count the stock: the only way in which goods come in, or are found missing, by a person's hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db import transaction

from todoku.stock.models import Kind, Level, Movement, Reason, Restock


def count(counted: Mapping[int, int], *, who: str, why: str) -> dict[int, int]:
    """Set what is on hand to what was counted, and tell by how much each product's number moved.

    ``counted`` gives the new number on hand (free to take; what is held for orders is not in it) by product id.
    Products whose number is as counted do not move. Raises ValueError for a negative count.
    """
    negative = sorted(product_id for product_id, number in counted.items() if number < 0)
    if negative:
        raise ValueError(f"nobody can count less than nothing: products {negative}")
    return _move(
        counted,
        lambda level: counted[level.product_id] - level.on_hand,
        who,
        lambda _product: {"why": why, "reason": Reason.COUNT},
    )


def adjust(
    deltas: Mapping[int, int],
    *,
    who: str,
    why: str,
    reason: str = "",
    token: uuid.UUID | None = None,
    restock: Restock | None = None,
) -> dict[int, int]:
    """Add to what is on hand, or take away with a negative number, and tell what moved, by product id.

    Raises ``NotEnough`` (a ValueError) when a product would have less than nothing on hand; then nothing moves.
    ``token`` names the form that this came from, of one product: a second movement of it the database refuses.
    """
    more = {"reason": reason, "token": token, "restock": restock}
    return _move(deltas, lambda level: deltas[level.product_id], who, lambda _product: {"why": why, **more})


def adjust_each(
    deltas: Mapping[int, tuple[int, str, str]], *, who: str, restock: Restock | None = None
) -> dict[int, int]:
    """Adjust many products at once, each by (difference, reason, words) of its own; all of them or none."""

    def told(product: int) -> dict[str, Any]:
        _delta, reason, why = deltas[product]
        return {"why": why, "reason": reason, "restock": restock}

    return _move(deltas, lambda level: deltas[level.product_id][0], who, told)


class NotEnough(ValueError):
    """Products would have less than nothing on hand: by product id, what there is and by how much it was to change."""

    def __init__(self, short: Mapping[int, tuple[int, int]]) -> None:
        told = (f"product {key} has {on_hand} on hand; {delta} is too much" for key, (on_hand, delta) in short.items())
        super().__init__("; ".join(told))
        self.short = dict(short)


def _move(
    products: Collection[int], delta_of: Callable[[Level], int], who: str, told: Callable[[int], dict[str, Any]]
) -> dict[int, int]:
    with transaction.atomic():
        Level.objects.bulk_create((Level(product_id=key) for key in sorted(products)), ignore_conflicts=True)
        # Always in the order of the products, so that two who count, or count and sell, never wait in a circle.
        levels = list(Level.objects.select_for_update().filter(product__in=products).order_by("product_id"))
        deltas = {level.product_id: delta_of(level) for level in levels}
        short = {
            level.product_id: (level.on_hand, deltas[level.product_id])
            for level in levels
            if level.on_hand + deltas[level.product_id] < 0
        }
        if short:
            raise NotEnough(short)
        moved = {product_id: delta for product_id, delta in deltas.items() if delta}
        for level in levels:
            level.on_hand += deltas[level.product_id]
        Level.objects.bulk_update([level for level in levels if level.product_id in moved], ["on_hand"])
        Movement.objects.bulk_create(
            Movement(
                product_id=product_id,
                kind=Kind.COUNTED,
                on_hand=delta,
                who=who[:150],
                **{**(words := told(product_id)), "why": words["why"][:200]},
            )
            for product_id, delta in moved.items()
        )
    return moved
