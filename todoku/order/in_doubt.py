"""A second purchase in doubt: has this shopper bought it already, without knowing?

Somebody who saw an error although the payment went through, or although nobody knows yet, starts again: with a new
cart, in another tab, or in another browser. Before anything new is charged, they are asked. Their answer is bound to
the very orders that they were asked about; one that comes up meanwhile is asked about as well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from django.conf import settings
from django.db import connection
from django.utils import timezone

from todoku.order.models import Order, Status
from todoku.order.rules import PAID
from todoku.payment.models import Outcome
from todoku.quote.models import Quote

#: Whoever orders the same goods within so long of having ordered them is asked.
JUST_NOW = timedelta(minutes=30)
#: A shopper is asked about so many orders at most, the latest ones.
MOST_ASKED = 5

#: checking (nobody knows how the payment stands), authenticate (3-D Secure is not finished), konbini (the codes wait
#: to be paid), paid.
Kind = Literal["checking", "authenticate", "konbini", "paid"]
_AT_THE_BANK = (Outcome.WAITING, "authentication")


@dataclass(frozen=True)
class Doubt:
    """An earlier order that the shopper may have forgotten, or may not know of."""

    order: Order
    kind: Kind
    #: This browser's own. Of another browser's order nothing may be shown, not even its number.
    mine: bool


# What the index on each of the three finds is little: one shopper's orders. The goods are compared for these only.
_EARLIER = """
    SELECT o.id, o.uuid, o.number, o.total, o.status, o.placed_at, o.shopper = %(shopper)s AS mine,
           a.outcome, a.waits_for
      FROM order_order AS o
      JOIN payment_attempt AS a ON a.order_id = o.id AND a.number = o.attempts
     WHERE o.id IN (SELECT id FROM order_order WHERE shopper = %(shopper)s
                    UNION SELECT id FROM order_order
                     WHERE UPPER(email) = UPPER((SELECT email FROM quote_draft WHERE cart_id = %(cart)s))
                    UNION SELECT id FROM order_order
                     WHERE phone = (SELECT phone FROM quote_draft WHERE cart_id = %(cart)s))
       AND o.status = ANY(%(statuses)s)
       AND o.cart_id <> %(cart)s
       -- A voucher that its customer has given up is no second purchase.
       AND NOT (o.status = %(placed)s AND o.withdrawn_at IS NOT NULL AND a.waits_for = 'konbini')
       AND CASE WHEN o.shopper = %(shopper)s AND o.status = %(placed)s AND a.waits_for <> 'konbini' THEN true
                WHEN o.shopper = %(shopper)s AND o.status = %(placed)s OR o.placed_at > %(since)s
                     OR o.shopper = %(shopper)s AND o.paid_at > %(since)s
                THEN (SELECT string_agg(product_id || 'x' || quantity, ' ' ORDER BY product_id)
                        FROM order_orderline WHERE order_id = o.id)
                   = (SELECT string_agg(product_id || 'x' || quantity, ' ' ORDER BY product_id)
                        FROM quote_quoteline WHERE quote_id = %(quote)s)
                ELSE false
           END
       -- Whoever tries another card for an order has answered already, when that order was placed.
       AND NOT EXISTS (SELECT FROM order_order AS answered
                        WHERE answered.quote_id = %(quote)s AND answered.placed_at > a.created_at)
     ORDER BY o.id DESC LIMIT %(most)s
"""


def find(quote: Quote, shopper: str, *, answered: str = "") -> list[Doubt]:
    """Find the orders that the shopper must be asked about before this quote may be charged, the latest first.

    ``answered`` is what the shopper sent back: the seals of the orders about which they said "this is another
    purchase". It reads one thing from the database, by three indexes.
    """
    rows = Order.objects.raw(
        _EARLIER,
        {
            "shopper": shopper,
            "cart": quote.cart_id,
            "quote": quote.pk,
            "statuses": [str(Status.PLACED), *sorted(PAID)],
            "placed": str(Status.PLACED),
            "since": timezone.now() - JUST_NOW,
            "most": MOST_ASKED,
        },
    )
    doubts = [_doubt(order, **vars(order)) for order in rows]
    known = [seal.encode() for seal in answered.split(".")[: 2 * MOST_ASKED]]
    return [
        doubt
        for doubt in doubts
        if not any(hmac.compare_digest(_seal(quote.cart_id, doubt.order.uuid), seal) for seal in known)
    ]


def seals(quote: Quote, doubts: Sequence[Doubt]) -> str:
    """What a form carries for "this is another purchase": good for this cart, and for these orders only.

    It tells nobody which orders they are: one of them may be another browser's.
    """
    return ".".join(_seal(quote.cart_id, doubt.order.uuid).decode() for doubt in doubts)


def alone(cart: int, shopper: str) -> None:
    """Wait until no other press of the same person is being placed; holds to the end of the transaction.

    The same person is who has the same browser, mail address or phone number. Two carts have two rows to lock, so
    that alone would let two presses overlook each other.
    """
    with connection.cursor() as cursor:
        # Always in the same order, so that two never wait for each other.
        cursor.execute(
            """
            SELECT pg_advisory_xact_lock(name)
              FROM (SELECT DISTINCT hashtextextended(kind || value, 7201) AS name
                      FROM quote_draft AS draft,
                           LATERAL (VALUES ('shopper', %(shopper)s), ('email', UPPER(draft.email)),
                                           ('phone', draft.phone)) AS who (kind, value)
                     WHERE draft.cart_id = %(cart)s ORDER BY 1 OFFSET 0) AS names
            """,
            {"cart": cart, "shopper": shopper},
        )


def _doubt(order: Order, *, mine: bool, outcome: str, waits_for: str, **_: object) -> Doubt:
    if order.status in PAID:
        return Doubt(order, "paid", mine)
    if waits_for == "konbini":
        return Doubt(order, "konbini", mine)
    return Doubt(order, "authenticate" if (outcome, waits_for) == _AT_THE_BANK else "checking", mine)


def _seal(cart: int, order: uuid.UUID) -> bytes:
    key = hashlib.sha256(b"todoku.order.in_doubt:" + settings.SECRET_KEY.encode()).digest()
    digest = hmac.digest(key, cart.to_bytes(8, "big") + order.bytes, "sha256")[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
