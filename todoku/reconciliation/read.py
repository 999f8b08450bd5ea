"""Our side of the comparison: few statements, each one snapshot, none in a loop over orders."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from todoku.engines import queue
from todoku.gateways.gateway import Payment, Returned
from todoku.reconciliation.facts import IntentFacts, LevelFacts, OrderFacts, RefundFacts

#: One statement, so that all of an order's facts are of one moment: without that, an order that moves on while
#: it is read would look as if it contradicted itself.
_ORDERS = """
    SELECT o.id, o.number, o.status, o.total, o.goods_total, quote.total AS quote_total, lines.total AS lines_total,
           o.attempts, o.cart_id AS cart, intent.id::text AS intent, intent.stripe_id, o.pay_by, o.placed_at,
           o.paid_at, o.recorded_at, o.withdrawn_at, o.next_look_at, cart.closed_at IS NOT NULL AS cart_closed,
           COALESCE(attempt.outcome, '') AS outcome, COALESCE(attempt.waits_for, '') AS waits_for,
           attempt.asked_at, COALESCE(attempts.paid, 0) AS paid_attempts,
           EXISTS (SELECT FROM payment_voucher v WHERE v.attempt_id = attempt.id) AS has_voucher,
           COALESCE(play.status, '') AS play, play.started_at AS play_started_at,
           play.status = 'RUNNING' AND EXISTS (
               SELECT FROM procrastinate_jobs job
                WHERE job.lock = 'order-' || o.id AND job.status IN ('todo', 'doing') AND job.task_name = %(play)s
           ) AS play_has_job,
           EXISTS (SELECT FROM notify_case c
                    WHERE c.order_id = o.id AND c.closed_at IS NULL AND c.execution_id IS NOT NULL
                      AND c.flow = %(flow)s) AS has_case,
           (SELECT count(*) FROM fulfilment_delivery d WHERE d.order_id = o.id) AS slips,
           EXISTS (SELECT FROM order_mypageentry e WHERE e.order_id = o.id) AS on_my_page,
           EXISTS (SELECT FROM notify_mail m
                    WHERE m.order_id = o.id AND m.kind = 'order_complete' AND m.sent_at IS NOT NULL) AS mail_sent,
           intent.created_at AS intent_created_at,
           COALESCE(lines.goods, '{}') AS lines, COALESCE(held.goods, '{}') AS held,
           COALESCE(sold.goods, '{}') AS sold, COALESCE(held.most, 0) AS most_holds,
           COALESCE(ledger.steps, '{}') AS ledger,
           (SELECT w.kept FROM order_writeoff w WHERE w.order_id = o.id) AS written_off_with,
           (SELECT COALESCE(jsonb_agg(jsonb_build_array(a.received, a.currency, a.refunded)), '[]')
              FROM payment_acceptedamount a WHERE a.order_id = o.id) AS accepted
      FROM order_order o
      JOIN quote_quote quote ON quote.id = o.quote_id
      JOIN payment_intent intent ON intent.id = o.intent_id
      JOIN cart_cart cart ON cart.id = o.cart_id
      LEFT JOIN payment_attempt attempt ON attempt.order_id = o.id AND attempt.number = o.attempts
      LEFT JOIN LATERAL (
          SELECT count(*) AS paid FROM payment_attempt a WHERE a.order_id = o.id AND a.outcome = 'paid'
      ) attempts ON true
      LEFT JOIN LATERAL (
          SELECT e.status, e.started_at FROM engines_execution e
           WHERE e.order_id = o.id AND e.flow = %(flow)s ORDER BY e.number DESC LIMIT 1
      ) play ON true
      LEFT JOIN LATERAL (
          SELECT COALESCE(sum(l.unit_price * l.quantity), 0) AS total,
                 jsonb_object_agg(l.product_id, l.quantity) AS goods
            FROM order_orderline l WHERE l.order_id = o.id
      ) lines ON true
      LEFT JOIN LATERAL (
          SELECT jsonb_object_agg(h.product_id, h.quantity) AS goods, max(h.n) AS most
            FROM (SELECT r.product_id, sum(r.quantity) AS quantity, count(*) AS n
                    FROM stock_reservation r WHERE r.order_id = o.id AND r.state = 'held' GROUP BY 1) h
      ) held ON true
      LEFT JOIN LATERAL (
          SELECT jsonb_object_agg(m.product_id, m.quantity) AS goods
            FROM (SELECT w.product_id, sum(w.sold) AS quantity
                    FROM stock_movement w WHERE w.order_id = o.id AND w.sold > 0
                   GROUP BY 1 HAVING sum(w.sold) <> 0) m
      ) sold ON true
      LEFT JOIN LATERAL (
          SELECT jsonb_object_agg(d.step || ':' || d.attempt, d.answer->>'outcome') AS steps
            FROM flows_done d WHERE d.order_id = o.id
      ) ledger ON true
     WHERE o.id = ANY(%(ids)s::bigint[])
"""

_INTENTS = """
    SELECT intent.id::text AS id, intent.stripe_id, intent.amount, intent.cart_id AS cart, intent.created_at,
           intent.changed_at, intent.canceled_at, o.id AS "order"
      FROM payment_intent intent LEFT JOIN order_order o ON o.intent_id = intent.id
     WHERE intent.stripe_id = ANY(%(stripe)s::text[]) OR intent.id = ANY(%(ours)s::uuid[])
"""

_LEVELS = """
    SELECT product.sku, level.on_hand, level.reserved, level.sold,
           COALESCE(moved.on_hand, 0) AS moved_on_hand, COALESCE(moved.reserved, 0) AS moved_reserved,
           COALESCE(moved.sold, 0) AS moved_sold, COALESCE(held.quantity, 0) AS held,
           COALESCE(ordered.quantity, 0) - COALESCE(moved.came_back, 0) AS ordered
      FROM stock_level level
      JOIN catalog_product product ON product.id = level.product_id
      LEFT JOIN (SELECT product_id, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(sold) AS sold,
                        -sum(sold) FILTER (WHERE sold < 0) AS came_back
                   FROM stock_movement GROUP BY 1) moved ON moved.product_id = level.product_id
      LEFT JOIN (SELECT product_id, sum(quantity) AS quantity
                   FROM stock_reservation WHERE state = 'held' GROUP BY 1) held ON held.product_id = level.product_id
      LEFT JOIN (SELECT line.product_id, sum(line.quantity) AS quantity
                   FROM order_orderline line JOIN order_order o ON o.id = line.order_id
                  WHERE o.status IN ('recorded', 'complete') GROUP BY 1) ordered
             ON ordered.product_id = level.product_id
"""

#: Orders worth reading: those not at rest, those that hold stock, and those that moved since then.
_SCOPE = """
    SELECT id FROM order_order
     WHERE status IN ('placed', 'paid', 'recorded') OR placed_at >= %(since)s OR paid_at >= %(since)s
        OR recorded_at >= %(since)s OR completed_at >= %(since)s
     UNION SELECT order_id FROM stock_reservation WHERE state = 'held'
     UNION SELECT order_id FROM engines_execution WHERE started_at >= %(since)s
     UNION SELECT order_id FROM fulfilment_delivery WHERE created_at >= %(since)s
     UNION SELECT order_id FROM notify_case WHERE order_id IS NOT NULL AND closed_at IS NULL
     ORDER BY 1
"""

_CLOSED_CARTS = """
    SELECT cart.id FROM cart_cart cart
     WHERE cart.closed_at >= %(since)s
       AND NOT EXISTS (SELECT FROM order_order o
                        WHERE o.cart_id = cart.id AND o.status IN ('recorded', 'complete', 'written_off'))
"""

_PAID_TWICE = """
    SELECT o.cart_id, array_agg(intent.stripe_id ORDER BY o.id)
      FROM order_order o JOIN payment_intent intent ON intent.id = o.intent_id
     WHERE o.status IN ('paid', 'recorded', 'complete')
     GROUP BY 1 HAVING count(*) > 1
"""

#: Events that came after their order was there and yet knocked on nothing.
_UNHEARD = """
    SELECT DISTINCT o.id, o.number
      FROM webhooks_stripeevent event
      JOIN payment_intent intent ON intent.stripe_id = event.object_id
      JOIN order_order o ON o.intent_id = intent.id
     WHERE event.order_id IS NULL AND event.received_at >= %(since)s AND event.received_at <= %(until)s
       AND event.received_at > o.placed_at + interval '1 minute' AND o.status IN ('placed', 'not_paid')
"""

#: Refunds that a person has asked for in the console; ``name`` is what an operator calls one.
_REFUNDS = """
    SELECT r.key::text AS key, r.stripe_id, r.order_id AS "order", o.number || ' №' || r.number AS name, r.state,
           r.amount, r.asked_at, r.next_look_at, r.approved_at, r.finished_at IS NOT NULL AS finished,
           EXISTS (SELECT FROM engines_execution e
                    WHERE e.order_id = r.order_id AND e.flow = 'refund' AND e.status = 'RUNNING')
           OR EXISTS (SELECT FROM notify_case c
                       WHERE c.order_id = r.order_id AND c.flow = 'refund' AND c.closed_at IS NULL
                         AND c.execution_id IS NOT NULL) AS left_alone
      FROM refund_refund r JOIN order_order o ON o.id = r.order_id
"""


def orders(ids: Sequence[int]) -> list[OrderFacts]:
    """Read orders with all that hangs on them, in one statement."""
    if not ids:
        return []
    rows = _rows(_ORDERS, ids=list(ids), play=queue.PLAY, flow="checkout")
    return [
        OrderFacts(
            **{
                **row,
                # Django leaves JSON of a plain cursor as text.
                **{name: json.loads(row[name]) for name in ("lines", "held", "sold", "ledger")},
                "accepted": [tuple(money) for money in json.loads(row["accepted"])],
                "play_has_job": bool(row["play_has_job"]),
            }
        )
        for row in rows
    ]


def intents(payments: Iterable[Payment]) -> dict[str, IntentFacts]:
    """Find our rows for Stripe's PaymentIntents, by Stripe's id or by what their metadata name."""
    payments = list(payments)
    named = {payment.id: _uuid(payment.metadata.get("todoku_intent", "")) for payment in payments}
    rows = [
        IntentFacts(**row)
        for row in _rows(_INTENTS, stripe=list(named), ours=[name for name in named.values() if name])
    ]
    by_stripe = {row.stripe_id: row for row in rows if row.stripe_id}
    by_id = {row.id: row for row in rows}
    found = {payment.id: by_stripe.get(payment.id) or by_id.get(named[payment.id]) for payment in payments}
    return {stripe_id: row for stripe_id, row in found.items() if row is not None}


def intents_named(stripe_ids: Sequence[str]) -> dict[str, IntentFacts]:
    """Find our rows for Stripe's ids alone."""
    rows = [IntentFacts(**row) for row in _rows(_INTENTS, stripe=list(stripe_ids), ours=[])]
    return {row.stripe_id: row for row in rows if row.stripe_id}


def refunds(made: Iterable[Returned]) -> dict[str, RefundFacts]:
    """Find our rows for Stripe's refunds, by Stripe's id or by what their metadata name."""
    made = list(made)
    named = {one.id: _uuid(one.metadata.get("todoku_refund", "")) for one in made}
    where = " WHERE r.stripe_id = ANY(%(stripe)s::text[]) OR r.key = ANY(%(ours)s::uuid[])"
    asked = {"stripe": list(named), "ours": [name for name in named.values() if name]}
    rows = [RefundFacts(**row) for row in _rows(_REFUNDS + where, **asked)]
    by_stripe = {row.stripe_id: row for row in rows if row.stripe_id}
    by_key = {row.key: row for row in rows}
    found = {one.id: by_stripe.get(one.id) or by_key.get(named[one.id]) for one in made}
    return {stripe_id: row for stripe_id, row in found.items() if row is not None}


def refunds_since(since: datetime) -> list[RefundFacts]:
    """Read the refunds that are not at rest, and those that Stripe was asked for since then."""
    where = (
        " WHERE r.asked_at >= %(since)s OR (r.finished_at IS NULL"
        " AND r.state IN ('approved', 'asked', 'requires_action', 'pending', 'succeeded'))"
    )
    return [RefundFacts(**row) for row in _rows(_REFUNDS + where, since=since)]


def levels() -> list[LevelFacts]:
    """Read every product's level, with what its movements, holds and orders add up to."""
    return [LevelFacts(**row) for row in _rows(_LEVELS)]


def scope(since: datetime) -> list[int]:
    """Name the orders that are not at rest, that hold stock, or that have moved since then; all from 1970 on."""
    return [row["id"] for row in _rows(_SCOPE, since=since)]


def closed_carts(since: datetime) -> list[int]:
    """Name the carts closed since then that no recorded order has closed."""
    return [row["id"] for row in _rows(_CLOSED_CARTS, since=since)]


def paid_twice() -> dict[int, list[str]]:
    """Name the carts with more than one paid order, and their PaymentIntents."""
    return {row["cart_id"]: row["array_agg"] for row in _rows(_PAID_TWICE)}


def unheard(since: datetime, until: datetime) -> list[tuple[int, str]]:
    """Name the orders for which an event came that knocked on nothing: id and number."""
    return [(row["id"], row["number"]) for row in _rows(_UNHEARD, since=since, until=until)]


def _rows(statement: str, **asked: Any) -> Iterator[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked or None)
        names = [column.name for column in cursor.description or ()]
        rows = cursor.fetchall()
    return (dict(zip(names, row, strict=True)) for row in rows)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return ""
