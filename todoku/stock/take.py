"""Take, return, sell: the three moves of stock for an order.

Rows are locked in the order of their product's id, once, late, and briefly: two carts with the same
goods in another order cannot deadlock. The guard stands in the UPDATE itself and again as a CHECK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import connection

from todoku.stock.models import Kind, Reservation

if TYPE_CHECKING:
    from todoku.order.models import Order


def take(order: Order, wanted: Mapping[int, int]) -> dict[int, int]:
    """Hold so many of each product for the order's present attempt, all or nothing.

    Must run in a transaction. Returns an empty dict when everything is held; otherwise the products that are
    short, with how many remain, and nothing has moved.
    """
    short = _short(wanted)
    if not short:
        _move(order, Kind.TAKEN, wanted, on_hand=-1, reserved=+1)
    return short


def give_back(order: Order) -> bool:
    """Return what the order holds to the shelf, once; say whether there was anything to return.

    Must run in a transaction, and only after Stripe has confirmed that the attempt can no longer be paid.
    """
    held = _held(order)
    if held:
        _lock(held)
        _move(order, Kind.RETURNED, held, on_hand=+1, reserved=-1)
    return bool(held)


def hold_found(order: Order, wanted: Mapping[int, int]) -> dict[int, int]:
    """Hold goods for an order whose hold was given back before its late payment came: a person has found them.

    Must run in a transaction. Returns an empty dict when everything is held; otherwise what is short, as ``take``.
    """
    short = _short(wanted)
    if not short:
        _move(order, Kind.TAKEN, wanted, on_hand=-1, reserved=+1, again=True)
    return short


def take_back(order: Order) -> dict[int, int]:
    """Book what the order has bought as back on the shelf; return how many of each product. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, sum(sold) FROM stock_movement WHERE order_id = %s GROUP BY 1 HAVING sum(sold) > 0",
            [order.pk],
        )
        sold = {product: int(quantity) for product, quantity in cursor.fetchall()}
    if sold:
        _lock(sold)
        _move(order, Kind.RETURNED, sold, on_hand=+1, sold=-1)
    return sold


def held(order: Order) -> dict[int, int]:
    """What the order holds: how many of each product."""
    return _held(order)


def sell(order: Order, wanted: Mapping[int, int]) -> dict[int, int]:
    """Turn what the paid order holds into what it has bought.

    If the hold had been given back before the payment came through, it is taken from the shelf again. Must
    run in a transaction. Returns an empty dict when all is sold; otherwise the products that are short, with
    how many remain, and nothing has moved: a person has to find the goods.
    """
    held = _held(order)
    if held:
        _lock(held)
        _move(order, Kind.SOLD, held, reserved=-1, sold=+1)
        return {}
    short = _short(wanted)
    if not short:
        _move(order, Kind.SOLD, wanted, on_hand=-1, sold=+1)
    return short


def _short(wanted: Mapping[int, int]) -> dict[int, int]:
    """Lock the products' rows and name those of which there is not enough, with how many remain."""
    remaining = _lock(wanted)
    return {product: remaining.get(product, 0) for product, n in wanted.items() if remaining.get(product, 0) < n}


def _lock(products: Mapping[int, int]) -> dict[int, int]:
    """Lock the products' rows in the order of their ids and read how many are on hand."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, on_hand FROM stock_level WHERE product_id = ANY(%s)"
            " ORDER BY product_id FOR NO KEY UPDATE",
            [list(products)],
        )
        return dict(cursor.fetchall())


def _held(order: Order) -> dict[int, int]:
    """What the order holds: how many of each product."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, quantity FROM stock_reservation WHERE order_id = %s AND state = %s",
            [order.pk, Reservation.State.HELD],
        )
        return dict(cursor.fetchall())


#: One statement for a whole move: the levels with their guard, the order's reservations, and the movements that
#: tell of it. The level's UPDATE names fewer rows than it was asked for when the guard has stopped one.
_MOVE = """
    WITH asked AS (
        SELECT * FROM unnest(%(products)s::bigint[], %(quantities)s::int[]) AS asked (product_id, quantity)
    ), moved AS (
        UPDATE stock_level AS level
           SET on_hand = level.on_hand + %(on_hand)s::int * asked.quantity,
               reserved = level.reserved + %(reserved)s::int * asked.quantity,
               sold = level.sold + %(sold)s::int * asked.quantity
          FROM asked
         WHERE level.product_id = asked.product_id
           AND level.on_hand + %(on_hand)s::int * asked.quantity >= 0
           AND level.reserved + %(reserved)s::int * asked.quantity >= 0
     RETURNING level.product_id
    ), begun AS (
        INSERT INTO stock_reservation (order_id, attempt, product_id, quantity, state, held_at)
        SELECT %(order)s::bigint, %(attempt)s::int, product_id, quantity, 'held', now()
          FROM asked WHERE %(kind)s::text = 'taken'
          -- and if it is there
    ), ended AS (
        UPDATE stock_reservation SET state = %(kind)s::text, ended_at = now()
         WHERE %(kind)s::text IN ('returned', 'sold') AND order_id = %(order)s::bigint AND state = 'held'
    ), told AS (
        INSERT INTO stock_movement (product_id, kind, on_hand, reserved, sold, order_id, who, why, at)
        SELECT product_id, %(kind)s::text, %(on_hand)s::int * quantity, %(reserved)s::int * quantity,
               %(sold)s::int * quantity,
               %(order)s::bigint, 'checkout', '', now()
          FROM asked ORDER BY product_id
    )
    SELECT count(*) FROM moved
"""
#: The same, for what was held, given back, and found again by a person: it is the same hold. Only then; a hold that is
#: there already is otherwise a mistake, and the database says no.
_MOVE_AGAIN = _MOVE.replace(
    "-- and if it is there",
    """ON CONFLICT (order_id, attempt, product_id)
          DO UPDATE SET state = 'held', quantity = EXCLUDED.quantity, held_at = now(), ended_at = NULL
                  WHERE stock_reservation.state = 'returned'""",
)


def _move(
    order: Order,
    kind: Kind,
    quantities: Mapping[int, int],
    *,
    on_hand: int = 0,
    reserved: int = 0,
    sold: int = 0,
    again: bool = False,
) -> None:
    """Move each product's numbers by its quantity times the given signs, and write down that it was done."""
    products = sorted(quantities)
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE_AGAIN if again else _MOVE,
            {
                "order": order.pk,
                "attempt": order.attempts,
                "kind": str(kind),
                "on_hand": on_hand,
                "reserved": reserved,
                "sold": sold,
                "products": products,
                "quantities": [quantities[product] for product in products],
            },
        )
        [moved] = cursor.fetchone()
    if moved != len(products):
        raise AssertionError(f"the guard let {moved} of {len(products)} products move")
