"""Take, return, sell: the three moves of stock for an order.

Rows are locked in the order of their product's id, once, late, and briefly: two carts with the same
goods in another order cannot deadlock. The guard stands in the UPDATE itself and again as a CHECK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import connection
from django.utils import timezone

from todoku.stock.models import Kind, Level, Movement, Reservation

if TYPE_CHECKING:
    from todoku.order.models import Order


def take(order: Order, wanted: Mapping[int, int]) -> dict[int, int]:
    """Hold so many of each product for the order's present attempt, all or nothing.

    Must run in a transaction. Returns an empty dict when everything is held; otherwise the products that are
    short, with how many remain, and nothing has moved.
    """
    remaining = _lock(wanted)
    short = {product: remaining.get(product, 0) for product, n in wanted.items() if remaining.get(product, 0) < n}
    if short:
        return short
    _move(wanted, on_hand=-1, reserved=+1)
    Reservation.objects.bulk_create(
        Reservation(order=order, attempt=order.attempts, product_id=product, quantity=n)
        for product, n in sorted(wanted.items())
    )
    _note(order, Kind.TAKEN, wanted, on_hand=-1, reserved=+1)
    return {}


def give_back(order: Order) -> bool:
    """Return what the order holds to the shelf, once; say whether there was anything to return.

    Must run in a transaction, and only after Stripe has confirmed that the attempt can no longer be paid.
    """
    held = _held(order)
    if not held:
        return False
    _lock(held)
    _move(held, on_hand=+1, reserved=-1)
    _end(order, Reservation.State.RETURNED)
    _note(order, Kind.RETURNED, held, on_hand=+1, reserved=-1)
    return True


def sell(order: Order, wanted: Mapping[int, int]) -> dict[int, int]:
    """Turn what the paid order holds into what it has bought.

    If the hold had been given back before the payment came through, it is taken from the shelf again. Must
    run in a transaction. Returns an empty dict when all is sold; otherwise the products that are short, with
    how many remain, and nothing has moved: a person has to find the goods.
    """
    held = _held(order)
    if held:
        _lock(held)
        _move(held, reserved=-1, sold=+1)
        _end(order, Reservation.State.SOLD)
        _note(order, Kind.SOLD, held, reserved=-1, sold=+1)
        return {}
    remaining = _lock(wanted)
    short = {product: remaining.get(product, 0) for product, n in wanted.items() if remaining.get(product, 0) < n}
    if short:
        return short
    _move(wanted, on_hand=-1, sold=+1)
    _note(order, Kind.SOLD, wanted, on_hand=-1, sold=+1)
    return {}


def _lock(products: Mapping[int, int]) -> dict[int, int]:
    """Lock the products' rows in the order of their ids and read how many are on hand."""
    return dict(
        Level.objects.select_for_update(no_key=True)
        .filter(product_id__in=list(products))
        .order_by("product_id")
        .values_list("product_id", "on_hand")
    )


def _move(quantities: Mapping[int, int], *, on_hand: int = 0, reserved: int = 0, sold: int = 0) -> None:
    """Move each product's numbers by its quantity times the given signs, in one guarded UPDATE."""
    products = sorted(quantities)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE stock_level AS level
               SET on_hand = level.on_hand + %(on_hand)s * moved.quantity,
                   reserved = level.reserved + %(reserved)s * moved.quantity,
                   sold = level.sold + %(sold)s * moved.quantity
              FROM unnest(%(products)s::bigint[], %(quantities)s::int[]) AS moved (product_id, quantity)
             WHERE level.product_id = moved.product_id
               AND level.on_hand + %(on_hand)s * moved.quantity >= 0
               AND level.reserved + %(reserved)s * moved.quantity >= 0
            """,
            {
                "on_hand": on_hand,
                "reserved": reserved,
                "sold": sold,
                "products": products,
                "quantities": [quantities[product] for product in products],
            },
        )
        if cursor.rowcount != len(products):
            raise AssertionError(f"the guard let {cursor.rowcount} of {len(products)} products move")


def _held(order: Order) -> dict[int, int]:
    return dict(
        order.reservations.filter(state=Reservation.State.HELD).values_list("product_id", "quantity")
    )


def _end(order: Order, state: Reservation.State) -> None:
    order.reservations.filter(state=Reservation.State.HELD).update(state=state, ended_at=timezone.now())


def _note(
    order: Order,
    kind: Kind,
    quantities: Mapping[int, int],
    *,
    on_hand: int = 0,
    reserved: int = 0,
    sold: int = 0,
) -> None:
    Movement.objects.bulk_create(
        Movement(
            product_id=product,
            kind=kind,
            on_hand=on_hand * n,
            reserved=reserved * n,
            sold=sold * n,
            order=order,
            who="checkout",
        )
        for product, n in sorted(quantities.items())
    )
